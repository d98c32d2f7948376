// The inside of a program that a test starts with `hosts.mjs`: a module whose default export gets these helpers. Nothing
// of clearctx is loaded before the program asks for it.

import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

const require = createRequire(import.meta.url)

/** Runs a program: `program(helpers, ...args)`. Called by the module that `hosts.mjs` writes. */
export function run(program) {
  const { dataDir, modules, args } = isMainThread ? JSON.parse(process.env.CLEARCTX_TEST_HOST) : workerData
  const clearctx = () => require('../../index.js')
  return program(
    {
      dataDir,
      /** clearctx, loaded at the first call. */
      clearctx,
      /** A manager on the test's directory. */
      manager: (options) => new (clearctx().SessionManager)({ dataDir, ...options }),
      /** One JSON value to whoever started this program or worker. */
      say,
      /** The next JSON value from there. */
      heard,
      /** A worker thread of this program, with the module of this name. */
      worker: (name, ...given) => new Worker(modules[name], { workerData: { dataDir, modules, args: given } }),
    },
    ...args,
  )
}

function say(value) {
  if (isMainThread) writeSync(1, `${JSON.stringify(value)}\n`)
  else parentPort.postMessage(value)
}

let unread = ''
let waiting

function heard() {
  if (!isMainThread) {
    return new Promise((resolve) => parentPort.once('message', resolve))
  }
  return new Promise((resolve) => {
    waiting = resolve
    if (!process.stdin.listenerCount('data')) process.stdin.setEncoding('utf8').on('data', onData)
    process.stdin.ref()
    onData('')
  })
}

function onData(text) {
  unread += text
  const end = unread.indexOf('\n')
  if (end < 0 || waiting === undefined) return
  const line = unread.slice(0, end)
  unread = unread.slice(end + 1)
  const resolve = waiting
  waiting = undefined
  // Only waiting for a word keeps the program alive.
  process.stdin.unref()
  resolve(JSON.parse(line))
}
