/** What SessionManager does with names and records, and in which order its effects become visible. */

import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { SessionManager, Store, StreamSession } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { isAlive, world } from '../support/sessions.mjs'
import { ISO_TIME, near, PLAIN, rejection, standInLog, thrown, UUID } from '../support/turns.mjs'

const RECORD_FIELDS = [
  ...['name', 'claudeSessionId', 'status', 'model', 'workDir', 'permissionMode', 'allowedTools', 'systemPrompt'],
  ...['maxBudget', 'agent', 'totalCostUsd', 'totalTurns', 'interactions', 'created'],
  ...['timeout', 'tags', 'pid', 'owner', 'lastSaved'],
]

const alive = (name) => `Session "${name}" already exists and is alive. Kill it first or use a different name.`
const stored = (name, status) => `Session "${name}" exists in store with status "${status}". Kill or delete it first.`

test('a manager has the defaults of clearctx 3, an empty Map of sessions and a store', (t) => {
  const w = world(t)
  const m = new SessionManager({ dataDir: w.dataDir })
  assert.equal(m.defaultModel, 'sonnet')
  assert.equal(m.defaultPermissionMode, 'default')
  assert.equal(m.defaultTimeout, 600_000)
  assert.ok(m.store instanceof Store)
  assert.equal(m.store.dataDir, w.dataDir)
  assert.equal(Object.prototype.toString.call(m.sessions), '[object Map]')
  assert.equal(m.sessions.size, 0)
  assert.equal(statSync(w.dataDir).mode & 0o777, 0o700)
})

test('options of the manager become the defaults of its sessions', async (t) => {
  const m = world(t).manager({ defaultModel: 'opus', defaultPermissionMode: 'plan', defaultTimeout: 5000 })
  await m.spawn('a')
  const { model, permissionMode, timeout } = m.status('a')
  assert.deepEqual([model, permissionMode, timeout], ['opus', 'plan', 5000])
})

test('an assigned default counts from the next call on', async (t) => {
  const m = world(t).manager()
  await m.spawn('before')
  Object.assign(m, { defaultModel: 'haiku', defaultPermissionMode: 'acceptEdits', defaultTimeout: 7000 })
  await m.spawn('after')
  const seen = ['before', 'after'].map((name) => {
    const { model, permissionMode, timeout } = m.status(name)
    return [model, permissionMode, timeout]
  })
  assert.deepEqual(seen, [
    ['sonnet', 'default', 600_000],
    ['haiku', 'acceptEdits', 7000],
  ])
  assert.equal((await m.send('after', 'stand-in: model')).text, 'claude-haiku-4-5-20251001')
})

test('spawn without a prompt resolves as soon as the process runs', async (t) => {
  const m = world(t).manager({ env: standInEnv({ start: 'slow:300' }) })
  const { session, initData, response } = await m.spawn('a')
  assert.equal(initData, null)
  assert.equal(response, null)
  assert.equal(session.status, 'ready')
  assert.equal(session.id, null)
  assert.equal(session.claudeSessionId, null)
  assert.equal(session.interactionCount, 0)
  assert.ok(isAlive(session.pid))
})

test('spawn with a prompt resolves with session, initData and response', async (t) => {
  const m = world(t).manager()
  const { session, initData, response, ...more } = await m.spawn('a', { prompt: 'hello', tags: ['x', 'y'] })
  assert.deepEqual(more, {})
  assert.deepEqual([initData.type, initData.subtype], ['system', 'init'])
  assert.equal(initData.session_id, session.id)
  assert.match(session.id, UUID)
  assert.deepEqual(Object.keys(response).toSorted(), [
    ...['cost', 'duration', 'errors', 'failure', 'isError', 'permissionDenials', 'sessionId', 'stopReason', 'subtype'],
    ...['text', 'turns', 'usage'],
  ])
  assert.deepEqual(
    { ...response, cost: 0, duration: 0, usage: 0 },
    {
      ...{ text: 'echo(2): hello', cost: 0, turns: 1, duration: 0, sessionId: session.id, isError: false },
      ...{ subtype: 'success', failure: null, usage: 0, permissionDenials: [], stopReason: 'end_turn', errors: [] },
    },
  )
  assert.equal(response.usage.input_tokens, 10)
  assert.equal(response.usage.output_tokens, 5)
  assert.ok(response.duration >= 0)
  near(response.cost, PLAIN.newer)
  assert.equal(session.status, 'ready')
  assert.deepEqual(session.tags, ['x', 'y'])
  assert.equal(session.interactionCount, 1)
})

