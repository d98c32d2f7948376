// npm run build: the release build of the addon. `--debug` builds without optimisation; other arguments go to `napi build`.

import { buildAddon, installPackages, main, needNode } from '../lib/tools.mjs'

await main(async () => {
  const args = process.argv.slice(2)
  needNode()
  await installPackages()
  await buildAddon({ debug: args.includes('--debug'), args: args.filter((arg) => arg !== '--debug') })
})
