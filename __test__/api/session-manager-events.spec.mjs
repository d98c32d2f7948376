/** The events of a manager: what each carries and when it comes, and that they collide with no subclass. */

import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { near, PLAIN, rejection, thrown } from '../support/turns.mjs'

// The test runner takes an uncaught exception for its own; this takes it out of its hands.
const uncaught = []
process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error.message))

/** All events of these types, in order. */
function heard(mgr, ...types) {
  const events = []
  for (const type of types) mgr.on(type, (event) => events.push(event))
  return events
}

test('a turn comes once for each finished turn, before its promise settles', async (t) => {
  const m = world(t).manager()
  const order = []
  m.on('turn', (event) => order.push(event))
  await m.spawn('a')
  m.sessions.get('a').on('result', () => order.push('result'))
  const note = ({ text }) => order.push(text)
  await Promise.all([m.send('a', 'one').then(note), m.send('a', 'two').then(note)])
  const [first, turn, text, , later] = order
  assert.deepEqual([first, text, order.length], ['result', 'echo(2): one', 6])
  assert.deepEqual(Object.keys(turn).toSorted(), ['interaction', 'name', 'response', 'type'])
  assert.deepEqual([turn.type, turn.name, turn.response.text], ['turn', 'a', 'echo(2): one'])
  near(turn.response.cost, PLAIN.newer)
  assert.equal(turn.interaction, m.history('a')[0])
  assert.equal(later.interaction, m.history('a')[1])
})

test('status and close come from every session: spawned, forked and resumed', async (t) => {
  const m = world(t).manager()
  const events = heard(m, 'status', 'turn', 'close')
  await m.spawn('a', { prompt: 'hello' })
  await m.fork('a', 'b')
  const { closed } = m.sessions.get('a')
  m.stop('a')
  await closed
  await m.resume('a', 'again')
  await m.close()
  const of = (name) => events.filter((event) => event.name === name)
  const lines = (name) => of(name).map(({ type, status, previous }) => (status ? `${previous}>${status}` : type))
  const rest = ['busy>ready', 'turn', 'ready>stopped', 'close']
  const life = ['starting>ready', 'ready>busy', ...rest]
  assert.deepEqual(lines('b'), ['starting>busy', ...rest])
  assert.deepEqual(lines('a'), [...life, ...life])
  const { type, code, signal } = of('b').at(-1)
  assert.deepEqual({ type, code, signal }, { type: 'close', code: 0, signal: null })
})

test('an error is an event with the session and the error, and without a listener it is dropped', async (t) => {
  const m = world(t).manager()
  await m.spawn('dropped')
  await rejection(m.send('dropped', 'stand-in: exit 3'), 'ERR_PROCESS_EXITED')
  const errors = heard(m, 'error')
  await m.spawn('a')
  const { closed } = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: exit 4'), 'ERR_PROCESS_EXITED')
  await closed
  assert.deepEqual(
    errors.map(({ type, name, error }) => [type, name, error.code, error.exitCode]),
    [['error', 'a', 'ERR_PROCESS_EXITED', 4]],
  )
})

test('a warning about a session is an event beside the warning of the process', async (t) => {
  const m = world(t).manager({ env: standInEnv({ forcedMode: 'plan' }) })
  const warnings = heard(m, 'warning')
  const ofProcess = []
  const listen = ({ code }) => ofProcess.push(code)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  await m.spawn('a', { permissionMode: 'acceptEdits', prompt: 'hello' })
  const [{ type, name, code, message }, ...others] = warnings
  assert.deepEqual([type, name, code, others], ['warning', 'a', 'CLEARCTX_PERMISSION_MODE', []])
  assert.match(message, /"plan".*"acceptEdits"|"acceptEdits".*"plan"/)
  assert.deepEqual(ofProcess, ['CLEARCTX_PERMISSION_MODE'])
})

test('a spawn or fork that replaces a record gives a warning, with what that session had cost', async (t) => {
  const m = world(t).manager()
  const ofProcess = []
  const listen = ({ code }) => ofProcess.push(code)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  await m.spawn('a', { prompt: 'hello' })
  const { claudeSessionId } = m.status('a')
  m.kill('a')
  const warnings = heard(m, 'warning')
  await m.spawn('a')
  const [{ name, code, message, replaced }, ...others] = warnings
  assert.deepEqual([name, code, others], ['a', 'CLEARCTX_RECORD_REPLACED', []])
  assert.equal(message, 'Session "a" replaced the record of a session that was killed, with 1 turn and $0.0001.')
  near(replaced.totalCostUsd, PLAIN.newer)
  assert.deepEqual(
    { ...replaced, totalCostUsd: 0 },
    { status: 'killed', claudeSessionId, totalCostUsd: 0, totalTurns: 1 },
  )

  await m.spawn('b', { prompt: 'hello' })
  m.stop('b')
  await m.fork('a', 'c').catch(() => {})
  await rejection(m.spawn('a'), 'ERR_SESSION_EXISTS')
  assert.equal(warnings.length, 1, 'where nothing was replaced nothing is said')
  await m.send('a', 'hello')
  await m.fork('a', 'b')
  assert.deepEqual(
    warnings.slice(1).map((event) => [event.name, event.replaced.status, event.replaced.totalTurns]),
    [['b', 'stopped', 1]],
  )
  assert.deepEqual(ofProcess, [])
})

