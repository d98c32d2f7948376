/** Where the stack of an error points: to the call of the program, not to the event loop in which the error was made. */

import assert from 'node:assert/strict'
import { mkdirSync, rmSync, rmdirSync } from 'node:fs'
import { inspect } from 'node:util'
import { test } from 'node:test'

import { rejection } from '../support/turns.mjs'
import { world } from '../support/sessions.mjs'

const here = /\n {4}at (async )?\S*callerOfIt\b.*stacks\.spec\.mjs:\d+:\d+/

/** The stack's beginning is the error as text, and the caller is in it. */
function hasCaller(error) {
  assert.ok(error.stack.startsWith(`${error.name}: ${error.message}`), error.stack)
  assert.match(error.stack, here)
  assert.match(inspect(error), here)
}

test('an awaited send names its caller: crash, timeout, kill, stop', async (t) => {
  const m = world(t).manager()
  for (const [message, act, code] of [
    ['stand-in: exit 3', () => {}, 'ERR_PROCESS_EXITED'],
    ['stand-in: slow 60000', () => {}, 'ERR_TURN_TIMEOUT'],
    ['stand-in: slow 60000', () => m.kill('a'), 'ERR_SESSION_KILLED'],
  ]) {
    await m.spawn('a')
    const session = m.sessions.get('a')
    async function callerOfIt() {
      const answer = m.send('a', message, code === 'ERR_TURN_TIMEOUT' ? 50 : undefined)
      act()
      await answer
    }
    hasCaller(await rejection(callerOfIt(), code))
    session.kill()
    await session.closed
  }
})

test('a send of a session without a manager names its caller', async (t) => {
  const session = world(t).session()
  session.start()
  async function callerOfIt() {
    await session.send('stand-in: exit 3')
  }
  hasCaller(await rejection(callerOfIt(), 'ERR_PROCESS_EXITED'))
})

test('spawn, resume and fork name their caller, awaited or not', async (t) => {
  const w = world(t)
  const m = w.manager()
  const exit = 'stand-in: exit 3'
  await m.spawn('source', { prompt: 'hello' })
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  const calls = {
    spawn: () => m.spawn('b', { prompt: exit }),
    resume: () => m.resume('a', exit),
    fork: () => m.fork('source', 'c', { message: exit }),
  }
  for (const call of Object.values(calls)) {
    function callerOfIt() {
      return call()
    }
    const error = await callerOfIt().catch((reason) => reason)
    assert.match(error.code, /^ERR_(PROCESS_EXITED|FORK_FAILED)$/)
    hasCaller(error)
  }
})

test('a recover that fails names its caller, awaited or not', async (t) => {
  const w = world(t)
  const m = w.manager()
  rmSync(w.sessionsFile, { force: true })
  mkdirSync(w.sessionsFile)
  function callerOfIt() {
    return m.recover()
  }
  const error = await callerOfIt().catch((reason) => reason)
  rmdirSync(w.sessionsFile)
  assert.equal(error.code, 'ERR_STORE')
  hasCaller(error)
})

test('the stack can be set, as that of any error', async (t) => {
  const m = world(t).manager()
  const error = await m.spawn('a', { prompt: 'stand-in: exit 3' }).catch((reason) => reason)
  error.stack = 'mine'
  assert.equal(error.stack, 'mine')
  assert.equal(Object.keys(error).includes('stack'), false)
})
