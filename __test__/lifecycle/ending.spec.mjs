/** stop and close: what is answered and recorded, when the name is free, and the steps to the end of a process. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { isAlive, until, world } from '../support/sessions.mjs'
import { gate, HABITS, near, PLAIN, record, rejection, standInLog, thrown, working } from '../support/turns.mjs'

/** A live session "a" in a turn that ends when the gate is opened. */
async function inTurn(t, options = {}, spawnOptions = {}) {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ ...options, env: { ...log.env, ...options.env } })
  const opened = gate(w, 'the answer')
  await m.spawn('a', { allowedTools: ['Bash'], ...spawnOptions })
  const session = m.sessions.get('a')
  const tool = working(session)
  const sentAt = Date.now()
  const answer = m.send('a', opened.message)
  answer.catch(() => {})
  await tool
  return { w, log, m, session, answer, sentAt, open: opened.open }
}

test('stop takes the session out of sessions at once, as stopped, and its process ends by the end of its input', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  const events = record(session, 'status', 'error', 'close')
  assert.equal(m.stop('a'), undefined)
  assert.equal(m.sessions.has('a'), false)
  assert.equal(session.status, 'stopped')
  assert.equal(m.status('a').status, 'stopped')
  assert.equal(w.readStore().a.status, 'stopped')
  assert.deepEqual(await session.closed, { code: 0, signal: null })
  assert.deepEqual(events, [
    ['status', 'stopped', 'ready'],
    ['close', 0, null],
  ])
  assert.equal(log.events('eof').length, 1)
  assert.deepEqual(log.events('signal'), [])
  assert.equal(w.readStore().a.pid, null)
  thrown(() => m.stop('a'), 'ERR_SESSION_NOT_ALIVE')
})

