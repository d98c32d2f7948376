/** resume: of live, paused and stored sessions, of conversations that are gone, and while the old process still ends. */

import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { StreamSession } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { isAlive, reached, until, world } from '../support/sessions.mjs'
import { gate, HABITS, logged, near, PLAIN, record, rejection, standInLog, working } from '../support/turns.mjs'

const GONE = '99999999-9999-4999-8999-999999999999'

/** A manager with a stopped session "a" that has had one turn, and the log of its processes. */
async function stopped(t, options = {}, spawnOptions = {}) {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ ...options, env: { ...log.env, ...options.env } })
  await m.spawn('a', { prompt: 'hello', ...spawnOptions })
  m.stop('a')
  await m.close()
  return { w, log, m }
}

test('resume of a live session resolves null, or answers its message', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  assert.equal(await m.resume('a'), null)
  assert.equal((await m.resume('a', 'more')).text, 'echo(4): more')
  assert.equal(m.sessions.get('a'), session)
  assert.equal(m.history('a').length, 2)
})

test('resume of a paused session makes it ready, in the record too, and answers its message', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  m.pause('a')
  const resumed = m.resume('a')
  assert.equal(m.status('a').status, 'ready')
  assert.equal(w.readStore().a.status, 'ready')
  assert.equal(await resumed, null)
  m.pause('a')
  assert.equal((await m.resume('a', 'more')).text, 'echo(4): more')
  assert.equal(m.status('a').status, 'ready')
})

test('resume of an unknown name, or of one that never had a turn, rejects', async (t) => {
  const m = world(t).manager()
  const unknown = await rejection(m.resume('nobody', 'x'), 'ERR_SESSION_NOT_FOUND')
  assert.equal(unknown.message, 'Session "nobody" not found.')
  await m.spawn('new')
  m.stop('new')
  await m.close()
  const noId = await rejection(m.resume('new'), 'ERR_NO_SESSION_ID')
  assert.equal(noId.message, 'Session "new" has no session ID. Cannot restore.')
  assert.equal(m.sessions.size, 0)
})

for (const habit of HABITS) {
  test(`a stopped session goes on with its conversation, history and totals (${habit} CLI)`, async (t) => {
    const { m, log, w } = await stopped(t, { env: standInEnv({ habit }) })
    const before = m.store.get('a')
    const answer = m.resume('a', 'recall')
    assert.ok(m.sessions.get('a') instanceof StreamSession, 'live before the promise is awaited')
    assert.equal(m.history('a').length, 1)
    assert.equal(m.status('a').id, before.claudeSessionId)
    assert.equal((await answer).text, 'hello')
    assert.equal((await answer).sessionId, before.claudeSessionId)
    assert.deepEqual(log.arguments()[1].slice(-2), ['--resume', before.claudeSessionId])
    assert.equal(m.history('a').length, 2)
    const { created, totalTurns, totalCostUsd, interactions } = w.readStore().a
    assert.deepEqual([created, totalTurns, interactions.length], [before.created, 2, 2])
    assert.deepEqual(interactions[0], before.interactions[0])
    near(totalCostUsd, 2 * PLAIN[habit])
    assert.equal(m.status('a').totalTurns, 2)
  })
}

test('resume without a message resolves null at once; the record says so and the next send is answered', async (t) => {
  const { m, w } = await stopped(t, { env: standInEnv({ start: 'slow:600' }) })
  const before = performance.now()
  assert.equal(await m.resume('a'), null)
  assert.ok(performance.now() - before < 500, 'it waited for the CLI')
  assert.equal(w.readStore().a.status, 'ready')
  assert.equal(w.readStore().a.pid, m.status('a').pid)
  assert.equal((await m.send('a', 'more')).text, 'echo(4): more')
})

test('resume uses what the record says, not the defaults of the manager', async (t) => {
  const options = {
    ...{ model: 'haiku', permissionMode: 'plan', allowedTools: ['Read'], systemPrompt: 'be brief', maxBudget: 2 },
    ...{ agent: 'Explore', timeout: 9000, tags: ['one'] },
  }
  const { m, log } = await stopped(t, {}, options)
  Object.assign(m, { defaultModel: 'opus', defaultPermissionMode: 'acceptEdits', defaultTimeout: 5 })
  await m.resume('a', 'more')
  const [first, second] = log.arguments()
  assert.deepEqual(first.slice(-2), ['--session-id', m.status('a').id])
  assert.deepEqual(second, [...first.slice(0, -2), '--resume', m.status('a').id])
  const status = m.status('a')
  for (const [field, value] of Object.entries(options)) assert.deepEqual(status[field], value, field)
})

