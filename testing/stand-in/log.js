'use strict'

/** What the process saw, one JSON object a line, for tests that check it from outside. */

const fs = require('fs')

/** @param {string | undefined} path file to append to; nothing is logged without one */
const openLog = (path) => (event, details) => {
  if (!path) return
  const entry = { at: Date.now(), pid: process.pid, event, ...details }
  fs.appendFileSync(path, JSON.stringify(entry) + '\n')
}

module.exports = { openLog }
