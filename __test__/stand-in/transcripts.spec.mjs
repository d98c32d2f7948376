/** Every recorded conversation of the real CLI, replayed: each message gets its own answer, the money adds up. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { near, record, rejection, UUID } from '../support/turns.mjs'

const folder = new URL('../fixtures/transcripts/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.ndjson'))

/** The lines that are JSON objects. */
function read(name) {
  const objects = []
  for (const line of readFileSync(new URL(name, folder), 'utf8').split('\n')) {
    try {
      const value = JSON.parse(line)
      if (typeof value === 'object' && value !== null) objects.push(value)
    } catch {
      // Log text between the lines.
    }
  }
  return objects
}

/** Cost of each result: its own figure if it has one, else what the running total has grown by. */
function costsOf(results) {
  let last = 0
  return results.map(({ total_cost_usd: total, model_usage_since_last_result: own }) => {
    const cost = total < last ? total : total - last
    last = total
    return own ? Object.values(own).reduce((sum, { costUSD }) => sum + costUSD, 0) : cost
  })
}

const needsControl = (lines) => lines.some(({ type }) => type.startsWith('control_'))
const hasInit = (lines) => lines.some(({ subtype }) => subtype === 'init')
const resultsOf = (lines) => lines.filter(({ type }) => type === 'result')

describe('recorded conversations', { concurrency: 3 }, () => {
  for (const name of names) {
    const lines = read(name)
    const results = resultsOf(lines)
    // What waits for answers to control requests, which clearctx does not make.
    if (needsControl(lines) || results.length === 0 || !hasInit(lines)) continue

    test(name, async (t) => {
      const w = world(t)
      const m = w.manager({ env: standInEnv({ transcript: new URL(name, folder).pathname, exitCode: 0 }) })
      const { permissionMode } = lines.find(({ subtype }) => subtype === 'init')
      await m.spawn('a', { permissionMode })
      const session = m.sessions.get('a')
      const messages = record(session, 'message')
      const errors = record(session, 'error')
      const all = new Promise((resolve) => {
        session.on('result', () => m.history('a').length === results.length && resolve())
      })
      for (const expected of results.filter(({ origin }) => !origin)) {
        const { text, isError, subtype, turns, sessionId, usage, errors: words } = await m.send('a', 'x', 10_000)
        assert.equal(text, expected.result ?? '')
        assert.deepEqual([isError, subtype, turns], [expected.is_error, expected.subtype, expected.num_turns])
        assert.equal(sessionId, expected.session_id)
        assert.deepEqual(usage, expected.usage)
        assert.deepEqual(words, expected.errors ?? [])
        assert.match(sessionId, UUID)
      }
      await all
      const costs = costsOf(results)
      const history = m.history('a')
      history.forEach(({ cost }, at) => near(cost, costs[at], `cost of result ${at}`))
      assert.deepEqual(
        history.map(({ type }) => type === 'background'),
        results.map(({ origin }) => Boolean(origin)),
      )
      near(
        w.readStore().a.totalCostUsd,
        costs.reduce((sum, cost) => sum + cost, 0),
      )
      assert.equal(m.status('a').id, lines.findLast(({ session_id: id }) => id).session_id)
      assert.deepEqual(errors, [])
      m.stop('a')
      await m.close()
      assert.equal(messages.length, lines.length, 'every line is a message event')
      assert.deepEqual(m.history('a'), JSON.parse(JSON.stringify(history)))
    })
  }
})

for (const [name, words] of [
  ['resume-unknown', /No conversation found with session ID: 99999999/],
  ['content-null', /null is not an object/],
]) {
  test(`${name}.ndjson is a failed start with the words of the CLI`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ transcript: new URL(`${name}.ndjson`, folder).pathname }) })
    const error = await rejection(m.spawn('a', { prompt: 'x' }), 'ERR_START_FAILED')
    assert.match(error.message, words)
    assert.equal(m.store.get('a').status, 'failed')
  })
}

test('a recording that ends in mid-turn, as after SIGTERM, is an exit without an answer', async (t) => {
  const w = world(t)
  const transcript = new URL('sigterm-busy.ndjson', folder).pathname
  const m = w.manager({ env: standInEnv({ transcript, exitCode: 143 }) })
  const error = await rejection(m.spawn('a', { prompt: 'x', timeout: 600 }), 'ERR_TURN_TIMEOUT')
  assert.equal(error.stillRunning, true)
  const { closed } = m.sessions.get('a')
  m.stop('a')
  assert.deepEqual(await closed, { code: 143, signal: null })
  assert.deepEqual(m.history('a'), [])
})
