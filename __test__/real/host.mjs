// A host process of its own for tests: makes the calls of its job on a manager, prints what they gave as one line of
// JSON, and ends by itself, or stays until it is killed.
//
//   node host.mjs '{"options":{...},"calls":[["resume","name","message"]],"keep":false}'

import { SessionManager } from '../../index.js'

const { options, calls, keep } = JSON.parse(process.argv[2])
const manager = new SessionManager(options)
const results = []
for (const [method, ...args] of calls) {
  try {
    results.push({ value: await manager[method](...args) })
  } catch (error) {
    results.push({ error: { code: error.code, message: error.message } })
  }
}
process.stdout.write(`${JSON.stringify(results)}\n`)
if (keep) setInterval(() => {}, 60_000)
else await manager.close()