test('resume uses the defaults of the manager where the record says nothing', async (t) => {
  const { m } = await stopped(t)
  const { claudeSessionId, workDir } = m.store.get('a')
  m.store.set('a', { name: 'a', claudeSessionId, workDir, status: 'stopped' })
  Object.assign(m, { defaultModel: 'opus', defaultPermissionMode: 'acceptEdits', defaultTimeout: 7000 })
  assert.equal((await m.resume('a', 'recall')).text, 'hello')
  const { model, permissionMode, timeout, totalTurns } = m.status('a')
  assert.deepEqual([model, permissionMode, timeout, totalTurns], ['opus', 'acceptEdits', 7000, 1])
})

test('a record goes on when it is resumed: fields that nobody here knows survive', async (t) => {
  const { m, w } = await stopped(t)
  m.store.set('a', { ...m.store.get('a'), note: { by: 'another program' }, '': 1 })
  await m.resume('a', 'more')
  m.pause('a')
  m.stop('a')
  await m.close()
  const after = w.readStore().a
  assert.deepEqual(after.note, { by: 'another program' })
  assert.equal(after[''], 1)
  assert.equal(after.interactions.length, 2)
})

test('resume starts in the working directory of the record, wherever the program is by now', async (t) => {
  const w = world(t)
  const m = w.manager({ env: standInEnv({ habit: 'older' }) })
  const project = join(w.dir, 'project')
  mkdirSync(project)
  const before = process.cwd()
  t.after(() => process.chdir(before))
  process.chdir(project)
  await m.spawn('a', { prompt: 'hello' })
  process.chdir(before)
  m.stop('a')
  await m.close()
  assert.equal((await m.resume('a', 'stand-in: cwd')).text, project)
  assert.equal((await m.send('a', 'recall')).text, 'hello | stand-in: cwd')
})

test('resume into a directory that is gone rejects and leaves the record as it was', async (t) => {
  const w = world(t)
  const m = w.manager()
  const project = join(w.dir, 'project')
  mkdirSync(project)
  await m.spawn('a', { prompt: 'hello', workDir: project })
  m.stop('a')
  await m.close()
  const before = m.store.get('a')
  rmSync(project, { recursive: true })
  const error = await rejection(m.resume('a', 'more'), 'ERR_WORKDIR')
  assert.ok(error.message.includes(project), error.message)
  assert.equal(m.sessions.has('a'), false)
  assert.deepEqual(m.store.get('a'), before)
})

test('resume with a message of a conversation that the CLI does not know rejects with its words', async (t) => {
  const { m } = await stopped(t)
  m.store.set('a', { ...m.store.get('a'), claudeSessionId: GONE })
  const error = await rejection(m.resume('a', 'more'), 'ERR_START_FAILED')
  assert.ok(error.message.includes(`No conversation found with session ID: ${GONE}`), error.message)
  assert.equal(m.sessions.has('a'), false, 'the name is free when the promise rejects')
  const { status, interactions, claudeSessionId, totalTurns } = m.store.get('a')
  assert.deepEqual([status, interactions.length, claudeSessionId, totalTurns], ['failed', 1, GONE, 1])
})

test('resume without a message of such a conversation resolves null; then error, close, failed', async (t) => {
  const { m, w } = await stopped(t)
  m.store.set('a', { ...m.store.get('a'), claudeSessionId: GONE })
  assert.equal(await m.resume('a'), null)
  const session = m.sessions.get('a')
  const events = record(session, 'error', 'close')
  const { code } = await session.closed
  assert.equal(code, 1)
  assert.deepEqual(
    events.map(([name]) => name),
    ['error', 'close'],
  )
  assert.equal(events[0][1].code, 'ERR_START_FAILED')
  assert.match(events[0][1].message, /No conversation found/)
  assert.equal(session.status, 'failed')
  assert.equal(m.sessions.has('a'), false)
  assert.deepEqual([w.readStore().a.status, w.readStore().a.interactions.length], ['failed', 1])
  assert.equal((await m.spawn('a', { prompt: 'anew' })).response.text, 'echo(2): anew')
})

test('a session that was killed, or whose process crashed, can be resumed', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  m.kill('a')
  assert.equal((await m.resume('a', 'recall')).text, 'hello')
  const { closed } = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: crash'), 'ERR_PROCESS_EXITED')
  await closed
  assert.equal((await m.resume('a', 'again')).turns, 1)
  assert.deepEqual(
    m.history('a').map(({ prompt, costEstimated }) => [prompt, costEstimated]),
    [
      ['hello', undefined],
      ['recall', undefined],
      ['stand-in: crash', true],
      ['again', undefined],
    ],
  )
})

