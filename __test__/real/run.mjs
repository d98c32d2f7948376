// npm run test:real: the tests on the real CLI, once for each pinned version.
//
//   node __test__/real/run.mjs [ARGUMENT...]
//
// CLEARCTX_REAL_VERSION (`2.1.330`) runs them on that version alone. Arguments go to Node's test runner.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import { PINNED_VERSIONS, fetchClaude } from '../../scripts/fetch-claude.mjs'
import { Problem, main, root, runNode, step } from '../../scripts/tools.mjs'

/** Longest time a file of tests may take before it counts as hung. */
const TEST_TIMEOUT_MS = 300_000

const specs = readdirSync(join(root, '__test__/real'))
  .filter((file) => file.endsWith('.spec.mjs'))
  .map((file) => `__test__/real/${file}`)

await main(async () => {
  const wanted = process.env.CLEARCTX_REAL_VERSION
  const failed = []
  for (const version of wanted ? [wanted] : PINNED_VERSIONS) {
    await step(`fetching Claude Code ${version}`, () => fetchClaude(version))
    try {
      await step(`tests on Claude Code ${version}`, () => testOn(version))
    } catch (problem) {
      failed.push(problem)
    }
  }
  if (failed.length > 0) throw new Problem(failed.map(({ message }) => message).join('; '))
})

function testOn(version) {
  const flags = ['--test', '--test-reporter=spec', `--test-timeout=${TEST_TIMEOUT_MS}`]
  const what = `the tests on Claude Code ${version}`
  runNode([...flags, ...process.argv.slice(2), ...specs], { env: { CLEARCTX_REAL_VERSION: version }, what })
}
