/** ERR_TURN_TIMEOUT: in line and in flight, what the CLI saw of it, late answers, and what comes after. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { reached, world } from '../support/sessions.mjs'
import { gate, HABITS, near, PLAIN, record, rejection, standInLog, working } from '../support/turns.mjs'

test('a message that times out in line is withdrawn: sent is false, and the CLI never sees it', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const tool = working(m.sessions.get('a'))
  const first = m.send('a', opened.message)
  const second = rejection(m.send('a', 'second', 80), 'ERR_TURN_TIMEOUT')
  const third = m.send('a', 'third')
  await tool
  const error = await second
  assert.deepEqual([error.sent, error.stillRunning], [false, false])
  assert.equal(error.message, 'Session "a" did not answer within 80 ms')
  opened.open()
  assert.equal((await first).text, 'done')
  assert.match((await third).text, /: third$/)
  assert.deepEqual(
    log.messages().map(({ text }) => text),
    [opened.message, 'third'],
  )
  assert.equal(m.history('a').length, 2)
})

for (const habit of HABITS) {
  test(`one that times out in flight goes on; its late answer is history, the next send comes after (${habit} CLI)`, async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: { ...log.env, ...standInEnv({ habit }) } })
    const opened = gate(w, 'late words')
    await m.spawn('a', { allowedTools: ['Bash'] })
    const session = m.sessions.get('a')
    const results = record(session, 'result')
    const tool = working(session)
    const late = rejection(m.send('a', opened.message, 400), 'ERR_TURN_TIMEOUT')
    await tool
    const error = await late
    assert.deepEqual([error.sent, error.stillRunning], [true, true])
    assert.equal(session.status, 'busy')
    assert.deepEqual(m.history('a'), [])
    const next = m.send('a', 'next')
    opened.open()
    assert.match((await next).text, /: next$/)
    const [interaction, after] = m.history('a')
    assert.deepEqual([interaction.prompt, interaction.response, interaction.late], [opened.message, 'late words', true])
    assert.equal('late' in after, false)
    assert.equal(results.length, 2)
    assert.equal(results[0][2], interaction)
    const [, message] = log.messages()
    assert.equal(message.text, 'next')
    assert.ok(message.at >= Date.parse(interaction.timestamp), 'the next message was written into the running turn')
    const saved = w.readStore().a
    assert.equal(saved.interactions[0].late, true)
    near(saved.totalCostUsd, 3 * PLAIN[habit])
    assert.equal(saved.totalTurns, 3)
  })
}

test('a late answer is stored although nobody sends anything after it', async (t) => {
  const w = world(t)
  const m = w.manager()
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  await rejection(m.send('a', opened.message, 100), 'ERR_TURN_TIMEOUT')
  const result = once(session, 'result')
  opened.open()
  await result
  assert.equal(w.readStore().a.interactions[0].late, true)
  assert.equal(session.status, 'ready')
  assert.equal(w.readStore().a.status, 'ready')
})

test('the clock starts at the call and includes waiting in line', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  const before = performance.now()
  const first = m.send('a', 'stand-in: slow 600; text first')
  const error = await rejection(m.send('a', 'stand-in: silent', 1500), 'ERR_TURN_TIMEOUT')
  const waited = performance.now() - before
  assert.equal((await first).text, 'first')
  assert.equal(error.sent, true)
  assert.ok(waited >= 1499, `after ${waited} ms`)
  assert.ok(waited < 2000, `${waited} ms: the clock started when the message was written`)
  m.kill('a')
})

test('the timeout of a call comes before that of the session, that before the default', async (t) => {
  const m = world(t).manager({ defaultTimeout: 90 })
  const expect = async (promise, ms) => {
    const error = await rejection(promise, 'ERR_TURN_TIMEOUT')
    assert.match(error.message, new RegExp(`within ${ms} ms$`))
  }
  await expect(m.spawn('default', { prompt: 'stand-in: silent' }), 90)
  await expect(m.spawn('own', { timeout: 110, prompt: 'stand-in: silent' }), 110)
  await expect(m.send('own', 'waits in line'), 110)
  await expect(m.send('own', 'waits in line', 60), 60)
  for (const notGiven of [undefined, null, 0]) await expect(m.send('own', 'waits in line', notGiven), 110)
  m.sessions.get('own').timeout = 70
  await expect(m.send('own', 'waits in line'), 70)
  assert.equal(m.sessions.has('own'), true, 'a timeout does not end the session')
  for (const name of ['default', 'own']) m.kill(name)
})

test('a turn that never begins times out as well, and kill ends it', async (t) => {
  const m = world(t).manager()
  for (const directive of ['mute', 'close-stdout', 'silent']) {
    const error = await rejection(
      m.spawn(directive, { prompt: `stand-in: ${directive}`, timeout: 300 }),
      'ERR_TURN_TIMEOUT',
    )
    assert.equal(error.sent, true, directive)
    const { closed } = m.sessions.get(directive)
    m.kill(directive)
    assert.equal((await closed).signal, 'SIGKILL')
    assert.deepEqual(m.history(directive), [])
  }
})

test('a CLI that reads no more input: a long message times out, nothing else hangs', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'stand-in: no-read' })
  await m.spawn('b')
  const stuck = rejection(m.send('a', 'x'.repeat(4 << 20), 400), 'ERR_TURN_TIMEOUT')
  assert.equal((await m.send('b', 'hello')).text, 'echo(2): hello')
  await stuck
  const { closed } = m.sessions.get('a')
  m.kill('a')
  assert.equal((await closed).signal, 'SIGKILL')
})

test('what waits in a paused session times out, and is not sent later', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const tool = working(session)
  const first = m.send('a', opened.message)
  const second = rejection(m.send('a', 'second', 500), 'ERR_TURN_TIMEOUT')
  await tool
  m.pause('a')
  opened.open()
  await first
  assert.equal((await second).sent, false)
  assert.equal(session.status, 'paused')
  await m.resume('a', 'third')
  assert.deepEqual(
    log.messages().map(({ text }) => text),
    [opened.message, 'third'],
  )
})

test('many timeouts at once each settle once, in line and in flight', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  const begun = once(session, 'init')
  const sends = Array.from({ length: 50 }, (_, at) => m.send('a', 'stand-in: silent', 300 + at))
  const errors = sends.map((send) => rejection(send, 'ERR_TURN_TIMEOUT'))
  await begun
  const sent = (await Promise.all(errors)).map((error) => error.sent)
  assert.deepEqual(sent, [true, ...Array(49).fill(false)])
  await reached(session, 'busy')
  m.kill('a')
})

test('a late error result is late and an error, and costs', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const result = once(m.sessions.get('a'), 'result')
  await rejection(m.send('a', 'stand-in: slow 300; error execution no luck', 100), 'ERR_TURN_TIMEOUT')
  const [response, interaction] = await result
  assert.deepEqual([response.isError, interaction.isError, interaction.late], [true, true, true])
  near(m.status('a').totalCostUsd, PLAIN.newer)
})

test('a process that dies in a turn that has timed out rejects nobody twice, and frees the name', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  const error = await rejection(m.send('a', 'stand-in: slow 300; exit 3', 100), 'ERR_TURN_TIMEOUT')
  assert.equal(error.stillRunning, true)
  assert.equal((await session.closed).code, 3)
  assert.equal(m.sessions.has('a'), false)
  assert.deepEqual(m.history('a'), [])
  assert.equal(m.status('a').status, 'failed')
})
