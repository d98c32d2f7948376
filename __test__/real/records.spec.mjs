// What the manager and the store tell of sessions on the real CLI, live and stored.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { Store } from '../../index.js'
import { assertMoney, createWorld, lives, stopped } from './support.mjs'

test('list(), status(), history() and lastOutput() agree, live and stored, and so does the store', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first', { tags: ['x'], systemPrompt: 'Be brief.' })
  await manager.spawn('b', { prompt: 'other', workDir: world.workDir })
  await manager.send('a', 'second')
  const session = manager.sessions.get('a')
  const live = manager.status('a')
  assert.deepEqual(
    [live.id, live.claudeSessionId, live.status, live.pid, live.interactionCount, live.totalTurns],
    [session.id, session.id, 'ready', session.pid, 2, 2],
  )
  assert.equal(manager.history('a'), session.interactions)
  assert.equal(manager.history('a'), manager.history('a'))
  assert.deepEqual(manager.lastOutput('a'), manager.history('a')[1])
  assert.deepEqual(
    manager.list('ready').map(({ name }) => name),
    ['a', 'b'],
  )

  const { id } = session
  await stopped(manager, 'a')
  const store = new Store(world.dataDir)
  const record = store.get('a')
  assert.deepEqual(record, manager.status('a'))
  assert.deepEqual(record.interactions, manager.history('a'))
  assert.deepEqual(record.interactions[1], manager.lastOutput('a'))
  assert.deepEqual(
    [record.claudeSessionId, record.status, record.model, record.workDir, record.systemPrompt, record.tags],
    [id, 'stopped', 'sonnet', world.workDir, 'Be brief.', ['x']],
  )
  assertMoney(record.totalCostUsd, live.totalCostUsd, 'totalCostUsd in the store')
  assert.deepEqual(
    manager.list().map(({ name, status }) => [name, status]),
    [
      ['a', 'stopped'],
      ['b', 'ready'],
    ],
  )
  await store.flush()
  const file = JSON.parse(await readFile(store.sessionsFile, 'utf8'))
  assert.deepEqual(file.a, record)
  assert.deepEqual(Object.keys(file), ['a', 'b'])
})

test('delete() ends a live session, cleanup() keeps one, close() ends all and leaves their records', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const names = ['a', 'b', 'c']
  await manager.batch(names.map((name) => ({ name, prompt: `I am ${name}`, workDir: world.workDir })))
  const [a, b, c] = names.map((name) => manager.sessions.get(name))

  manager.delete('a')
  assert.deepEqual(await a.closed, { code: null, signal: 'SIGKILL' })
  assert.throws(() => manager.status('a'), { code: 'ERR_SESSION_NOT_FOUND' })

  manager.kill('b')
  await b.closed
  assert.equal(manager.cleanup(0), 1)
  assert.throws(() => manager.history('b'), { code: 'ERR_SESSION_NOT_FOUND' })
  assert.equal((await manager.send('c', 'RECALL')).text, 'I am c')

  const sending = manager.send('c', 'SLOW:500:last')
  await manager.close()
  assert.equal((await sending).text, 'slow: last')
  assert.deepEqual(await c.closed, { code: 0, signal: null })
  assert.equal(await lives(c.pid), false)
  assert.equal(manager.sessions.size, 0)
  const file = JSON.parse(await readFile(manager.store.sessionsFile, 'utf8'))
  assert.deepEqual(
    Object.values(file).map(({ name, status, interactions }) => [name, status, interactions.at(-1).response]),
    [['c', 'stopped', 'slow: last']],
  )
})
