// The spec files of `__test__/` that need no more than the stand-in of the CLI, and how they are run.

import { readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, sep } from 'node:path'

import { Problem, root, runNode } from './tools.mjs'

/** The folder of those that need the real CLI; it has a runner of its own. */
const REAL = 'real/'

/** Longest time one test may take before it counts as hung. */
const TEST_TIMEOUT_MS = 300_000

/** More than there are cores: tests mostly wait, for processes that start and end. */
const FILES_AT_ONCE = 2 * availableParallelism()

/** Paths of the spec files, of all or of those whose path in `__test__/` holds one of `parts`, relative to the root. */
export function specs(parts = []) {
  const files = readdirSync(join(root, '__test__'), { recursive: true })
    .map((file) => file.replaceAll(sep, '/'))
    .filter((file) => file.endsWith('.spec.mjs') && !file.startsWith(REAL))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .toSorted()
    .map((file) => `__test__/${file}`)
  if (files.length === 0) throw new Problem(`no test file in __test__/ has ${parts.join(' or ')} in its path`)
  return files
}

/** Runs spec files. `flags` go to Node's test runner. */
export function runSpecs(files, { flags = [], env = {}, what = 'the JavaScript tests' } = {}) {
  const defaults = [`--test-timeout=${TEST_TIMEOUT_MS}`, `--test-concurrency=${FILES_AT_ONCE}`]
  runNode(['--test', '--test-reporter=spec', ...defaults, ...flags, ...files], { env, what })
}
