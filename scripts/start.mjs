// npm start: from a fresh clone to the demo. Installs and builds what is missing, then runs examples/main-job.mjs with the
// arguments given (`npm start -- --real` drives the installed Claude Code CLI instead of the bundled stand-in).

import { main, prepare, runNode } from './lib/tools.mjs'

// Ctrl-C reaches the demo as well, which ends its sessions; wait for that.
process.on('SIGINT', () => {})

await main(async () => {
  await prepare()
  console.log()
  runNode(['examples/main-job.mjs', ...process.argv.slice(2)], { what: 'the demo' })
})