test('resume waits for the end of the process that leaves the same conversation', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'stand-in: linger 700; text hello' })
  const old = m.sessions.get('a')
  m.stop('a')
  const resumed = m.resume('a')
  const session = m.sessions.get('a')
  assert.notEqual(session, old)
  assert.equal(session.status, 'starting')
  assert.equal(session.pid, null)
  assert.equal(await resumed, null)
  const answer = m.send('a', 'recall')
  await old.closed
  assert.equal(m.sessions.get('a'), session, 'the old end does not touch the new session')
  assert.equal((await answer).text, 'stand-in: linger 700; text hello')
  assert.ok(isAlive(session.pid))
  assert.equal(w.readStore().a.pid, session.pid)
  const [exit] = log.events('exit')
  const [, start] = log.events('start')
  assert.ok(exit.at <= start.at, 'two processes on one conversation')
})

test('resume waits for the turn that a stopped session may still finish', async (t) => {
  const w = world(t)
  const m = w.manager()
  const opened = gate(w, 'late words')
  await m.spawn('a', { allowedTools: ['Bash'] })
  const tool = working(m.sessions.get('a'))
  const old = m.send('a', opened.message)
  await tool
  m.stop('a')
  const answer = m.resume('a', 'stand-in: text next')
  assert.equal(m.status('a').status, 'starting')
  opened.open()
  assert.equal((await old).text, 'late words')
  assert.equal((await answer).text, 'next')
})

test('a second manager of the same program waits as well', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const [one, two] = [w.manager({ env: log.env }), w.manager({ env: log.env })]
  await one.spawn('a', { prompt: 'stand-in: linger 200; text hello' })
  one.stop('a')
  assert.equal((await two.resume('a', 'more')).text, 'echo(4): more')
  assert.ok(log.events('exit')[0].at <= log.events('start')[1].at)
})

test('a resume that waits for an old process can be stopped or killed before it starts', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  for (const [name, end, code] of [
    ['a', 'stop', 'ERR_SESSION_STOPPED'],
    ['b', 'kill', 'ERR_SESSION_KILLED'],
  ]) {
    await m.spawn(name, { prompt: 'stand-in: linger 700; text hello' })
    const old = m.sessions.get(name)
    m.stop(name)
    const answer = m.resume(name, 'more')
    const session = m.sessions.get(name)
    m[end](name)
    await rejection(answer, code)
    assert.deepEqual(await session.closed, { code: null, signal: null })
    assert.equal(session.pid, null)
    await old.closed
    assert.equal(m.status(name).status, end === 'stop' ? 'stopped' : 'killed')
  }
  await m.close()
  assert.equal(log.events('start').length, 2)
})

test('the clock of a message runs while its session waits for an old process', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { timeout: 400 })
  await m.send('a', 'stand-in: linger 1200; text hello', 20_000)
  const old = m.sessions.get('a')
  m.stop('a')
  const before = performance.now()
  const error = await rejection(m.resume('a', 'too late'), 'ERR_TURN_TIMEOUT')
  const waited = performance.now() - before
  assert.equal(error.sent, false)
  assert.ok(waited < 900, `after ${waited} ms`)
  await old.closed
  assert.equal((await m.send('a', 'recall', 5000)).text, 'stand-in: linger 1200; text hello')
})

test('close also waits for, or kills, what a waiting resume has not started yet', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'stand-in: linger 700; text hello' })
  m.stop('a')
  const answer = rejection(m.resume('a', 'never sent'), 'ERR_SESSION_STOPPED')
  await m.close()
  await answer
  assert.deepEqual(
    log.events('start').filter(({ pid }) => isAlive(pid)),
    [],
  )
  assert.equal(log.events('start').length, 1)
  assert.equal(w.readStore().a.status, 'stopped')
})

test('resume, stop and resume in a row leave one process and one conversation', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'hello' })
  for (let round = 0; round < 5; round += 1) {
    m.stop('a')
    assert.equal(await m.resume('a'), null)
  }
  assert.equal((await m.send('a', 'recall')).text, 'hello')
  await reached(m.sessions.get('a'), 'ready')
  assert.equal(m.history('a').length, 2)
  const running = () => log.events('start').filter(({ pid }) => isAlive(pid)).length
  await until(() => running() === 1, 'one process')
})

test('resume of a session that goes on in /clear takes the new conversation', async (t) => {
  const { m, log } = await stopped(t)
  await m.resume('a', '/clear')
  const { id } = m.status('a')
  await m.send('a', 'after')
  m.stop('a')
  await m.close()
  await logged(log, 'exit', 2)
  assert.equal((await m.resume('a', 'recall')).text, 'after')
  assert.equal(m.status('a').id, id)
  assert.deepEqual(
    m.history('a').map(({ prompt }) => prompt),
    ['hello', '/clear', 'after', 'recall'],
  )
})
