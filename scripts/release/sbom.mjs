// npm run sbom: what is in the packages, as CycloneDX documents in target/sbom: one for what npm installs here, and one for
// the engine of each platform. Needs what scripts/build/pack.mjs made.
//
//   node scripts/release/sbom.mjs [PLATFORM...]      without a PLATFORM, all

import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { cargoTool, npm } from '../lib/cache.mjs'
import { packed } from '../lib/packed.mjs'
import { platform, platforms } from '../lib/platforms.mjs'
import { main, root, run, step } from '../lib/tools.mjs'

const CARGO_CYCLONEDX = '0.5.9'

const folder = join(root, 'target', 'sbom')

await main(async () => {
  const wanted = process.argv.slice(2)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await step('the packages', packages)
  const cyclonedx = await step('looking for cargo-cyclonedx', () => cargoTool('cargo-cyclonedx', CARGO_CYCLONEDX))
  for (const { name, target } of wanted.length > 0 ? wanted.map(platform) : platforms.values()) {
    await step(`the engine for ${name}`, () => engine(cyclonedx, name, target))
  }
})

/** What an installation of the packed files brings. */
async function packages() {
  const project = mkdtempSync(join(tmpdir(), 'clearctx-sbom-'))
  try {
    writeFileSync(join(project, 'package.json'), '{ "name": "installed", "version": "0.0.0", "private": true }\n')
    const { main: mainPackage, own } = packed()
    await npm(['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', mainPackage, own], project)
    writeFileSync(join(folder, 'clearctx.cdx.json'), await npm(['sbom', '--sbom-format=cyclonedx'], project))
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
}

/** The crates that are compiled for a target. The tool writes beside each Cargo.toml; the addon's document has them all. */
function engine(cyclonedx, name, target) {
  const args = ['--format', 'json', '--spec-version', '1.5', '--target', target, '--no-build-deps']
  run(cyclonedx, ['cyclonedx', '--quiet', ...args, '--override-filename', `sbom-${name}`], { what: 'cargo-cyclonedx' })
  renameSync(join(root, `sbom-${name}.json`), join(folder, `clearctx-${name}.cdx.json`))
  for (const crate of readdirSync(join(root, 'crates')))
    rmSync(join(root, 'crates', crate, `sbom-${name}.json`), { force: true })
}
