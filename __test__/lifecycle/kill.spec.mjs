/** kill: the process and all that it started end at once, promises are rejected, the name is free. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv, standInPath } from '../../testing/index.js'
import { quickCli } from '../support/schedules.mjs'
import { descendants, isAlive, until, world } from '../support/sessions.mjs'
import { HABITS, record, rejection, standInLog } from '../support/turns.mjs'

const gone = (pids) => until(() => !pids.some((pid) => isAlive(pid)), `the end of ${pids}`)

test('kill rejects what is in flight and in line, frees the name and says killed everywhere', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  const events = record(session, 'status', 'error', 'close')
  const begun = once(session, 'init')
  const sends = ['stand-in: silent', 'x', 'y'].map((message) => rejection(m.send('a', message), 'ERR_SESSION_KILLED'))
  await begun
  assert.equal(m.kill('a'), undefined)
  assert.equal(m.sessions.has('a'), false)
  assert.equal(session.status, 'killed')
  assert.equal(m.status('a').status, 'killed')
  assert.equal(w.readStore().a.status, 'killed')
  for (const error of await Promise.all(sends)) assert.match(error.message, /^Session "a" was killed/)
  assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
  assert.deepEqual(
    events.map(([name]) => name),
    ['status', 'status', 'close'],
  )
  assert.equal(m.history('a').length, 1)
  assert.equal(w.readStore().a.status, 'killed')
  assert.equal((await m.resume('a', 'recall')).text.startsWith('hello'), true)
})

test('the name of a killed session is free at once, and its end leaves the new session alone', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  const old = m.sessions.get('a')
  m.kill('a')
  const spawned = m.spawn('a', { prompt: 'anew' })
  const session = m.sessions.get('a')
  await old.closed
  assert.equal(m.sessions.get('a'), session)
  assert.equal((await spawned).response.text, 'echo(2): anew')
  assert.equal(w.readStore().a.status, 'ready')
})

for (const habit of HABITS) {
  test(`kill ends children in sessions of their own, and those whose parent has ended (${habit} CLI)`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ habit }) })
    await m.spawn('a')
    const children = JSON.parse((await m.send('a', 'stand-in: spawn-children 3')).text)
    const orphans = JSON.parse((await m.send('a', 'stand-in: spawn-orphans 3')).text)
    const pids = [...children, ...orphans]
    assert.equal(pids.filter(isAlive).length, 6)
    const { closed } = m.sessions.get('a')
    m.kill('a')
    await closed
    await gone(pids)
  })
}

test('kill ends a running tool with what it started, also what dropped its environment', async (t) => {
  const w = world(t)
  const m = w.manager()
  const script = join(w.dir, 'tool.sh')
  const inner = 'sleep 61 & env -i sleep 62 & env -i setsid sleep 63 & wait'
  writeFileSync(script, `#!/bin/sh\n${inner}\n`, { mode: 0o755 })
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const sent = m.send('a', `stand-in: tool Bash ${JSON.stringify({ command: script })}`)
  sent.catch(() => {})
  const pids = () => descendants(session.pid)
  await until(() => pids().length >= 5, 'the processes of the tool')
  const all = pids()
  m.kill('a')
  await rejection(sent, 'ERR_SESSION_KILLED')
  await session.closed
  await gone([...all, session.pid])
})

test('kill ends a tree that keeps starting processes', async (t) => {
  const w = world(t)
  const m = w.manager()
  const command = 'while :; do sleep 61 & sleep 0.005; done'
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const sent = m.send('a', `stand-in: tool Bash ${JSON.stringify({ command })}`)
  sent.catch(() => {})
  await until(() => descendants(session.pid).length > 10, 'some processes')
  m.kill('a')
  await rejection(sent, 'ERR_SESSION_KILLED')
  await session.closed
  // What is left would be found by `world` through its environment.
})

test('kill reaches through a wrapper script to the CLI behind it', async (t) => {
  const w = world(t)
  const claudePath = join(w.dir, 'wrapper.sh')
  writeFileSync(claudePath, `#!/bin/sh\n${standInPath} "$@"\n`, { mode: 0o755 })
  const m = w.manager({ claudePath })
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  const pid = Number((await m.send('a', 'stand-in: pid')).text)
  assert.notEqual(pid, session.pid)
  m.kill('a')
  await session.closed
  await gone([pid, session.pid])
})

for (const fault of ['no-read', 'ignore-signals']) {
  test(`a stop reaches a CLI behind a wrapper script that passes no signals on (${fault})`, async (t) => {
    const w = world(t)
    const claudePath = join(w.dir, 'wrapper.sh')
    writeFileSync(claudePath, `#!/bin/sh\n${standInPath} "$@"\n`, { mode: 0o755 })
    const m = w.manager({ claudePath, stopTimeout: 150, killTimeout: 150, env: standInEnv({ maxLife: 8000 }) })
    await m.spawn('a', { prompt: `stand-in: ${fault}; pid` })
    const pid = Number(m.lastOutput('a').response)
    const session = m.sessions.get('a')
    assert.notEqual(pid, session.pid)
    m.stop('a')
    await m.close()
    assert.equal(isAlive(session.pid), false)
    assert.equal(isAlive(pid), false, 'the CLI itself lives on')
  })
}

test('kill leaves other sessions and other processes of the program alone', async (t) => {
  const w = world(t)
  const m = w.manager()
  const bystander = spawn('sleep', ['30'], { env: { ...process.env, ...w.env } })
  t.after(() => bystander.kill('SIGKILL'))
  await m.batch([{ name: 'a' }, { name: 'b' }])
  const [child] = JSON.parse((await m.send('b', 'stand-in: spawn-children 1')).text)
  const { closed } = m.sessions.get('a')
  m.kill('a')
  await closed
  assert.equal((await m.send('b', 'hello')).text, 'echo(4): hello')
  assert.ok(isAlive(child))
  assert.ok(isAlive(bystander.pid))
  bystander.kill('SIGKILL')
})

test('many sessions killed at once are all gone, each with its children', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const names = Array.from({ length: 8 }, (_, at) => `s${at}`)
  const prompt = 'stand-in: spawn-children 1'
  const results = await m.batch(names.map((name) => ({ name, prompt })))
  const children = results.flatMap(({ response }) => JSON.parse(response.text))
  const pids = [...m.sessions.values()].map(({ pid }) => pid)
  for (const name of names) m.kill(name)
  assert.equal(m.sessions.size, 0)
  await m.close()
  assert.deepEqual(pids.filter(isAlive), [])
  assert.deepEqual(children.filter(isAlive), [], 'a closed manager leaves nothing behind')
  assert.deepEqual(m.list('killed').length, 8)
})

test('a session that ended by itself is not killed any more; kill of its name marks the record', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  const { closed } = m.sessions.get('a')
  m.stop('a')
  await closed
  m.kill('a')
  assert.equal(m.status('a').status, 'killed')
  assert.equal(m.history('a').length, 1)
})

test('a kill right after the start ends the process', async (t) => {
  const m = world(t).manager()
  for (let round = 0; round < 5; round += 1) {
    const spawned = m.spawn('a', { prompt: 'hello' })
    const session = m.sessions.get('a')
    m.kill('a')
    await rejection(spawned, 'ERR_SESSION_KILLED')
    assert.equal((await session.closed).signal, 'SIGKILL')
    assert.equal(isAlive(session.pid), false)
  }
})

test('many sessions are killed together: the processes of the system are listed for all of them at once', async (t) => {
  const w = world(t)
  const m = w.manager({ claudePath: quickCli })
  const names = Array.from({ length: 200 }, (_, index) => `s${index}`)
  for (let at = 0; at < names.length; at += 50) {
    await Promise.all(names.slice(at, at + 50).map((name) => m.spawn(name, { prompt: 'child' })))
  }
  const sessions = [...m.sessions.values()]
  const pids = sessions.flatMap(({ pid }) => [pid, ...descendants(pid)])
  assert.equal(pids.length, 2 * names.length)
  const before = process.cpuUsage()
  for (const name of names) m.kill(name)
  await Promise.all(sessions.map(({ closed }) => closed))
  const { user, system } = process.cpuUsage(before)
  assert.deepEqual(pids.filter(isAlive), [])
  t.diagnostic(`${Math.round((user + system) / 1000)} ms of processor time`)
  // Listed for each of them it took 7 s.
  assert.ok(user + system < 2e6, `it took ${Math.round((user + system) / 1000)} ms of processor time`)
})
