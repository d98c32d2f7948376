// npm run test:long: the random tests at a length that a change need not wait for. Every failure names its seed.
//
//   node scripts/test/long.mjs [SEED]
//
// SEED is the first seed, the day's number unless given. The fuzzer runs where `cargo fuzz` is installed
// (`cargo install cargo-fuzz`); it needs no other toolchain.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

import { main, prepare, root, run, runNode, step } from '../lib/tools.mjs'

/** How long each target is fuzzed, in s. */
const FUZZ_S = 150

const TARGETS = ['framer', 'inbound', 'sessions', 'journal']

/** Sanitizers look for what safe Rust cannot do; without one, more inputs are tried. */
const FUZZ = ['fuzz', 'run', '--sanitizer', 'none', '--release']

await main(async () => {
  const seed = process.argv[2] ?? String(Math.floor(Date.now() / 86_400_000) * 1_000_000)
  await prepare()
  await step(`schedules in memory, mutated input, from seed ${seed} on`, () => {
    const args = ['test', '--locked', '--package', 'clearctx-core', '--release', '--lib', '--', 'simulation', 'fuzzing']
    const env = {
      CLEARCTX_SEED: seed,
      CLEARCTX_SCHEDULES: '500000',
      CLEARCTX_STORE_HISTORIES: '300000',
      CLEARCTX_MUTATIONS: '100000',
    }
    run('cargo', args, { env })
  })
  await step('the store: 500 kills, eight processes for a minute', () => {
    const args = [
      'test',
      '--locked',
      '--package',
      'clearctx-core',
      '--release',
      '--test',
      'store',
      '--',
      'crash',
      'crowd',
      'foreign',
    ]
    run('cargo', args, { env: { CLEARCTX_STORE_ROUNDS: '500', CLEARCTX_STORE_SECONDS: '60' } })
  })
  await step(`schedules on real processes, from seed ${seed} on`, () => {
    const env = { CLEARCTX_SEED: seed, CLEARCTX_PROCESS_SCHEDULES: '3000' }
    runNode(['--test', '--test-reporter=dot', '__test__/lifecycle/schedules.spec.mjs'], { env })
  })
  await step('ten thousand sessions', () => {
    runNode(['--test', '--test-reporter=spec', '__test__/program/leaks.spec.mjs'], {
      env: { CLEARCTX_SESSIONS: '10000' },
    })
  })
  if (spawnSync('cargo', ['fuzz', '--version']).status !== 0) return console.log('clearctx: no cargo-fuzz, no fuzzing')
  for (const target of TARGETS) {
    await step(`fuzzing ${target}`, () => {
      const options = [`-max_total_time=${FUZZ_S}`, `-dict=${join(root, 'fuzz/journal.dict')}`]
      run('cargo', [...FUZZ, target, '--', ...options], { env: { RUSTC_BOOTSTRAP: '1' } })
    })
  }
})
