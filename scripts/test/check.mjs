// npm run check: what finds most mistakes, in a minute or two, for a change that is being made: linters, types, the Rust unit
// tests, and a debug build of the addon under the specs that say most in the least time.
//
//   node scripts/test/check.mjs [PART...]
//
// With a PART, the specs whose path in __test__ holds it run in the place of those. The debug build is kept apart, in
// target/check: the release build in the root, which all other commands use, is neither needed nor replaced.

import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { CARGO_CLIPPY, CARGO_TEST } from '../lib/cargo.mjs'
import { runSpecs, specs } from '../lib/specs.mjs'
import { checkTypes } from '../lib/types.mjs'
import { buildAddon, installPackages, main, needNode, needRust, root, run, runNode, step } from '../lib/tools.mjs'

/** One or two for each subject, and none that works or waits for long. */
const FAST = [
  'api/arguments.spec.mjs',
  'api/session-manager.spec.mjs',
  'api/stream-session',
  'lifecycle/background-turns.spec.mjs',
  'lifecycle/crashes.spec.mjs',
  'lifecycle/kill.spec.mjs',
  'lifecycle/timeouts.spec.mjs',
  'lifecycle/turns.spec.mjs',
  'program/uncaught-exceptions.spec.mjs',
  'store/failures.spec.mjs',
  'store/file.spec.mjs',
  'store/records.spec.mjs',
]

await main(async () => {
  const wanted = process.argv.slice(2)
  const folder = join(root, 'target', 'check')
  needNode()
  needRust()
  await installPackages()
  mkdirSync(folder, { recursive: true })
  await step('oxlint', () =>
    runNode([join(root, 'node_modules/oxlint/bin/oxlint'), '--deny-warnings'], { what: 'oxlint' }),
  )
  await step('clippy', () => run('cargo', CARGO_CLIPPY, { what: 'clippy' }))
  await step('Rust unit tests', () => run('cargo', [...CARGO_TEST, '--lib'], { what: 'cargo test' }))
  const [addon] = await buildAddon({ debug: true, folder })
  await step('types', checkTypes)
  await step('JavaScript tests', () =>
    runSpecs(specs(wanted.length > 0 ? wanted : FAST), { env: { NAPI_RS_NATIVE_LIBRARY_PATH: addon } }),
  )
})
