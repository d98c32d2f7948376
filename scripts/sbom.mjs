// npm run sbom: what is in the packages, as CycloneDX documents in target/sbom: one for the main package, and one for the
// engine of each platform.
//
//   node scripts/sbom.mjs [PLATFORM...]      without a PLATFORM, all

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { cargoTool, npm } from './cache.mjs'
import { platform, platforms } from './platforms.mjs'
import { main, root, run, step } from './tools.mjs'

const CARGO_CYCLONEDX = '0.5.9'

const folder = join(root, 'target', 'sbom')

await main(async () => {
  const wanted = process.argv.slice(2)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await step('the main package', async () => {
    const document = await npm(['sbom', '--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=library'], root)
    writeFileSync(join(folder, 'clearctx.cdx.json'), document)
  })
  const cyclonedx = await step('looking for cargo-cyclonedx', () => cargoTool('cargo-cyclonedx', CARGO_CYCLONEDX))
  for (const { name, target } of wanted.length > 0 ? wanted.map(platform) : platforms.values()) {
    await step(`the engine for ${name}`, () => engine(cyclonedx, name, target))
  }
})

/** The crates that are compiled for a target. The tool writes beside Cargo.toml. */
function engine(cyclonedx, name, target) {
  const args = ['--format', 'json', '--spec-version', '1.5', '--target', target, '--no-build-deps']
  run(cyclonedx, ['cyclonedx', '--quiet', ...args, '--override-filename', `sbom-${name}`], { what: 'cargo-cyclonedx' })
  renameSync(join(root, `sbom-${name}.json`), join(folder, `clearctx-${name}.cdx.json`))
}
