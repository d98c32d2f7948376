'use strict'

/**
 * Runs the CLI in the place of this program: same arguments, same input and output, same end. What it writes to standard
 * output also goes, line by line and scrubbed, into a transcript that the stand-in can replay.
 */

const { spawn } = require('child_process')
const { constants } = require('os')
const { createScrubber } = require('./scrub.js')
const { openTranscript } = require('./transcript.js')

const CLI = 'CLEARCTX_RECORD_CLI'
const TARGET = 'CLEARCTX_RECORD_TO'

/** Signals that are passed on; others cannot be caught, or end both. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']

const complain = (words) => process.stderr.write(`recorder: ${words}\n`)

const required = (name) => {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set`)
  return value
}

const start = (args) => {
  const cli = required(CLI)
  const transcript = openTranscript(required(TARGET), createScrubber(process.env, process.cwd()), complain)
  // Input and standard error need no copy. The CLI's tools see nothing of the recording.
  const env = { ...process.env, [CLI]: undefined, [TARGET]: undefined }
  const child = spawn(cli, args, { env, stdio: ['inherit', 'pipe', 'inherit'], windowsHide: true })
  return { child, transcript }
}

/** Copies the output at the pace of its reader. One that has gone away stops the copy, not the CLI. */
const copyOutput = (child, transcript) => {
  let isRead = true
  process.stdout.on('error', () => {
    isRead = false
    child.stdout.resume()
  })
  child.stdout.on('data', (chunk) => {
    transcript.write(chunk)
    if (!isRead || process.stdout.write(chunk)) return
    child.stdout.pause()
    process.stdout.once('drain', () => child.stdout.resume())
  })
}

/** Ends as the CLI has ended, when everything it wrote was passed on. */
const endLike = (code, signal) => {
  for (const name of SIGNALS) process.removeAllListeners(name)
  if (signal === null) {
    process.exitCode = code
    process.stdout.end()
    return
  }
  process.stdout.end(() => {
    process.kill(process.pid, signal)
    // Only where the signal cannot end this process: the way shells tell it.
    process.exitCode = 128 + (constants.signals[signal] ?? 0)
  })
}

const main = (args) => {
  let recording
  for (const signal of SIGNALS) process.on(signal, () => recording?.child.kill(signal))
  try {
    recording = start(args)
  } catch (error) {
    complain(error.message)
    process.exitCode = 1
    return
  }
  const { child, transcript } = recording
  copyOutput(child, transcript)
  child.on('error', (error) => {
    complain(error.message)
    transcript.close()
    process.exit(1)
  })
  child.on('close', (code, signal) => {
    transcript.close()
    endLike(code, signal)
  })
}

module.exports = { main }
