// npm run release:check: whether this is one version in all places, described in the changelog, and the one that is tagged.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { platforms } from '../lib/platforms.mjs'
import { Problem, main, root } from '../lib/tools.mjs'

await main(() => {
  const read = (file) => readFileSync(join(root, file), 'utf8')
  const { version } = JSON.parse(read('package.json'))
  const wrong = []
  const check = (place, found) => found === version || wrong.push(`${place} has ${found}`)
  check('Cargo.toml', /^version = "(.*)"$/m.exec(read('Cargo.toml'))?.[1])
  check('package-lock.json', JSON.parse(read('package-lock.json')).version)
  for (const { name, manifest } of platforms.values()) check(`npm/${name}`, manifest.version)
  if (!read('CHANGELOG.md').includes(`\n## [${version}]`)) wrong.push('CHANGELOG.md has no chapter for it')
  const { GITHUB_REF_TYPE: type, GITHUB_REF_NAME: tag } = process.env
  if (type === 'tag' && tag !== `v${version}`) wrong.push(`the tag is ${tag}`)
  if (wrong.length > 0) throw new Problem(`the version is ${version}, but ${wrong.join(', ')}`)
  console.log(`clearctx: ${version} everywhere`)
})