test('what spawn does up to the first message is visible before its promise is awaited', async (t) => {
  const w = world(t)
  const m = w.manager()
  const spawned = m.spawn('a', { prompt: 'hello', tags: ['x'] })
  const session = m.sessions.get('a')
  assert.ok(session instanceof StreamSession)
  assert.equal(m.status('a').status, 'busy')
  assert.deepEqual(
    m.list().map(({ name }) => name),
    ['a'],
  )
  assert.deepEqual(m.history('a'), [])
  assert.ok(isAlive(session.pid))
  const onDisk = w.readStore().a
  assert.equal(onDisk.pid, session.pid)
  assert.deepEqual(onDisk.tags, ['x'])
  assert.ok(!['stopped', 'killed', 'failed'].includes(onDisk.status), onDisk.status)
  await spawned
})

test('a second spawn of a live name rejects, also while the first is under way', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const first = m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  const early = await rejection(m.spawn('a'), 'ERR_SESSION_EXISTS')
  assert.equal(early.message, alive('a'))
  await first
  const late = await rejection(m.spawn('a', { prompt: 'x' }), 'ERR_SESSION_EXISTS')
  assert.equal(late.message, alive('a'))
  assert.equal(m.sessions.get('a'), session)
  assert.equal(m.history('a').length, 1)
  assert.equal(log.events('start').length, 1)
})

test('spawn rejects a name whose record is neither stopped, killed nor failed', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  for (const status of ['ready', 'busy', 'paused', 'starting']) {
    m.store.set('a', { name: 'a', status, claudeSessionId: 'x', interactions: [] })
    const error = await rejection(m.spawn('a'), 'ERR_SESSION_EXISTS')
    assert.equal(error.message, stored('a', status))
    assert.equal(m.sessions.size, 0)
    assert.equal(m.store.get('a').status, status)
  }
  assert.deepEqual(log.events('start'), [])
  for (const status of ['stopped', 'killed', 'failed']) {
    m.store.set(status, { name: status, status, claudeSessionId: 'x', interactions: [{ prompt: 'old' }] })
    await m.spawn(status)
    assert.deepEqual(m.history(status), [])
    assert.deepEqual(m.store.get(status).interactions, [], 'a spawn is a new session')
  }
})

test('a start that fails takes the name back and stores nothing', async (t) => {
  const w = world(t)
  const m = w.manager()
  const nowhere = w.manager({ claudePath: join(w.dir, 'no such program') })
  for (const [start, code] of [
    [() => m.spawn('a', { workDir: join(w.dir, 'missing') }), 'ERR_WORKDIR'],
    [() => nowhere.spawn('a', { prompt: 'hello' }), 'ERR_CLI_NOT_FOUND'],
  ]) {
    const promise = start()
    assert.equal(m.sessions.size + nowhere.sessions.size, 0, 'already before the promise is awaited')
    await rejection(promise, code)
    assert.equal(m.sessions.size + nowhere.sessions.size, 0)
    assert.equal(m.store.get('a'), null)
    assert.deepEqual(m.list(), [])
  }
  assert.equal((await m.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
})

test('a start that fails leaves the record of an earlier session of the name as it was', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  await m.close()
  const before = m.store.get('a')
  await rejection(m.spawn('a', { workDir: join(w.dir, 'missing') }), 'ERR_WORKDIR')
  assert.deepEqual(m.store.get('a'), before)
})

test('a prompt that a CLI refuses at its start rejects, frees the name and leaves no process', async (t) => {
  const w = world(t)
  const m = w.manager({ env: standInEnv({ start: 'error-result:No more credit' }) })
  const spawned = m.spawn('a', { prompt: 'hello' })
  const { pid, closed } = m.sessions.get('a')
  const error = await rejection(spawned, 'ERR_START_FAILED')
  assert.match(error.message, /^Session "a" failed to start: .*No more credit/)
  assert.equal(m.sessions.has('a'), false, 'the name is free when the promise rejects')
  await closed
  assert.equal(isAlive(pid), false)
  assert.equal(m.status('a').status, 'failed')
  assert.deepEqual(m.history('a'), [])
  const again = w.manager()
  assert.equal((await again.spawn('a', { prompt: 'again' })).response.text, 'echo(2): again')
})

test('a first prompt that ends the process frees the name before its promise rejects', async (t) => {
  const m = world(t).manager()
  for (const code of [3, 4, 5, 6]) {
    const error = await rejection(m.spawn('a', { prompt: `stand-in: exit ${code}` }), 'ERR_PROCESS_EXITED')
    assert.equal(error.exitCode, code)
    assert.equal(m.sessions.has('a'), false)
    assert.equal(m.status('a').status, 'failed')
  }
})

test('a record has the fields of clearctx 3, the new ones, and never the environment', async (t) => {
  const w = world(t)
  const m = w.manager({ env: { SECRET_OF_THE_TEST: 'open sesame' } })
  const options = {
    ...{ model: 'haiku', permissionMode: 'plan', allowedTools: ['Read', 'Bash(git *)'], systemPrompt: 'be brief' },
    ...{ maxBudget: 1.5, agent: 'Explore', timeout: 9000, tags: ['one'], workDir: w.dir },
  }
  const { session } = await m.spawn('a', { ...options, prompt: 'hello' })
  const record = w.readStore().a
  for (const field of RECORD_FIELDS) assert.ok(field in record, `field ${field}`)
  const { owner, lastSaved, created, interactions, totalCostUsd, pid } = record
  for (const [field, value] of Object.entries(options)) assert.deepEqual(record[field], value, field)
  assert.deepEqual([record.name, record.claudeSessionId, record.status], ['a', session.id, 'ready'])
  assert.equal(record.totalTurns, 1)
  near(totalCostUsd, PLAIN.newer)
  assert.equal(pid, session.pid)
  assert.ok(owner)
  assert.match(created, ISO_TIME)
  assert.match(lastSaved, ISO_TIME)
  assert.equal('parent' in record, false)
  const [{ timestamp, duration, cost, ...interaction }] = interactions
  assert.deepEqual(interaction, { prompt: 'hello', response: 'echo(2): hello', turns: 1 })
  assert.match(timestamp, ISO_TIME)
  assert.equal(typeof duration, 'number')
  near(cost, PLAIN.newer)
  m.stop('a')
  await m.close()
  assert.equal(readFileSync(w.sessionsFile, 'utf8').includes('open sesame'), false)
})

test('a turn is in sessions.json when its promise settles, and created stays what it was', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a')
  const { created } = w.readStore().a
  for (const count of [1, 2, 3]) {
    const { text, sessionId } = await m.send('a', `m${count}`)
    const record = w.readStore().a
    assert.equal(record.interactions.length, count)
    assert.equal(record.interactions.at(-1).response, text)
    assert.equal(record.claudeSessionId, sessionId)
    assert.equal(record.status, 'ready')
    assert.equal(record.totalTurns, count)
    near(record.totalCostUsd, count * PLAIN.newer)
    assert.equal(record.created, created)
  }
})

