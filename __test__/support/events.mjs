// Observes the events of sessions.

import { readFileSync } from 'node:fs'

/** All events of a session that are about the CLI, `message` aside. */
export const EVENTS = ['init', 'text', 'tool_use', 'tool_result', 'result', 'stderr', 'status', 'error', 'close']

/** Collects the events of a session from now on: `[name, ...arguments]` each. */
export function record(session, events = EVENTS) {
  const seen = []
  for (const event of events) session.on(event, (...args) => seen.push([event, ...args]))
  return seen
}

/** The names alone. */
export const namesOf = (seen) => seen.map(([name]) => name)

/** What the stand-in wrote into its log (`CLEARCTX_STAND_IN_LOG`), one object per event; empty before the first. */
export function readLog(file) {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return []
  }
}

/** Texts of the messages that reached the stand-in. */
export const messagesIn = (log) => log.filter(({ event }) => event === 'message').map(({ raw }) => raw.message.content)

/** Blocks this thread for so many ms: no event can be delivered meanwhile. */
export function block(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
