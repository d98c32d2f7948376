'use strict'

/** The file that a recording goes into: whole lines, each scrubbed. Never one that is there already. */

const fs = require('fs')
const path = require('path')

/** Names tried for one target; a conversation has one process for each start, resume and fork. */
const MOST_FILES = 10_000

/** `/d/name.ndjson`, `/d/name-2.ndjson`, `/d/name-3.ndjson`, ... */
const numbered = (file, number) => {
  const { dir, name, ext } = path.parse(file)
  return number === 1 ? file : path.join(dir, `${name}-${number}${ext}`)
}

const createFile = (file) => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  for (let number = 1; number <= MOST_FILES; number += 1) {
    try {
      // It may hold what the scrubber does not know: nobody else's to read.
      return fs.openSync(numbered(file, number), 'wx', 0o600)
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
  }
  throw new Error(`${file} and ${MOST_FILES} more are there already`)
}

/**
 * Opens the transcript. Text goes through as latin1, one character per byte, so that no byte changes that `scrub` does
 * not mean. A failed write is told once to `complain`; the recording then ends, the CLI goes on.
 */
const openTranscript = (file, scrub, complain) => {
  let descriptor = createFile(file)
  let rest = []
  const stop = () => {
    if (descriptor !== null) fs.closeSync(descriptor)
    descriptor = null
  }
  const save = (text) => {
    if (descriptor === null || text === '') return
    try {
      fs.writeFileSync(descriptor, Buffer.from(scrub(text), 'latin1'))
    } catch (error) {
      complain(`the recording ends here: ${error.message}`)
      stop()
    }
  }
  return {
    write(chunk) {
      const end = chunk.lastIndexOf(10) + 1
      if (end > 0) {
        save(Buffer.concat([...rest, chunk.subarray(0, end)]).toString('latin1'))
        rest = []
      }
      if (end < chunk.length) rest.push(chunk.subarray(end))
    },
    close() {
      save(Buffer.concat(rest).toString('latin1'))
      stop()
    },
  }
}

module.exports = { openTranscript }
