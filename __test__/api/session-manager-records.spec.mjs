/** Records beside live sessions: list, delete, cleanup, odd names, and names that belong to somebody else. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInPath } from '../../testing/index.js'
import { isAlive, until, world } from '../support/sessions.mjs'
import { gate, logged, near, PLAIN, rejection, standInLog, thrown, working } from '../support/turns.mjs'

test('list has stored and live sessions, the live state first, and filters by status', async (t) => {
  const m = world(t).manager()
  await m.spawn('stopped', { prompt: 'x' })
  m.stop('stopped')
  await m.spawn('ready')
  await m.spawn('paused')
  m.pause('paused')
  m.store.set('foreign', { name: 'foreign', status: 'ready' })
  const statuses = Object.fromEntries(m.list().map(({ name, status }) => [name, status]))
  assert.deepEqual(statuses, { stopped: 'stopped', ready: 'ready', paused: 'paused', foreign: 'ready' })
  assert.deepEqual(
    m
      .list('ready')
      .map(({ name }) => name)
      .toSorted(),
    ['foreign', 'ready'],
  )
  assert.deepEqual(
    m.list('paused').map(({ name }) => name),
    ['paused'],
  )
  assert.deepEqual(m.list('killed'), [])
  assert.equal(m.list(undefined).length, 4)
  assert.equal(m.list().find(({ name }) => name === 'ready').interactionCount, 0)
})

test('delete ends a live session, rejects its sends and removes the record for good', async (t) => {
  const w = world(t)
  const m = w.manager()
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const tool = working(session)
  const sends = [opened.message, 'queued'].map((message) => rejection(m.send('a', message), 'ERR_SESSION_KILLED'))
  await tool
  m.delete('a')
  assert.equal(m.sessions.has('a'), false)
  assert.equal(m.store.get('a'), null)
  assert.equal('a' in w.readStore(), false)
  await Promise.all(sends)
  await session.closed
  await m.store.flush()
  assert.equal(m.store.get('a'), null, 'its end does not bring the record back')
  thrown(() => m.status('a'), 'ERR_SESSION_NOT_FOUND')
  assert.equal((await m.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
})

test('delete of a stopped session whose turn still runs keeps the record away', async (t) => {
  const w = world(t)
  const m = w.manager()
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const tool = working(session)
  const answer = m.send('a', opened.message)
  await tool
  m.stop('a')
  m.delete('a')
  opened.open()
  await Promise.allSettled([answer])
  await session.closed
  assert.equal(m.store.get('a'), null)
})

test('delete removes a stored record and nothing else', async (t) => {
  const m = world(t).manager()
  for (const name of ['a', 'b']) m.store.set(name, { name, status: 'ready' })
  assert.equal(m.delete('a'), undefined)
  assert.deepEqual(
    m.list().map(({ name }) => name),
    ['b'],
  )
})

test('kill of a stored record marks it as killed and frees its name', async (t) => {
  const w = world(t)
  const m = w.manager()
  m.store.set('a', { name: 'a', status: 'busy', claudeSessionId: 'x', interactions: [], note: 'mine' })
  await rejection(m.spawn('a'), 'ERR_SESSION_EXISTS')
  m.kill('a')
  assert.deepEqual([w.readStore().a.status, w.readStore().a.note], ['killed', 'mine'])
  await m.spawn('a')
})

test('cleanup removes old records, by lastSaved or else created, and never that of a live session', async (t) => {
  const w = world(t)
  const ago = (days) => new Date(Date.now() - days * 86_400_000).toISOString()
  const old = { claudeSessionId: 'x', status: 'stopped', interactions: [], created: ago(30) }
  const records = {
    made: old,
    'saved lately': { ...old, lastSaved: ago(2) },
    'saved before': { ...old, lastSaved: ago(8) },
  }
  mkdirSync(w.dataDir)
  writeFileSync(w.sessionsFile, JSON.stringify(records))
  const m = w.manager()
  await m.spawn('live', { prompt: 'hello' })
  assert.equal(m.cleanup(), 2)
  assert.deepEqual(Object.keys(m.store.loadAll()).toSorted(), ['live', 'saved lately'])
  assert.equal(m.cleanup(3), 0)
  assert.equal(m.cleanup(1), 1)
  assert.equal(m.cleanup(0), 0)
  assert.equal((await m.send('live', 'more')).text, 'echo(4): more')
  assert.equal(m.store.get('live').interactions.length, 2)
  m.stop('live')
  await m.close()
  await until(() => m.cleanup(0) === 1, 'a record that is a millisecond old')
  assert.deepEqual(m.list(), [])
})

for (const name of ['__proto__', 'constructor', 'a b/c\\d"e\'', 'größe 🙂', 'x'.repeat(1000), '\n', '0']) {
  test(`a session may be called ${JSON.stringify(name.slice(0, 20))}`, async (t) => {
    const w = world(t)
    const m = w.manager()
    const { session } = await m.spawn(name, { prompt: 'hello' })
    assert.equal(session.name, name)
    assert.deepEqual(
      m.list().map((record) => record.name),
      [name],
    )
    assert.equal(m.history(name).length, 1)
    m.stop(name)
    await m.close()
    assert.deepEqual(Object.keys(w.readStore()), [name])
    const again = w.manager()
    assert.equal(await again.resume(name), null)
    assert.equal(again.history(name).length, 1)
    again.delete(name)
    assert.deepEqual(again.list(), [])
  })
}

test('two managers on one directory see each other: a live name is taken, its record is current', async (t) => {
  const w = world(t)
  const [one, two] = [w.manager(), w.manager()]
  await one.spawn('a', { prompt: 'hello' })
  const message = 'Session "a" exists in store with status "ready". Kill or delete it first.'
  assert.equal((await rejection(two.spawn('a'), 'ERR_SESSION_EXISTS')).message, message)
  await rejection(two.resume('a'), 'ERR_SESSION_HELD')
  await rejection(two.resume('a', 'x'), 'ERR_SESSION_HELD')
  await rejection(two.send('a', 'x'), 'ERR_SESSION_NOT_ALIVE')
  assert.equal(two.sessions.size, 0)
  assert.deepEqual(
    two.history('a').map(({ response }) => response),
    ['echo(2): hello'],
  )
  await one.send('a', 'more')
  assert.equal(two.lastOutput('a').response, 'echo(4): more')
  assert.equal(two.cleanup(0), 0, 'it is live, if elsewhere')
  one.stop('a')
  assert.equal(two.status('a').status, 'stopped')
  assert.equal(await two.resume('a', 'recall').then(({ text }) => text), 'hello | more')
})

for (const method of ['kill', 'delete']) {
  test(`${method} of a name that another manager of this program owns ends that session`, async (t) => {
    const w = world(t)
    const [one, two] = [w.manager(), w.manager()]
    await one.spawn('a')
    const session = one.sessions.get('a')
    const sent = rejection(one.send('a', 'stand-in: silent'), 'ERR_SESSION_KILLED')
    await once(session, 'init')
    two[method]('a')
    await sent
    assert.equal((await session.closed).signal, 'SIGKILL')
    assert.equal(one.sessions.has('a'), false)
    assert.equal(isAlive(session.pid), false)
    assert.equal(two.store.get('a')?.status, method === 'kill' ? 'killed' : undefined)
  })
}

/** Another program with a session "a" on the same directory; it lives until it is killed. */
async function otherHost(t, w) {
  const script = join(w.dir, 'host.mjs')
  const options = { dataDir: w.dataDir, claudePath: standInPath, env: w.env }
  writeFileSync(
    script,
    `import { SessionManager } from ${JSON.stringify(new URL('../../index.js', import.meta.url).href)}
    const mgr = new SessionManager(${JSON.stringify(options)})
    const { session } = await mgr.spawn('a', { prompt: 'hello' })
    mgr.sessions.get('a').on('close', () => {})
    console.log(session.pid)
    setInterval(() => {}, 1000)`,
  )
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout, 'data')
  return { child, pid: Number(String(line)) }
}

