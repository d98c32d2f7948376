// npm run release:collect -- FOLDER: puts what was built on other machines into npm/: FOLDER has one folder for each, with
// the files of a package, named as the artifacts of the workflow (`built-PLATFORM`).

import { cpSync, existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

import { platforms } from '../lib/platforms.mjs'
import { Problem, main } from '../lib/tools.mjs'

await main(() => {
  const from = resolve(process.argv[2] ?? 'built')
  for (const { name, folder, manifest } of platforms.values()) {
    for (const file of manifest.files) {
      const built = join(from, `built-${name}`, file)
      if (!existsSync(built)) throw new Problem(`${built} is missing`)
      cpSync(built, join(folder, file))
    }
  }
})
