// The packages that scripts/build/pack.mjs made.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { platform, platforms } from './platforms.mjs'
import { Problem, root } from './tools.mjs'

const folder = join(root, 'target', 'packages')

/** Files of the packages: the main one, those of the platforms by name, and this platform's. */
export function packed() {
  const found = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.tgz')) : []
  const fileOf = ({ name, version }) => found.find((file) => file === `${name}-${version}.tgz`)
  const all = [...platforms.values()].flatMap(({ name, manifest }) => {
    const file = fileOf(manifest)
    return file === undefined ? [] : [[name, join(folder, file)]]
  })
  const mainFile = fileOf({ name: 'clearctx', version: platform().manifest.version })
  const own = new Map(all).get(platform().name)
  if (mainFile === undefined || own === undefined) {
    throw new Problem('nothing is packed: run "node scripts/build/platform.mjs" and "npm run pack" first')
  }
  return { main: join(folder, mainFile), platforms: new Map(all), own }
}
