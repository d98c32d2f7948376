'use strict'

/** Waiting for what happens outside: a file that a test makes when the stand-in may go on. */

const fs = require('fs')
const path = require('path')

/**
 * Call `done` once the file exists.
 * @returns {() => void} ends the wait
 */
const onceExists = (file, done) => {
  const folder = path.dirname(path.resolve(file))
  let over = false
  const stop = () => {
    over = true
    watcher.close()
  }
  const look = () => {
    if (over || !fs.existsSync(file)) return
    stop()
    done()
  }
  const watcher = fs.watch(folder, look)
  // It may have been there before the watch began.
  setImmediate(look)
  return stop
}

module.exports = { onceExists }
