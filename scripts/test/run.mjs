// npm test: from a fresh clone to all tests that need neither a network nor an account.
//
//   node scripts/test/run.mjs [SUITE] [ARGUMENT...]
//
// SUITE is types, rust, js or real; without one, the first three run in that order. Arguments of js that start with a dash
// go to Node's test runner, others select spec files by a part of their path in __test__; those of rust go to cargo test.

import { CARGO_TEST } from '../lib/cargo.mjs'
import { runSpecs, specs } from '../lib/specs.mjs'
import { Problem, installPackages, main, needNode, needRust, prepare, run, runNode, step } from '../lib/tools.mjs'
import { checkTypes } from '../lib/types.mjs'

const suites = {
  /** The public types, as a caller's compiler sees them, and the checked JavaScript. */
  types: checkTypes,
  /** The crates below the binding. */
  rust(args) {
    run('cargo', [...CARGO_TEST, ...args], { what: 'cargo test' })
  },
  /** The public classes on the bundled stand-in of the CLI. */
  js(args) {
    const wanted = args.filter((arg) => !arg.startsWith('-'))
    runSpecs(specs(wanted), { flags: args.filter((arg) => arg.startsWith('-')) })
  },
  /** The public classes on the real CLI, against a local stand-in of its API. */
  real(args) {
    runNode(['__test__/real/run.mjs', ...args], { what: 'the tests on the real CLI' })
  },
}

const titles = { types: 'type tests', rust: 'Rust tests', js: 'JavaScript tests', real: 'tests on the real CLI' }

await main(async () => {
  const [suite, ...args] = process.argv.slice(2)
  if (suite !== undefined && !(suite in suites))
    throw new Problem(`unknown suite "${suite}": ${Object.keys(suites).join(', ')}`)
  if (suite === 'types') {
    needNode()
    await installPackages()
  } else if (suite === 'rust') {
    needRust()
  } else {
    await prepare()
  }
  for (const name of suite === undefined ? ['types', 'rust', 'js'] : [suite]) {
    await step(titles[name], () => suites[name](args))
  }
})
