/** A session that ended unasked keeps its reason, and whoever it concerns is told. */

import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { rejection } from '../support/turns.mjs'

const WORDS = 'error: unknown option --nonsense'

/** A CLI that dies at once. */
function dyingCli(w) {
  const path = join(w.dir, 'claude')
  writeFileSync(path, `#!/bin/sh\necho '${WORDS}' >&2\nexit 1\n`)
  chmodSync(path, 0o755)
  return path
}

/** A manager that is busy after each start until the engine has seen the end of the process. */
class BusyManager extends SessionManager {
  _persist(name) {
    super._persist(name)
    const end = performance.now() + 10_000
    while (this.store.get(name).status !== 'failed') assert.ok(performance.now() < end, 'the process has ended')
  }
}

test('a CLI that dies before the first message is sent rejects in its own words', async (t) => {
  const w = world(t)
  const m = w.manager({ claudePath: dyingCli(w) }, BusyManager)
  const check = (error) => assert.ok(error.message.endsWith(WORDS), error.message)
  check(await rejection(m.spawn('a', { prompt: 'hello' }), 'ERR_PROCESS_EXITED'))
  m.store.set('b', { name: 'b', status: 'stopped', claudeSessionId: 'b', workDir: w.dir, model: 'm' })
  check(await rejection(m.resume('b', 'hello'), 'ERR_PROCESS_EXITED'))
  const [failed] = await m.batch([{ name: 'c', prompt: 'hello' }])
  check({ message: failed.error })
})

test('a CLI that dies at once always rejects in its own words', async (t) => {
  const w = world(t)
  const m = w.manager({ claudePath: dyingCli(w) })
  for (let i = 0; i < 50; i += 1) {
    const error = await rejection(m.spawn(`a${i}`, { prompt: 'hello' }), 'ERR_PROCESS_EXITED')
    assert.ok(error.message.endsWith(WORDS), error.message)
  }
})

test('a session that ended unasked keeps its reason until it is resumed', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  const exit = await rejection(m.send('a', 'stand-in: exit 3'), 'ERR_PROCESS_EXITED')
  const { code, message } = exit
  assert.deepEqual(m.status('a').lastError, { code, message })
  assert.deepEqual(w.manager().status('a').lastError, { code, message }, 'in another manager')

  const dead = await rejection(m.send('a', 'hello'), 'ERR_SESSION_NOT_ALIVE')
  assert.equal(dead.message, 'Session "a" is not alive. Use resume() to restore it.')
  assert.deepEqual([dead.cause.code, dead.cause.message], [code, message])

  await m.resume('a', 'hello again')
  m.stop('a')
  await m.close()
  assert.equal(w.manager().status('a').lastError, null)
})

test('a session without a manager tells the reason of its end, too', async (t) => {
  const session = world(t).session()
  session.start()
  const exit = await rejection(session.send('stand-in: exit 3'), 'ERR_PROCESS_EXITED')
  await session.closed
  const dead = await rejection(session.send('hello'), 'ERR_SESSION_NOT_ALIVE')
  assert.deepEqual([dead.cause.code, dead.cause.message, dead.cause.exitCode], [exit.code, exit.message, 3])
})

test('an end that was asked for is no reason', async (t) => {
  const m = world(t).manager()
  const { session } = await m.spawn('a', { prompt: 'hello' })
  const live = m.sessions.get(session.name)
  m.kill('a')
  await live.closed
  assert.equal(m.status('a').lastError, undefined)
  assert.equal((await rejection(m.send('a', 'hello'), 'ERR_SESSION_NOT_ALIVE')).cause, undefined)
})

test('an unknown conversation has one code, whether it is told by a result or on standard error', async (t) => {
  const w = world(t)
  const words = 'No conversation found with session ID: b'
  for (const fault of ['error-result', 'exit:1']) {
    const m = w.manager({ env: standInEnv({ start: `${fault}:${words}` }) })
    m.store.set('b', { name: 'b', status: 'stopped', claudeSessionId: 'b', workDir: w.dir, model: 'm' })
    const error = await rejection(m.resume('b', 'hello'), 'ERR_START_FAILED')
    assert.equal(error.message, `Session "b" failed to start: ${words}`)
    assert.deepEqual(error.failure, { kind: 'other' })
    await m.close()
  }
})
