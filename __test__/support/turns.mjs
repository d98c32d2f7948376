// What tests of turns need beside `sessions.mjs`: turns that end when the test says so, the stand-in's log, recordings
// made by hand, and short forms of the usual assertions.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { standInEnv } from '../../testing/index.js'
import { until } from './sessions.mjs'

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
export const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Price of a plain turn (10 + 5 tokens) of the stand-in, in USD, by habit. */
export const PLAIN = { newer: 0.00014, older: 0.000175 }

export const HABITS = ['newer', 'older']

/** The error of a promise that must reject with this code. */
export async function rejection(promise, code) {
  const error = await promise.then(
    (value) => assert.fail(`resolved, instead of ${code}, with ${JSON.stringify(value)?.slice(0, 300)}`),
    (reason) => reason,
  )
  assert.equal(error.code, code, error.stack)
  return error
}

/** What a call throws; it must have this code. */
export function thrown(call, code) {
  try {
    call()
  } catch (error) {
    assert.equal(error.code, code, error.stack)
    return error
  }
  return assert.fail(`nothing was thrown, instead of ${code}`)
}

/** Amounts of money are equal. */
export function near(actual, expected, what = 'amount') {
  assert.equal(typeof actual, 'number', what)
  assert.ok(Math.abs(actual - expected) < 1e-9, `${what}: ${actual} instead of ${expected}`)
}

/** The log of all stand-ins of a test: variables for their environment, and what they wrote. */
export function standInLog(w) {
  const file = join(w.dir, 'stand-in.log')
  const entries = () => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').map(parseOrNull) : [])
  const events = (event) => entries().filter((entry) => entry?.event === event)
  return {
    env: standInEnv({ log: file }),
    /** Entries of one kind: `start` (`argv`, `cwd`), `message` (`raw`), `signal`, `eof`, `exit`; each has `pid`, `at`. */
    events,
    /** The user messages that the stand-ins received. */
    messages: () => events('message').map(({ raw, at, pid }) => ({ ...raw, text: raw.message.content, at, pid })),
    /** Arguments of each start. */
    arguments: () => events('start').map(({ argv }) => argv),
  }
}

// The last line may be half written.
function parseOrNull(line) {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

let gates = 0

/** A turn that ends when the test opens the gate. Needs `allowedTools: ['Bash']`; costs two model calls. */
export function gate(w, answer = 'done') {
  const file = join(w.dir, `gate-${(gates += 1)}`)
  const command = `until [ -e '${file}' ]; do sleep 0.01; done`
  return {
    message: `stand-in: tool Bash ${JSON.stringify({ command })}; text ${answer}`,
    open: () => writeFileSync(file, ''),
  }
}

/** Resolves when the session's next turn has come to its tool: the CLI has the message and works. */
export const working = (session) => once(session, 'tool_use')

/** All events of these names, in order, as `[name, ...arguments]`. */
export function record(session, ...names) {
  const seen = []
  for (const name of names) session.on(name, (...args) => seen.push([name, ...args]))
  return seen
}

/** Resolves when the stand-ins have logged `count` entries of this kind. */
export const logged = (log, event, count = 1) =>
  until(() => log.events(event).length >= count, `${count} entries "${event}" in the stand-in's log`)

/** Writes a recording for the stand-in to replay; its path. Strings go out as they are. */
export function recording(w, name, lines) {
  const file = join(w.dir, `${name}.ndjson`)
  writeFileSync(file, lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''))
  return file
}

export const SESSION_ID = '11111111-2222-4333-8444-555555555555'

/** Lines of a recording. */
export const init = (fields = {}) => ({ type: 'system', subtype: 'init', session_id: SESSION_ID, ...fields })

/** A result line; `tokens` of the turn and `total` over the process become `usage` and `modelUsage`. */
export function result(text, { tokens = 15, total = tokens, ...fields } = {}) {
  const usage = { input_tokens: tokens, output_tokens: 0 }
  const modelUsage = { m: { inputTokens: total, outputTokens: 0, costUSD: fields.total_cost_usd ?? 0 } }
  const base = { type: 'result', subtype: 'success', is_error: false, num_turns: 1, duration_ms: 1 }
  return { ...base, result: text, session_id: SESSION_ID, usage, modelUsage, permission_denials: [], ...fields }
}
