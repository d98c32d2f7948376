// stop() on the real CLI: a turn may end, nothing of it is lost, and nothing stays behind.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'

import { ENDLESS, background } from './messages.mjs'
import { createWorld, lives, stopped, until } from './support.mjs'

/** For a CLI that was interrupted, on a machine that has much else to do: its own end is what the tests are about. */
const PATIENCE_MS = 60_000

test('stop() ends the process in peace and keeps the record', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const live = manager.sessions.get('a')
  const { pid } = live
  manager.stop('a')
  assert.equal(manager.sessions.has('a'), false)
  assert.equal(manager.status('a').status, 'stopped')
  assert.deepEqual(await live.closed, { code: 0, signal: null })
  assert.equal(await lives(pid), false)
  await world.noProcessLeft()
  assert.equal(manager.status('a').status, 'stopped')
  assert.equal(manager.history('a').length, 1)
})

test('stop() lets the turn in flight end, records it, and rejects what waits in line', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const sending = manager.send('a', 'SLOW:800:second')
  const waiting = assert.rejects(manager.send('a', 'third'), { code: 'ERR_SESSION_STOPPED' })
  await world.api.waitFor((request) => request.text === 'SLOW:800:second')
  const live = manager.sessions.get('a')
  manager.stop('a')
  await waiting
  assert.equal((await sending).text, 'slow: second')
  assert.deepEqual(await live.closed, { code: 0, signal: null })
  assert.equal(manager.history('a').length, 2)
  assert.deepEqual(world.api.asked('third'), [])
  assert.equal(await manager.resume('a', 'RECALL').then(({ text }) => text), 'first | SLOW:800:second')
})

test('stop() in the middle of a long answer loses nothing of it', async (t) => {
  // 2.1.197 cuts what it has not written yet when its input ends.
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const command = 'LONG:100:30000'
  const sending = manager.send('a', command)
  await world.api.waitFor((request) => request.text === command)
  manager.stop('a')
  const { text } = await sending
  assert.ok(text.length >= 2_999_999 && text.trimEnd().endsWith('.'))
  assert.deepEqual(
    text.match(/w\d+/g),
    Array.from({ length: 100 }, (_, index) => `w${index}`),
  )
  assert.equal(manager.lastOutput('a').response, text)
})

test('stop() ends a tool that does not come to an end', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ stopTimeout: 300, killTimeout: PATIENCE_MS })
  await manager.spawn('a', { prompt: 'first', workDir: world.workDir, allowedTools: ['Bash'] })
  const sending = assert.rejects(manager.send('a', ENDLESS, 3_000), { code: 'ERR_TURN_TIMEOUT', sent: true })
  await until(() => existsSync(world.file('started')), 'the tool runs')
  const live = manager.sessions.get('a')
  manager.stop('a')
  await sending
  await live.closed
  await world.noProcessLeft()
})

test('stop() ends a text that streams on past its time', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ stopTimeout: 300, killTimeout: PATIENCE_MS })
  await manager.spawn('a', { prompt: 'first', workDir: world.workDir })
  const session = manager.sessions.get('a')
  const sending = assert.rejects(manager.send('a', 'DRIP:5000:20', 1_000), { code: 'ERR_TURN_TIMEOUT', sent: true })
  const asked = await world.api.waitFor(({ text }) => text.startsWith('DRIP'))
  manager.stop('a')
  await sending
  assert.deepEqual(await session.closed, { code: 0, signal: null })
  await until(() => asked.endedAt !== null, 'the CLI has hung up')
  assert.equal(asked.finished, false)
  // Now and then the CLI ends without a result for what it was interrupted in.
  const [, cut] = manager.history('a')
  if (cut !== undefined) assert.deepEqual([cut.isError, cut.late], [true, true])
  await world.noProcessLeft()
})

test('stop() does not wait for a command in the background', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ stopTimeout: 300, killTimeout: PATIENCE_MS })
  const { response } = await manager.spawn('a', {
    prompt: background(world.file('gate')),
    workDir: world.workDir,
    allowedTools: ['Bash'],
  })
  assert.match(response.text, /running in background/)
  const { signal } = await stopped(manager, 'a')
  assert.equal(signal, null)
  await world.noProcessLeft()
  assert.equal(manager.status('a').status, 'stopped')
})