test('send, pause and stop of a name that is not alive tell to resume it', async (t) => {
  const m = world(t).manager()
  await m.spawn('stopped')
  m.stop('stopped')
  for (const name of ['stopped', 'unknown']) {
    const message = `Session "${name}" is not alive. Use resume() to restore it.`
    assert.equal((await rejection(m.send(name, 'x'), 'ERR_SESSION_NOT_ALIVE')).message, message)
    assert.equal(thrown(() => m.pause(name), 'ERR_SESSION_NOT_ALIVE').message, message)
    assert.equal(thrown(() => m.stop(name), 'ERR_SESSION_NOT_ALIVE').message, message)
  }
})

test('status, history and lastOutput of an unknown name throw; kill and delete of one do nothing', (t) => {
  const m = world(t).manager()
  for (const call of ['status', 'history', 'lastOutput']) {
    assert.equal(thrown(() => m[call]('nobody'), 'ERR_SESSION_NOT_FOUND').message, 'Session "nobody" not found.')
  }
  assert.equal(m.kill('nobody'), undefined)
  assert.equal(m.delete('nobody'), undefined)
  assert.deepEqual(m.list(), [])
  assert.equal(m.store.get('nobody'), null)
})

test('status of a live session is a snapshot with the fields of its record', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello', tags: ['x'] })
  const snapshot = m.status('a')
  const record = w.readStore().a
  assert.equal(snapshot.id, record.claudeSessionId)
  assert.equal(snapshot.interactionCount, 1)
  for (const field of RECORD_FIELDS.filter((name) => name !== 'owner' && name !== 'lastSaved')) {
    assert.deepEqual(snapshot[field], record[field], field)
  }
  await m.send('a', 'more')
  assert.equal(snapshot.interactionCount, 1)
  assert.equal(snapshot.interactions.length, 1)
  snapshot.tags.push('y')
  snapshot.interactions[0].prompt = 'changed'
  assert.deepEqual(m.status('a').tags, ['x'])
  assert.equal(m.history('a')[0].prompt, 'hello')
})

test('status, history and lastOutput of a stopped session come from its record', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  await m.send('a', 'more')
  m.stop('a')
  await m.close()
  assert.equal(m.status('a').status, 'stopped')
  assert.deepEqual(
    m.history('a').map(({ response }) => response),
    ['echo(2): hello', 'echo(4): more'],
  )
  assert.equal(m.lastOutput('a').response, 'echo(4): more')
  m.store.set('bare', { name: 'bare', status: 'stopped' })
  assert.deepEqual(m.history('bare'), [])
  assert.equal(m.lastOutput('bare'), null)
})

test('history of a live session is one array that grows; lastOutput is its last entry', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const history = m.history('a')
  assert.equal(m.lastOutput('a'), null)
  await m.send('a', 'one')
  assert.equal(m.history('a'), history)
  assert.equal(m.sessions.get('a').interactions, history)
  assert.equal(history.length, 1)
  await m.send('a', 'two')
  assert.equal(history.length, 2)
  assert.equal(m.lastOutput('a'), history[1])
})