test('once hears one event, off ends the listening, and both return the manager', async (t) => {
  const m = world(t).manager()
  const seen = []
  const listener = ({ status }) => seen.push(status)
  assert.equal(m.once('status', listener), m)
  await m.spawn('a')
  await m.send('a', 'one')
  assert.deepEqual(seen, ['ready'])
  assert.equal(m.on('status', listener), m)
  assert.equal(m.off('status', listener), m)
  m.once('status', listener).off('status', listener)
  m.off('turn', listener).off('status', () => {})
  await m.send('a', 'two')
  assert.deepEqual(seen, ['ready'])
})

test('a listener is a function, a type is a string', (t) => {
  const m = world(t).manager()
  for (const method of ['on', 'once']) {
    thrown(() => m[method]('turn'), 'ERR_INVALID_ARG_TYPE')
    thrown(() => m[method](5, () => {}), 'ERR_INVALID_ARG_TYPE')
  }
})

test('a listener that throws throws on its own: the next one hears, promises settle, the record is kept', async (t) => {
  const w = world(t)
  const m = w.manager()
  const types = ['status', 'turn', 'error', 'close']
  for (const type of types) {
    m.on(type, () => {
      throw new Error(`from ${type}`)
    })
  }
  const events = heard(m, ...types)
  assert.equal((await m.spawn('a', { prompt: 'one' })).response.text, 'echo(2): one')
  assert.equal(w.readStore().a.interactions.length, 1)
  const { closed } = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: exit 3'), 'ERR_PROCESS_EXITED')
  await closed
  assert.equal(m.status('a').status, 'failed')
  await m.spawn('b', { prompt: 'two' })
  m.stop('b')
  await m.close()
  for (const type of types) {
    const count = events.filter((event) => event.type === type).length
    assert.ok(count > 0, type)
    assert.equal(uncaught.filter((message) => message === `from ${type}`).length, count, type)
  }
})

test('a listener of the session that throws does not keep an event from the manager', async (t) => {
  const m = world(t).manager()
  const events = heard(m, 'turn', 'close')
  await m.spawn('a')
  for (const name of ['result', 'close']) {
    m.sessions.get('a').on(name, () => {
      throw new Error('from the session')
    })
  }
  await m.send('a', 'one')
  await m.close()
  assert.deepEqual(
    events.map(({ type }) => type),
    ['turn', 'close'],
  )
})

test('listening to the manager has no line of the CLI parsed', async (t) => {
  const m = world(t).manager()
  heard(m, 'turn', 'status', 'warning', 'error', 'close')
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  assert.deepEqual(session.eventNames(), [])
})

test('a subclass may have members of these names: none of ours is called through it', async (t) => {
  const foreign = (name) => () => assert.fail(`${name} was called`)
  class Mine extends SessionManager {
    constructor(options) {
      super(options)
      for (const name of ['on', 'once', 'off']) this[name] = foreign(name)
    }

    emit = foreign('emit')
    addListener = 5;
    [Symbol.asyncDispose ?? Symbol('none')] = foreign('asyncDispose')
  }
  class Emitting extends SessionManager {}
  Object.assign(Emitting.prototype, EventEmitter.prototype)
  Emitting.prototype.on = EventEmitter.prototype.on
  for (const [index, Class] of [Mine, Emitting].entries()) {
    const m = world(t).manager({}, Class)
    const name = `a${index}`
    if (Class === Emitting) m.on('turn', foreign('a listener of the program'))
    await m.spawn(name, { prompt: 'one' })
    m.pause(name)
    await m.resume(name, 'two')
    await m.fork(name, 'fork')
    await m.batch([{ name: 'batched' }])
    const { closed } = m.sessions.get('batched')
    await rejection(m.send('batched', 'stand-in: exit 3'), 'ERR_PROCESS_EXITED')
    await closed
    assert.deepEqual(await m.recover(), [])
    m.kill(name)
    m.delete('fork')
    await m.close()
  }
})
