/** Exceptions of listeners are the program's, as with any EventEmitter; they lose no turn and leave no process. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'

// The test runner takes an uncaught exception for its own; this takes it out of its hands.
const uncaught = []
process.setUncaughtExceptionCaptureCallback((error) => uncaught.push(error.message))

function throwFrom(session, ...names) {
  for (const name of names) {
    session.on(name, () => {
      throw new Error(`from ${name}`)
    })
  }
}

const texts = (sends) => Promise.all(sends).then((answers) => answers.map(({ text }) => text))

test('listeners of messages, results and inits that throw lose neither a turn nor what comes behind', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  await m.spawn('b')
  const names = ['init', 'message', 'text', 'result']
  throwFrom(m.sessions.get('a'), 'init', 'message', 'result')
  throwFrom(m.sessions.get('b'), 'text')
  assert.deepEqual(await texts(['one', 'two'].map((message) => m.send('a', message))), ['echo(2): one', 'echo(4): two'])
  assert.equal((await m.send('b', 'one')).text, 'echo(2): one')
  assert.equal(m.history('a').length, 2)
  assert.equal(m.status('a').status, 'ready')
  for (const name of names) assert.ok(uncaught.includes(`from ${name}`), name)
})

test('a status listener that throws does not keep an answer from its send', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  throwFrom(m.sessions.get('a'), 'status')
  assert.deepEqual(await texts([m.send('a', 'one'), m.send('a', 'two')]), ['echo(2): one', 'echo(4): two'])
})

test('error and close listeners that throw do not keep the session in sessions, nor close() waiting', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  throwFrom(session, 'error', 'close')
  await assert.rejects(m.send('a', 'stand-in: exit 3'), { code: 'ERR_PROCESS_EXITED' })
  assert.deepEqual(await session.closed, { code: 3, signal: null })
  assert.equal(m.sessions.has('a'), false)
  assert.equal(m.status('a').status, 'failed')
  await m.close()
})

test('a status listener of _wireEvents that throws leaves no process that nobody knows', async (t) => {
  class Mine extends SessionManager {
    _wireEvents(session) {
      throwFrom(session, 'status')
    }
  }
  const m = world(t).manager({ env: standInEnv({ maxLife: 5000 }) }, Mine)
  const spawned = await m.spawn('a').then(
    () => true,
    () => false,
  )
  // Either it counts as a failed start, with nothing left, or the session is there like any other.
  assert.equal(m.sessions.has('a'), spawned)
  assert.equal(m.store.get('a') !== null, spawned)
  await m.close()
})

test('a listener that throws while a session is stopped or killed does not keep it alive', async (t) => {
  const m = world(t).manager()
  for (const end of ['stop', 'kill', 'delete', 'stopAll']) {
    await m.spawn('a', { prompt: 'hello' })
    const session = m.sessions.get('a')
    throwFrom(session, 'status')
    try {
      m[end]('a')
    } catch (error) {
      assert.equal(error.message, 'from status')
    }
    assert.equal(m.sessions.has('a'), false, end)
    await session.closed
    if (end !== 'delete') assert.ok(['stopped', 'killed'].includes(m.status('a').status), m.status('a').status)
  }
})

/** A manager all of whose sessions have a status listener that throws. */
class Throwing extends SessionManager {
  static sessions = []
  _wireEvents(session) {
    session.on('status', (status) => {
      if (status !== 'ready' && status !== 'busy') throw new Error('from status')
    })
    Throwing.sessions.push(session)
  }
}

test('a listener that throws in delete() keeps neither the process nor the record', async (t) => {
  const m = world(t).manager({}, Throwing)
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  assert.throws(() => m.delete('a'), { message: 'from status' })
  await session.closed
  assert.equal(m.store.get('a'), null)
  assert.equal(m.sessions.has('a'), false)
})

test('listeners that throw in close() keep no other session alive: idle, busy, or a fork in flight', async (t) => {
  const m = world(t).manager({}, Throwing)
  const names = ['a', 'b', 'c']
  await m.batch(names.map((name) => ({ name, prompt: 'hello' })))
  const forks = ['d', 'e'].map((name) => m.fork('a', name, { message: 'stand-in: slow 60000' }))
  const sends = ['b', 'c'].map((name) => m.send(name, 'stand-in: slow 60000'))
  const settled = Promise.allSettled([...forks, ...sends])
  const sessions = Throwing.sessions.slice(-5)
  await assert.rejects(m.close({ timeout: 200 }), { message: 'from status' })
  const ended = await Promise.all(sessions.map((session) => session.closed.then(() => session.status)))
  assert.deepEqual(ended, ['stopped', 'killed', 'killed', 'killed', 'killed'])
  for (const { status } of await settled) assert.equal(status, 'rejected')
  for (const name of names) assert.ok(['stopped', 'killed'].includes(m.store.get(name).status), name)
})
