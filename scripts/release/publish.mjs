// npm run release:publish: publishes what scripts/build/pack.mjs made: each platform's package, and the main one last, so that
// nobody can install it before all that it needs is there. What is published already is left alone: after a failure, run it again.
//
//   node scripts/release/publish.mjs [--dry-run] [--provenance]

import { basename } from 'node:path'

import { npm } from '../lib/cache.mjs'
import { packed } from '../lib/packed.mjs'
import { platform, platforms } from '../lib/platforms.mjs'
import { Problem, main, root, step } from '../lib/tools.mjs'

const flags = process.argv.slice(2)

await main(async () => {
  const { main: mainPackage, platforms: platformPackages } = packed()
  const missing = [...platforms.keys()].filter((name) => !platformPackages.has(name))
  if (missing.length > 0 && !flags.includes('--dry-run')) throw new Problem(`not packed: ${missing.join(', ')}`)
  const { version } = platform().manifest
  for (const [name, tarball] of platformPackages) await publish(`clearctx-${name}`, version, tarball)
  await publish('clearctx', version, mainPackage)
})

async function publish(name, version, tarball) {
  if (await isPublished(name, version)) {
    console.log(`clearctx: ${name}@${version} is there already`)
    return
  }
  // Whoever asks for no version must not get an alpha.
  const tag = /-([a-z]+)/.exec(version)?.[1] ?? 'latest'
  await step(`publishing ${basename(tarball)} as ${tag}`, () =>
    npm(['publish', tarball, '--access', 'public', '--tag', tag, '--loglevel=error', ...flags], root),
  )
}

async function isPublished(name, version) {
  try {
    return (await npm(['view', `${name}@${version}`, 'version', '--loglevel=error'], root)).trim() === version
  } catch (error) {
    if (/E404/.test(error.message)) return false
    throw error
  }
}
