// A file of tests that does not end would hold up the whole run, and Node's test runner does not say what it waits for.

import { basename } from 'node:path'

/** Longer than any file takes on a machine that has much else to do, and less than the limit in run.mjs. */
const FILE_MS = 480_000

let lastTest = 'none'

/** Notes that a test has begun. */
export function testBegins(name) {
  lastTest = name
}

// It does not keep the process alive: if it fires, something else does.
setTimeout(() => {
  const resources = process.getActiveResourcesInfo().join(', ')
  const file = basename(process.argv[1])
  console.error(`${file} has not ended after ${FILE_MS / 1000} s. Its last test: "${lastTest}". Open: ${resources}`)
  process.exit(1)
}, FILE_MS).unref()