for (const method of ['kill', 'delete']) {
  test(`${method} of a name that another live program owns ends its process`, async (t) => {
    const w = world(t)
    const { pid } = await otherHost(t, w)
    const m = w.manager()
    const taken = await rejection(m.spawn('a'), 'ERR_SESSION_EXISTS')
    assert.equal(taken.message, 'Session "a" exists in store with status "ready". Kill or delete it first.')
    await rejection(m.resume('a'), 'ERR_SESSION_HELD')
    assert.equal(m.status('a').pid, pid)
    m[method]('a')
    assert.equal(m.store.get('a')?.status, method === 'kill' ? 'killed' : undefined)
    await until(() => !isAlive(pid), 'the end of the process')
    const { response } = await m.spawn('a', { prompt: 'mine' })
    assert.equal(response.text, 'echo(2): mine')
    assert.equal(m.store.get('a').interactions.length, 1, 'the other program leaves the new record alone')
  })
}

test('the record of a program that died reads as stopped with lostAt, and its name is free', async (t) => {
  const w = world(t)
  const { child, pid } = await otherHost(t, w)
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
  const m = w.manager()
  const { status, lostAt, interactions } = m.status('a')
  assert.equal(status, 'stopped')
  assert.ok(Date.parse(lostAt) <= Date.now(), lostAt)
  assert.equal(interactions.length, 1)
  assert.deepEqual(
    m.list('stopped').map(({ name }) => name),
    ['a'],
  )
  await until(() => !isAlive(pid), 'the end of the process')
  assert.equal((await m.resume('a', 'recall')).text, 'hello')
  assert.equal('lostAt' in m.store.get('a'), false, 'it is not lost any more')
  m.stop('a')
  await m.spawn('a')
})

test('a record without an owner, as clearctx 3 writes it, holds its name and can be resumed', async (t) => {
  const w = world(t)
  const m = w.manager()
  const { response } = await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  await m.close()
  const { owner, pid, lastSaved, timeout, tags, cliTotals, ...original } = w.readStore().a
  assert.ok(owner && lastSaved && timeout && tags && cliTotals && pid === null)
  writeFileSync(w.sessionsFile, JSON.stringify({ a: { ...original, status: 'ready' } }, null, 2))
  const next = w.manager()
  assert.equal(next.status('a').status, 'ready')
  await rejection(next.spawn('a'), 'ERR_SESSION_EXISTS')
  const resumed = await next.resume('a', 'more')
  assert.equal(resumed.text, 'echo(4): more')
  assert.equal(resumed.sessionId, response.sessionId)
  near(next.status('a').totalCostUsd, 2 * PLAIN.newer)
})

test('a pid in a record that belongs to another process by now is left alone', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  await m.close()
  const bystander = spawn('sleep', ['30'])
  t.after(() => bystander.kill('SIGKILL'))
  m.store.set('a', { ...m.store.get('a'), status: 'ready', pid: bystander.pid })
  m.store.set('b', { name: 'b', status: 'ready', pid: bystander.pid, claudeSessionId: 'x' })
  m.kill('a')
  m.delete('b')
  await m.spawn('a')
  await logged(log, 'start', 2)
  assert.ok(isAlive(bystander.pid))
})