for (const habit of HABITS) {
  test(`a turn in flight at a stop is still answered and recorded, to the last byte (${habit} CLI)`, async (t) => {
    const { w, m, session, answer, open, log } = await inTurn(t, { env: standInEnv({ habit }) })
    m.stop('a')
    assert.equal(session.status, 'stopped')
    assert.deepEqual(m.history('a'), [])
    open()
    const { text, isError } = await answer
    assert.deepEqual([text, isError], ['the answer', false])
    assert.equal(m.history('a').length, 1)
    assert.equal(m.lastOutput('a').response, 'the answer')
    assert.equal('late' in m.lastOutput('a'), false)
    const { status, totalTurns, totalCostUsd, claudeSessionId } = w.readStore().a
    assert.deepEqual([status, totalTurns, claudeSessionId], ['stopped', 2, session.id])
    near(totalCostUsd, 2 * PLAIN[habit])
    await session.closed
    const [eof] = log.events('eof')
    assert.ok(eof.at >= Date.parse(m.lastOutput('a').timestamp), 'the input ended before the result was read')
  })

  test(`an answer of many MiB in flight at a stop comes whole (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit }) })
    await m.spawn('a')
    const begun = once(m.sessions.get('a'), 'init')
    const answer = m.send('a', 'stand-in: slow 50; big 8')
    await begun
    m.stop('a')
    assert.equal((await answer).text.length, 8 << 20)
    assert.equal(m.lastOutput('a').response.length, 8 << 20)
  })
}

test('messages in line at a stop are rejected and never reach the CLI', async (t) => {
  const { m, answer, open, log, session } = await inTurn(t)
  const queued = ['one', 'two'].map((message) => rejection(m.send('a', message), 'ERR_SESSION_STOPPED'))
  m.stop('a')
  for (const error of await Promise.all(queued)) assert.match(error.message, /^Session "a" was stopped/)
  await rejection(session.send('three'), 'ERR_SESSION_NOT_ALIVE')
  open()
  await answer
  await session.closed
  assert.equal(log.messages().length, 1)
})

test('the name is free at once; the end of the old session does not touch the new one', async (t) => {
  const { w, m, session, answer, open } = await inTurn(t)
  m.stop('a')
  const { response } = await m.spawn('a', { prompt: 'anew', tags: ['new'] })
  const next = m.sessions.get('a')
  assert.notEqual(next, session)
  open()
  assert.equal((await answer).text, 'the answer')
  assert.equal(session.interactions.length, 1, 'the old session has its turn')
  await session.closed
  assert.equal(m.sessions.get('a'), next)
  assert.equal(m.history('a').length, 1)
  const { interactions, claudeSessionId, status, totalTurns, tags, pid } = w.readStore().a
  assert.deepEqual(
    interactions.map(({ response: text }) => text),
    ['echo(2): anew'],
  )
  assert.deepEqual([claudeSessionId, status, totalTurns, tags], [response.sessionId, 'ready', 1, ['new']])
  assert.equal(pid, next.pid)
  assert.equal((await m.send('a', 'more')).text, 'echo(4): more')
})

test('the late turn of an old session is not added to a record that has taken its place', async (t) => {
  const { m, session, answer, open } = await inTurn(t)
  m.stop('a')
  m.store.delete('a')
  m.store.set('a', { name: 'a', status: 'stopped', note: 'by hand' })
  open()
  await answer
  await session.closed
  const { note, interactions } = m.store.get('a')
  assert.deepEqual([note, interactions], ['by hand', undefined])
})

test('a stop gives a turn the rest of its own time, and the end comes after that', async (t) => {
  const { m, session, answer, log, sentAt } = await inTurn(t, { stopTimeout: 100, defaultTimeout: 900 })
  m.stop('a')
  const error = await rejection(answer, 'ERR_TURN_TIMEOUT')
  assert.deepEqual([error.sent, error.stillRunning], [true, true])
  await session.closed
  const [eof] = log.events('eof')
  assert.ok(eof.at - sentAt >= 899, `end of input ${eof.at - sentAt} ms after the send`)
  assert.equal(log.events('signal')[0].signal, 'SIGINT')
})

test('a turn cut by the SIGINT of a stop is in the history as late and an error', async (t) => {
  const { m, session, answer, w } = await inTurn(t, { stopTimeout: 100, defaultTimeout: 500 })
  m.stop('a')
  await rejection(answer, 'ERR_TURN_TIMEOUT')
  assert.deepEqual(await session.closed, { code: 0, signal: null })
  const [interaction] = w.readStore().a.interactions
  assert.deepEqual([interaction.late, interaction.isError], [true, true])
  assert.equal(m.status('a').status, 'stopped')
})

test('a second stop or a pause of a stopped session object changes nothing', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  m.stop('a')
  session.stop()
  thrown(() => session.pause(), 'ERR_SESSION_NOT_ALIVE')
  assert.deepEqual(await session.closed, { code: 0, signal: null })
  session.stop()
  session.kill()
  assert.equal(session.status, 'stopped')
})

test('stopAll stops every live session and answers what is in flight', async (t) => {
  const { w, m, answer, open, session } = await inTurn(t)
  await m.spawn('b', { prompt: 'hello' })
  await m.spawn('c')
  m.pause('c')
  const sessions = [...m.sessions.values()]
  assert.equal(m.stopAll(), undefined)
  assert.equal(m.sessions.size, 0)
  assert.deepEqual(
    m
      .list('stopped')
      .map(({ name }) => name)
      .toSorted(),
    ['a', 'b', 'c'],
  )
  assert.deepEqual(
    Object.values(w.readStore()).map(({ status }) => status),
    Array(3).fill('stopped'),
  )
  open()
  assert.equal((await answer).text, 'the answer')
  for (const { closed } of sessions) assert.equal((await closed).code, 0)
  assert.equal(session.status, 'stopped')
  m.stopAll()
})

test('close stops all sessions and resolves when every process is gone and everything is written', async (t) => {
  const { w, m, answer, open, session } = await inTurn(t)
  await m.spawn('b', { prompt: 'hello' })
  const pids = [...m.sessions.values()].map(({ pid }) => pid)
  let settled = false
  const closing = m.close().finally(() => (settled = true))
  assert.equal(m.sessions.size, 0, 'what stopAll does is done before the promise is awaited')
  await m.store.flush()
  await until(() => !isAlive(pids[1]), 'the end of the idle session')
  assert.equal(settled, false, 'a turn is still in flight')
  open()
  assert.equal(await closing, undefined)
  assert.deepEqual(pids.filter(isAlive), [])
  assert.equal((await answer).text, 'the answer')
  const { a } = w.readStore()
  assert.deepEqual([a.status, a.interactions.length, a.pid], ['stopped', 1, null])
  assert.equal(session.status, 'stopped')
  await m.close()
})

test('close brings a big sessions.json up to date', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'stand-in: big 2' })
  await m.spawn('b', { prompt: 'hello' })
  for (let count = 0; count < 20; count += 1) await m.send('b', `m${count}`)
  await m.close()
  const { a, b } = w.readStore()
  assert.deepEqual([a.status, b.status], ['stopped', 'stopped'])
  assert.equal(a.interactions[0].response.length, 2 << 20)
  assert.equal(b.interactions.length, 21)
  near(b.totalCostUsd, 21 * PLAIN.newer)
})

test('close waits for sessions that were stopped or killed before', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'stand-in: linger 250; text x' })
  await m.spawn('b', { prompt: 'x' })
  const pids = [...m.sessions.values()].map(({ pid }) => pid)
  m.stop('a')
  m.kill('b')
  await m.close()
  assert.deepEqual(pids.filter(isAlive), [])
  assert.deepEqual([w.readStore().a.pid, w.readStore().b.pid], [null, null])
})

test('close with a timeout kills what still runs then', async (t) => {
  const { m, answer, session, w } = await inTurn(t)
  const killed = rejection(answer, 'ERR_SESSION_KILLED')
  const before = performance.now()
  await m.close({ timeout: 250 })
  assert.ok(performance.now() - before >= 249)
  assert.equal(isAlive(session.pid), false)
  await killed
  assert.equal((await session.closed).signal, 'SIGKILL')
  assert.equal(w.readStore().a.status, 'killed')
  // What was seen of the turn is booked, as an estimate.
  assert.deepEqual(
    m.history('a').map((turn) => [turn.response, turn.isError, turn.costEstimated]),
    [['', true, true]],
  )
})

test('close of a manager without sessions resolves', async (t) => {
  const m = world(t).manager()
  assert.equal(await m.close(), undefined)
  assert.equal(await m.close({ timeout: 1 }), undefined)
  assert.equal(await m.close(null), undefined)
})

describe('the steps to the end of a process', { concurrency: 3 }, () => {
  test('a CLI that ignores the end of its input gets SIGINT after stopTimeout', async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: log.env, stopTimeout: 400, killTimeout: 5000 })
    await m.spawn('a', { prompt: 'stand-in: no-read' })
    const session = m.sessions.get('a')
    const before = Date.now()
    m.stop('a')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    const [signal, ...more] = log.events('signal')
    assert.deepEqual([signal.signal, more], ['SIGINT', []])
    assert.ok(signal.at - before >= 399, `after ${signal.at - before} ms`)
    assert.equal(session.status, 'stopped')
  })

  test('one that ignores SIGINT too is killed killTimeout later, with all its children', async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: log.env, stopTimeout: 200, killTimeout: 300 })
    await m.spawn('a', { prompt: 'stand-in: ignore-signals' })
    const session = m.sessions.get('a')
    const children = JSON.parse((await m.send('a', 'stand-in: spawn-children 2')).text)
    const orphans = JSON.parse((await m.send('a', 'stand-in: spawn-orphans 2')).text)
    assert.equal([...children, ...orphans].filter(isAlive).length, 4)
    const before = Date.now()
    m.stop('a')
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    const took = Date.now() - before
    assert.equal(log.events('eof').length, 1)
    const [interrupt] = log.events('signal')
    assert.deepEqual([interrupt.signal, interrupt.ignored], ['SIGINT', true])
    assert.ok(interrupt.at - before >= 199, `SIGINT ${interrupt.at - before} ms after the stop`)
    assert.ok(took >= 499, `SIGKILL ${took} ms after the stop`)
    await m.close()
    assert.deepEqual([...children, ...orphans].filter(isAlive), [])
    assert.equal(w.readStore().a.status, 'stopped', 'it was a stop all the same')
  })

  test('a CLI that ends in time is not signalled', async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: log.env, stopTimeout: 3000, killTimeout: 50 })
    await m.spawn('a', { prompt: 'stand-in: linger 200; text x' })
    const { closed } = m.sessions.get('a')
    m.stop('a')
    assert.deepEqual(await closed, { code: 0, signal: null })
    assert.deepEqual(log.events('signal'), [])
    assert.equal(log.events('exit').length, 1)
  })

  test('a background task that the CLI waits for at the end of its input is bounded by stopTimeout', async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: log.env, stopTimeout: 300 })
    await m.spawn('a', { prompt: 'stand-in: background 60000 never; text x' })
    const session = m.sessions.get('a')
    m.stop('a')
    assert.equal((await session.closed).code, 0)
    assert.equal(log.events('signal')[0].signal, 'SIGINT')
  })

  test('a stop of a CLI that is still starting ends it', async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: log.env, stopTimeout: 200, killTimeout: 200 })
    await m.spawn('a')
    const session = m.sessions.get('a')
    m.stop('a')
    await session.closed
    assert.equal(isAlive(session.pid), false)
    assert.equal(m.status('a').status, 'stopped')
  })

  test('a kill while a stop is under way ends the process at once', async (t) => {
    const { m, session, answer, w } = await inTurn(t)
    const killed = rejection(answer, 'ERR_SESSION_KILLED')
    m.stop('a')
    m.kill('a')
    await killed
    session.kill()
    assert.equal((await session.closed).signal, 'SIGKILL')
    await m.close()
    assert.deepEqual([w.readStore().a.status, w.readStore().a.pid], ['killed', null])
  })
})
