// npm run pack: the packages as they are published, into target/packages: the main one, and that of each platform whose
// files are built (scripts/build/platform.mjs). What is tested and checked afterwards are these files, and they are published.
//
//   node scripts/build/pack.mjs [--all]        --all: fail unless all platforms are built
//
// The main package has the JavaScript as it was written, so stack traces need no source maps; only the stand-in, which is
// half of the source, is bundled and minified. No package has scripts or development dependencies.

import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { build } from 'esbuild'

import { npm } from '../lib/cache.mjs'
import { platforms } from '../lib/platforms.mjs'
import { Problem, main, root, step } from '../lib/tools.mjs'

const PACKAGES = join(root, 'target', 'packages')
const STAGE = join(PACKAGES, 'stage')

/** Every package has these, whatever its `files` say. */
const ALWAYS = ['README.md', 'package.json']

/** What only a checkout needs; it is private, so that nobody publishes it in the place of what is packed here. */
const NOT_PUBLISHED = ['private', 'scripts', 'devDependencies', 'overrides', 'napi', 'allowScripts']

await main(async () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const built = [...platforms.values()].filter(({ folder, manifest: { files } }) => {
    return files.every((file) => existsSync(join(folder, file)))
  })
  if (process.argv.includes('--all') && built.length < platforms.size) {
    const missing = [...platforms.keys()].filter((name) => !built.some((each) => each.name === name))
    throw new Problem(`not built: ${missing.join(', ')}`)
  }
  rmSync(PACKAGES, { recursive: true, force: true })
  for (const platform of built) await step(`packing ${platform.manifest.name}`, () => packPlatform(platform))
  await step('packing clearctx', () => packMain(manifest))
})

async function packPlatform({ folder, manifest }) {
  const stage = stageFor(manifest.name)
  for (const file of [...ALWAYS, ...manifest.files]) cpSync(join(folder, file), join(stage, file))
  // On its way from another machine a file may have lost its mode.
  for (const file of manifest.files) chmodSync(join(stage, file), 0o755)
  cpSync(join(root, 'LICENSE'), join(stage, 'LICENSE'))
  writeManifest(stage, manifest)
  await npm(['pack', stage, '--pack-destination', PACKAGES, '--loglevel=error'], PACKAGES)
}

async function packMain(manifest) {
  const stage = stageFor(manifest.name)
  for (const file of [...ALWAYS, 'LICENSE', ...manifest.files])
    cpSync(join(root, file), join(stage, file), { recursive: true })
  await bundle(stage, 'claude-stand-in.js', 'stand-in')
  await bundle(stage, 'recorder.js', 'recorder')
  const versions = [...platforms.values()].map(({ manifest: { name, version } }) => [name, version])
  writeManifest(stage, { ...manifest, optionalDependencies: Object.fromEntries(versions) })
  await npm(['pack', stage, '--pack-destination', PACKAGES, '--loglevel=error'], PACKAGES)
}

/** Makes one file of a program of `testing/` and the folder of its parts. */
async function bundle(stage, program, parts) {
  const outfile = join(stage, 'testing', program)
  await build({
    entryPoints: [join(root, 'testing', program)],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node20.3',
    allowOverwrite: true,
    logLevel: 'error',
  })
  chmodSync(outfile, 0o755)
  rmSync(join(stage, 'testing', parts), { recursive: true })
}

function stageFor(name) {
  const stage = join(STAGE, name)
  mkdirSync(stage, { recursive: true })
  return stage
}

function writeManifest(stage, manifest) {
  const published = Object.entries(manifest).filter(([key]) => !NOT_PUBLISHED.includes(key))
  const text = JSON.stringify({ ...Object.fromEntries(published), ...repository() }, null, 2)
  writeFileSync(join(stage, 'package.json'), `${text}\n`)
}

/** Where the packages are built: provenance must name it, and the registry compares. */
function repository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env
  return server && name ? { repository: { type: 'git', url: `git+${server}/${name}.git` } } : {}
}
