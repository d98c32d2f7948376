/** What errors say beyond code and message: which program has a session, and the error behind a batch's text. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SessionManager, isClearctxError } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'
import { rejection, thrown } from '../support/turns.mjs'

const TEXT = 'Session "a" is not alive. Use resume() to restore it.'

test('a send to a session of another program names that program, in the old words', async (t) => {
  const w = hostWorld(t)
  const host = w.host(async ({ manager, say }) => {
    const mgr = manager()
    await mgr.spawn('a', { prompt: 'hello' })
    say(process.pid)
    setInterval(() => {}, 1000)
  })
  const pid = await host.said()
  const m = w.manager()
  for (const error of [
    await rejection(m.send('a', 'hello'), 'ERR_SESSION_NOT_ALIVE'),
    thrown(() => m.pause('a'), 'ERR_SESSION_NOT_ALIVE'),
  ]) {
    assert.deepEqual([error.message, error.holderPid], [TEXT, pid])
  }
})

test('a send to a session that is nowhere alive names no program', async (t) => {
  const m = world(t).manager()
  assert.equal('holderPid' in (await rejection(m.send('a', 'hello'), 'ERR_SESSION_NOT_ALIVE')), false)
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  const error = await rejection(m.send('a', 'hello'), 'ERR_SESSION_NOT_ALIVE')
  assert.deepEqual([error.message, 'holderPid' in error], [TEXT, false])
})

test('a failed element of a batch has the error beside its text, where clearctx 3 programs do not see it', async (t) => {
  const m = world(t).manager()
  const [dies, wrong] = await m.batch([
    { name: 'a', prompt: 'stand-in: exit 3' },
    { name: 'b', model: 5 },
  ])
  assert.deepEqual([dies.cause.code, dies.cause.exitCode, dies.cause.message], ['ERR_PROCESS_EXITED', 3, dies.error])
  assert.equal(wrong.cause.code, 'ERR_INVALID_ARG_TYPE')
  assert.deepEqual(Object.keys(dies), ['session', 'error'])
})

test('isClearctxError knows our errors from those of Node with the same code, and from anything else', async (t) => {
  const m = world(t).manager()
  const [rejected] = await m.batch([{ name: 'a', prompt: 'stand-in: exit 3' }])
  const ours = [
    rejected.cause,
    thrown(() => m.pause(5), 'ERR_INVALID_ARG_TYPE'),
    thrown(() => m.cleanup(-1), 'ERR_INVALID_ARG_VALUE'),
    thrown(() => m.status('nobody'), 'ERR_SESSION_NOT_FOUND'),
    await rejection(m.fork('nobody', 'b'), 'ERR_SESSION_NOT_FOUND'),
  ]
  for (const error of ours) assert.equal(isClearctxError(error), true, error.code)
  const others = [thrown(() => Buffer.from(5), 'ERR_INVALID_ARG_TYPE'), new Error('x'), null, undefined, 'x', {}, m]
  for (const value of others) assert.equal(isClearctxError(value), false)
})

test('a manager that is disposed of has closed', async (t) => {
  const m = world(t).manager()
  const symbol = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  await m[symbol]()
  assert.deepEqual([m.sessions.size, session.status], [0, 'stopped'])
  assert.equal((await session.closed).code, 0)
  assert.equal(Object.hasOwn(SessionManager.prototype, symbol), true)
})
