// npm run test:real: the tests on the real CLI, once for each pinned version. After that, as a report that fails nothing,
// on the newest version that the registry serves.
//
//   node __test__/real/run.mjs [ARGUMENT...]
//
// CLEARCTX_REAL_VERSION (`2.1.330`) runs them on that version alone. Arguments go to Node's test runner.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { basename, join } from 'node:path'

import { PINNED_VERSIONS, fetchClaude, newestVersion } from '../../scripts/lib/fetch-claude.mjs'
import { Problem, main, root, runNode, step } from '../../scripts/lib/tools.mjs'

/** Longest time a file of tests may take before it counts as hung. */
const TEST_TIMEOUT_MS = 300_000

/** Files at a time. Most of a test is waiting for a process of the CLI. */
const FILES_AT_ONCE = 3

/** Time for everything, the report included: that one gets what the pinned versions leave. */
const TOTAL_MS = 360_000

const started = performance.now()

const specs = readdirSync(join(root, '__test__/real'))
  .filter((file) => file.endsWith('.spec.mjs'))
  .map((file) => `__test__/real/${file}`)

const flags = [
  '--test',
  '--test-reporter=spec',
  `--test-timeout=${TEST_TIMEOUT_MS}`,
  `--test-concurrency=${FILES_AT_ONCE}`,
]

await main(async () => {
  const wanted = process.env.CLEARCTX_REAL_VERSION
  const failed = []
  let longest = 0
  for (const version of wanted ? [wanted] : PINNED_VERSIONS) {
    await step(`fetching Claude Code ${version}`, () => fetchClaude(version))
    const start = performance.now()
    try {
      await step(`tests on Claude Code ${version}`, () => testOn(version))
    } catch (problem) {
      failed.push(problem)
    }
    longest = Math.max(longest, performance.now() - start)
  }
  if (!wanted) await reportNewest(longest)
  if (failed.length > 0) throw new Problem(failed.map(({ message }) => message).join('; '))
})

function testOn(version) {
  const what = `the tests on Claude Code ${version}`
  runNode([...flags, ...process.argv.slice(2), ...specs], { env: { CLEARCTX_REAL_VERSION: version }, what })
}

/** Runs the tests on the newest version if there is time for what they took so far (`expected` ms). Never fails. */
async function reportNewest(expected) {
  const say = (words) => console.log(`clearctx: report on the newest Claude Code: ${words}`)
  const left = () => TOTAL_MS - (performance.now() - started)
  if (left() < expected) return say('skipped, there is no time left for it')
  try {
    const version = await newestVersion()
    if (PINNED_VERSIONS.includes(version)) return say(`skipped, the newest is ${version}, which is one of the pinned`)
    await fetchClaude(version, { timeout: left() })
    if (left() < expected) return say(`skipped, fetching ${version} took all the time`)
    say(await tryWithin(version, left()))
  } catch (problem) {
    say(`not possible: ${problem.message}`)
  }
}

/**
 * Runs the files on a version, and none more once `ms` are over; a file that runs is never cut off, since its processes
 * would stay behind. Resolves with words on the outcome.
 */
async function tryWithin(version, ms) {
  const end = performance.now() + ms
  const waiting = [...specs]
  const failed = []
  const work = async () => {
    while (waiting.length > 0 && performance.now() < end) {
      const spec = waiting.shift()
      if (!(await passes(spec, version))) failed.push(basename(spec))
    }
  }
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work))
  const left = waiting.length > 0 ? `, ${waiting.length} files not tried for lack of time` : ''
  if (failed.length === 0) return `${version} passes${left}`
  return `${version} does NOT pass ${failed.join(', ')}${left}; this run does not fail by it`
}

async function passes(spec, version) {
  const runner = spawn(process.execPath, [...flags, spec], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CLEARCTX_REAL_VERSION: version },
  })
  const output = []
  runner.stdout.on('data', (chunk) => output.push(chunk))
  const code = await new Promise((resolve) => runner.on('close', resolve).on('error', () => resolve(null)))
  process.stdout.write(Buffer.concat(output))
  return code === 0
}
