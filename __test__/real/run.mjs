// npm run test:real: the tests on the real CLI, once for each pinned version.
// npm run test:real:all: the same for the whole matrix, which takes a quarter of an hour.
//
//   node __test__/real/run.mjs [--all] [ARGUMENT...]
//
// CLEARCTX_REAL_VERSION (`2.1.330`) runs them on that version alone. Arguments go to Node's test runner.

import { readdirSync } from 'node:fs'
import { join } from 'node:path'

import { MATRIX, NEWEST, PINNED } from '../../scripts/lib/claude-versions.mjs'
import { fetchClaude, newestVersion } from '../../scripts/lib/fetch-claude.mjs'
import { runSpecs } from '../../scripts/lib/specs.mjs'
import { Problem, main, root, step } from '../../scripts/lib/tools.mjs'

/** Node's own limit for a test, and in Node.js 20 for a file. What reaches it first, the bound of files, names the test. */
const LIMIT_MS = 600_000

const args = process.argv.slice(2)
const flags = args.filter((arg) => arg !== '--all')

const files = readdirSync(join(root, '__test__/real'))
  .filter((file) => file.endsWith('.spec.mjs'))
  .map((file) => `__test__/real/${file}`)

await main(async () => {
  const problems = []
  for (const version of await wanted()) {
    await step(`fetching Claude Code ${version}`, () => fetchClaude(version))
    await step(`tests on Claude Code ${version}`, () => testOn(version)).catch((problem) => problems.push(problem))
  }
  if (problems.length > 0) throw new Problem(problems.map(({ message }) => message).join('; '))
})

/** The versions to test, each once. */
async function wanted() {
  const { CLEARCTX_REAL_VERSION: only } = process.env
  if (only) return [only]
  if (!args.includes('--all')) return PINNED
  const newest = await newestVersion()
  return [...new Set(MATRIX.map((version) => (version === NEWEST ? newest : version)))]
}

function testOn(version) {
  const limit = `--test-timeout=${LIMIT_MS}`
  runSpecs(files, {
    flags: [limit, ...flags],
    env: { CLEARCTX_REAL_VERSION: version },
    what: `the tests on Claude Code ${version}`,
  })
}
