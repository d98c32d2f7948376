// npm run audit: known vulnerabilities of everything that is installed or compiled, and the licences, sources and versions of
// what is compiled (deny.toml).
//
// Databases of vulnerabilities are elsewhere than the registries. Where they cannot be reached, the script says so and goes
// on with the rest; with --strict, as at a release, it fails.

import { capture, cargoTool, npm } from '../lib/cache.mjs'
import { Problem, main, root, run, step } from '../lib/tools.mjs'

const CARGO_DENY = '0.20.2'

/** How the two tools say that they could not ask. */
const UNREACHABLE =
  /audit endpoint returned an error|failed to fetch advisory database|failed to (prepare fetch|connect)/i

const strict = process.argv.includes('--strict')

await main(async () => {
  const deny = await step('looking for cargo-deny', () =>
    cargoTool('cargo-deny', CARGO_DENY, ['--no-default-features']),
  )
  await step('licences, sources and versions of crates', () => {
    run(deny, ['--locked', '--log-level', 'warn', 'check', 'licenses', 'bans', 'sources'], { what: 'cargo-deny' })
  })
  await step('vulnerabilities of crates', () =>
    ifReachable('crates', () => capture(deny, ['--locked', 'check', 'advisories'], root)),
  )
  await step('vulnerabilities of npm packages', () =>
    ifReachable('npm packages', () => npm(['audit', '--loglevel=error'], root)),
  )
})

async function ifReachable(what, audit) {
  try {
    await audit()
  } catch (error) {
    if (!(error instanceof Problem) || !UNREACHABLE.test(error.message) || strict) throw error
    console.log(`clearctx: NOT CHECKED: the database of vulnerabilities of ${what} cannot be reached from here`)
  }
}
