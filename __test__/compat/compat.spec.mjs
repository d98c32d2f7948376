/**
 * The same cases on this package and on clearctx 3.0.0 itself (`support/original.mjs` says where it comes from).
 *
 * `same` cases hold for both. `differs` cases show a difference that is meant; each names the words of
 * docs/compatibility.md that tell users of it.
 */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { standInPath } from '../../testing/index.js'
import { loadOriginal } from '../support/original.mjs'
import { until, world } from '../support/sessions.mjs'

const { Original, missing } = loadOriginal()
const ORIGINAL = 'clearctx 3.0.0'
const docs = readFileSync(new URL('../../docs/compatibility.md', import.meta.url), 'utf8')

const ours = { name: 'clearctx', Class: SessionManager }
const theirs = { name: ORIGINAL, Class: Original }

test(`all cases on ${ORIGINAL}`, { skip: missing ?? false }, () => assert.equal(typeof Original, 'function'))

/** A case for one implementation; `run` gets what it works with. */
function define(title, { name, Class }, run) {
  if (Class === undefined) return
  test(`${title} [${name}]`, async (t) => {
    const made = []
    // Before the world's own check for processes that are left.
    t.after(async () => {
      for (const session of made) {
        session.kill()
        // One that was never started stays as it is.
        if (session.status !== 'starting') await session.closed
      }
    })
    const w = world(t)
    provide(t, w)
    class Manager extends Class {
      _wireEvents(session) {
        made.push(session)
        super._wireEvents(session)
      }
    }
    const make = (managerOptions, Sub = Manager) => new Sub({ dataDir: w.dataDir, ...managerOptions })
    await run({ mgr: make(), make, Manager, w, t, made, isOriginal: name === ORIGINAL })
  })
}

/** Both find the stand-in as a user's program finds the CLI: by the environment, and as `claude` on the PATH. */
function provide(t, w) {
  const bin = join(w.dir, 'bin')
  mkdirSync(bin)
  symlinkSync(standInPath, join(bin, 'claude'))
  const before = { ...process.env }
  Object.assign(process.env, w.env, { CLEARCTX_CLAUDE_PATH: standInPath, PATH: `${bin}:${process.env.PATH}` })
  t.after(() => {
    for (const key of Object.keys(w.env).concat('CLEARCTX_CLAUDE_PATH', 'PATH')) {
      if (before[key] === undefined) delete process.env[key]
      else process.env[key] = before[key]
    }
  })
}

/** A case that holds for both. */
function same(title, run) {
  define(title, ours, run)
  define(title, theirs, run)
}

/** A difference that is meant: `words` of the documentation, and a case for each side. */
function differs(title, words, cases) {
  test(`documented: ${title}`, () => assert.ok(docs.includes(words), `docs/compatibility.md does not say: ${words}`))
  define(`differs: ${title}`, ours, cases.ours)
  define(`differs: ${title}`, theirs, cases.theirs)
}

const RESPONSE = ['text', 'cost', 'turns', 'duration', 'sessionId']
const INTERACTION = ['prompt', 'response', 'cost', 'turns', 'duration', 'timestamp']
const RECORD = [
  'name',
  'claudeSessionId',
  'status',
  'model',
  'workDir',
  'permissionMode',
  'allowedTools',
  'systemPrompt',
  'maxBudget',
  'agent',
  'totalCostUsd',
  'totalTurns',
  'interactions',
  'created',
]

/** The fields alone, all of which must be there. */
function pick(object, fields) {
  for (const field of fields) assert.ok(Object.hasOwn(object, field), `${field} is missing`)
  return Object.fromEntries(fields.map((field) => [field, object[field]]))
}

const stored = (name, fields = {}) => ({
  name,
  claudeSessionId: null,
  status: 'stopped',
  model: 'sonnet',
  workDir: process.cwd(),
  permissionMode: 'default',
  interactions: [],
  ...fields,
})

/** A stored session with a conversation that the CLI knows. */
async function past(mgr, name, prompt = 'hello') {
  await mgr.spawn(name, { prompt })
  const session = mgr.sessions.get(name)
  mgr.stop(name)
  await session.closed
  return session
}

// --- spawn ---

same('spawn without a prompt resolves with a session, no init and no response', async ({ mgr }) => {
  const result = await mgr.spawn('a')
  assert.deepEqual(Object.keys(result), ['session', 'initData', 'response'])
  assert.deepEqual([result.initData, result.response], [null, null])
  const { name, id, status, totalTurns, totalCostUsd } = result.session
  assert.deepEqual([name, id, status, totalTurns, totalCostUsd], ['a', null, 'ready', 0, 0])
})

same('spawn with a prompt resolves with the answer', async ({ mgr }) => {
  const { session, initData, response } = await mgr.spawn('a', { prompt: 'hello' })
  const { text, turns, sessionId } = pick(response, RESPONSE)
  assert.deepEqual([text, turns], ['echo(2): hello', 1])
  assert.equal(initData.session_id, sessionId)
  assert.deepEqual([session.id, session.status, session.totalTurns], [sessionId, 'ready', 1])
  assert.deepEqual(pick(session.interactions[0], INTERACTION), session.interactions[0])
})

same('spawn has its effects before it returns', async ({ mgr, w }) => {
  const promise = mgr.spawn('a', { prompt: 'hello' })
  assert.ok(promise instanceof Promise)
  assert.ok(mgr.sessions.has('a'))
  assert.equal(mgr.status('a').name, 'a')
  assert.equal(w.readStore().a.name, 'a')
  const message = 'Session "a" already exists and is alive. Kill it first or use a different name.'
  await assert.rejects(mgr.spawn('a'), { name: 'Error', message })
  await promise
  await assert.rejects(mgr.spawn('a', { prompt: 'x' }), { name: 'Error', message })
})

same('spawn writes a record with these fields', async ({ mgr, w }) => {
  const options = {
    model: 'haiku',
    workDir: w.dir,
    permissionMode: 'plan',
    allowedTools: ['Read', 'Edit'],
    systemPrompt: 'be short',
    maxBudget: 2,
    agent: 'Explore',
  }
  const { response } = await mgr.spawn('a', { ...options, prompt: 'hello' })
  const record = pick(w.readStore().a, RECORD)
  assert.deepEqual(
    Object.keys(w.readStore().a).filter((key) => RECORD.includes(key)),
    RECORD,
    'in this order',
  )
  const { interactions, created, ...rest } = record
  assert.deepEqual(rest, {
    name: 'a',
    claudeSessionId: response.sessionId,
    status: 'ready',
    totalCostUsd: response.cost,
    totalTurns: 1,
    ...options,
  })
  assert.deepEqual(
    interactions.map((interaction) => pick(interaction, INTERACTION)),
    mgr.history('a'),
  )
  assert.equal(new Date(created).toISOString(), created)
})

same('spawn passes its options to the CLI', async ({ mgr }) => {
  const { response } = await mgr.spawn('a', {
    model: 'haiku',
    permissionMode: 'acceptEdits',
    systemPrompt: 'be short',
    maxBudget: 2,
    agent: 'Explore',
    prompt: 'stand-in: argv',
  })
  const argv = JSON.parse(response.text).join('\n')
  for (const part of [
    '--model\nhaiku',
    '--permission-mode',
    'acceptEdits',
    'be short',
    '--max-budget-usd',
    'Explore',
  ]) {
    assert.ok(argv.includes(part), `${part} in ${argv}`)
  }
})

same('spawn takes the manager’s defaults of the moment where it is given nothing', async ({ make }) => {
  const mgr = make({ defaultModel: 'haiku', defaultPermissionMode: 'plan', defaultTimeout: 4321 })
  assert.deepEqual([mgr.defaultModel, mgr.defaultPermissionMode, mgr.defaultTimeout], ['haiku', 'plan', 4321])
  const nothing = {
    model: '',
    permissionMode: null,
    timeout: 0,
    allowedTools: null,
    maxBudget: 0,
    agent: '',
    prompt: '',
  }
  const { session, response } = await mgr.spawn('a', nothing)
  assert.equal(response, null)
  assert.deepEqual([session.model, session.permissionMode, session.allowedTools], ['haiku', 'plan', []])
  assert.deepEqual([session.maxBudget, session.agent, session.systemPrompt], [null, null, ''])
  assert.equal(mgr.sessions.get('a').timeout, 4321)
  mgr.defaultModel = 'opus'
  assert.equal((await mgr.spawn('b')).session.model, 'opus')
  const plain = make()
  assert.deepEqual(
    [plain.defaultModel, plain.defaultPermissionMode, plain.defaultTimeout],
    ['sonnet', 'default', 600_000],
  )
})

for (const status of ['starting', 'ready', 'busy', 'paused', 'odd']) {
  same(`a stored status "${status}" holds the name`, async ({ mgr }) => {
    mgr.store.set('a', stored('a', { status }))
    await assert.rejects(mgr.spawn('a'), {
      name: 'Error',
      message: `Session "a" exists in store with status "${status}". Kill or delete it first.`,
    })
    assert.equal(mgr.sessions.size, 0)
    mgr.kill('a')
    await mgr.spawn('a')
  })
}

same('a stored status "stopped", "killed" or "failed" leaves the name free, and the record is replaced', async (c) => {
  const { mgr, w } = c
  for (const status of ['stopped', 'killed', 'failed']) {
    mgr.store.set(status, stored(status, { status, totalTurns: 7, interactions: [{ prompt: 'old' }] }))
    await mgr.spawn(status)
    const { totalTurns, interactions } = w.readStore()[status]
    assert.deepEqual([totalTurns, interactions], [0, []])
  }
})

same('a spawn whose process dies rejects; the name is free and the record says failed', async ({ mgr, made }) => {
  await assert.rejects(mgr.spawn('a', { prompt: 'stand-in: exit 3' }), { name: 'Error' })
  await made[0].closed
  assert.equal(mgr.sessions.size, 0)
  assert.equal(mgr.status('a').status, 'failed')
  assert.equal((await mgr.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
})

same('a working directory that does not exist rejects, and leaves no session and no record', async ({ mgr }) => {
  await assert.rejects(mgr.spawn('a', { workDir: '/no/such/dir', prompt: 'x' }))
  assert.equal(mgr.sessions.size, 0)
  assert.deepEqual(mgr.list(), [])
})

// --- send ---

same('send answers, and the record has the turn', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'one' })
  const response = await mgr.send('a', 'two')
  assert.deepEqual([response.text, response.turns], ['echo(4): two', 1])
  assert.deepEqual(Object.keys(pick(response, RESPONSE)), RESPONSE)
  const { interactions, totalTurns, status } = w.readStore().a
  assert.deepEqual([interactions.map(({ prompt }) => prompt), totalTurns, status], [['one', 'two'], 2, 'ready'])
})

same('send to a name that is not alive rejects and does not throw', async ({ mgr }) => {
  mgr.store.set('old', stored('old'))
  for (const name of ['nobody', 'old']) {
    const promise = mgr.send(name, 'hello')
    await assert.rejects(promise, {
      name: 'Error',
      message: `Session "${name}" is not alive. Use resume() to restore it.`,
    })
  }
})

same('send resumes a paused session', async ({ mgr }) => {
  await mgr.spawn('a')
  mgr.pause('a')
  assert.equal((await mgr.send('a', 'hello')).text, 'echo(2): hello')
  assert.equal(mgr.status('a').status, 'ready')
})

same('send takes a timeout of its own', async ({ mgr }) => {
  await mgr.spawn('a')
  await assert.rejects(mgr.send('a', 'stand-in: slow 100 late', 20), { name: 'Error' })
  assert.equal((await mgr.send('a', 'hello')).text, 'echo(4): hello')
})

same('several sends to one session are answered in order', async ({ mgr }) => {
  await mgr.spawn('a')
  const responses = await Promise.all(['one', 'two', 'three'].map((text) => mgr.send('a', text)))
  assert.deepEqual(
    responses.map(({ text }) => text),
    ['echo(2): one', 'echo(4): two', 'echo(6): three'],
  )
})

// --- pause and resume ---

same('pause is synchronous, marks session and record, and the process lives', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'hello' })
  assert.equal(mgr.pause('a'), undefined)
  assert.deepEqual([mgr.status('a').status, w.readStore().a.status], ['paused', 'paused'])
  assert.ok(mgr.sessions.has('a'))
  assert.deepEqual(
    mgr.list('paused').map(({ name }) => name),
    ['a'],
  )
})

for (const method of ['pause', 'stop']) {
  same(`${method} of a name that is not alive throws at once`, ({ mgr }) => {
    mgr.store.set('old', stored('old'))
    for (const name of ['nobody', 'old']) {
      assert.throws(() => mgr[method](name), {
        name: 'Error',
        message: `Session "${name}" is not alive. Use resume() to restore it.`,
      })
    }
  })
}

same('resume of a live session takes the mark away, and answers a message', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'hello' })
  mgr.pause('a')
  assert.equal(await mgr.resume('a'), null)
  assert.deepEqual([mgr.status('a').status, w.readStore().a.status], ['ready', 'ready'])
  assert.equal(await mgr.resume('a'), null, 'also of one that was not paused')
  assert.equal(await mgr.resume('a', ''), null, 'also with an empty message')
  mgr.pause('a')
  const response = await mgr.resume('a', 'more')
  assert.equal(pick(response, RESPONSE).text, 'echo(4): more')
  assert.equal(w.readStore().a.interactions.length, 2)
})

same('resume of a stored session goes on with its conversation, history and totals', async ({ mgr, make, w }) => {
  const { id } = await past(mgr, 'a', 'the word is plum')
  const before = w.readStore().a
  const other = make()
  const promise = other.resume('a')
  assert.ok(other.sessions.has('a'), 'at once')
  assert.equal(await promise, null)
  const session = other.sessions.get('a')
  assert.deepEqual([session.id, session.totalTurns, session.totalCostUsd], [id, 1, before.totalCostUsd])
  assert.deepEqual(session.interactions, before.interactions)
  assert.equal(other.status('a').status, 'ready')
  assert.equal((await other.send('a', 'recall')).text, 'the word is plum')
  assert.equal(w.readStore().a.interactions.length, 2)
  assert.equal(w.readStore().a.totalTurns, 2)
})

same('resume with a message answers it', async ({ mgr }) => {
  await past(mgr, 'a', 'plum')
  assert.equal(pick(await mgr.resume('a', 'recall'), RESPONSE).text, 'plum')
})

for (const status of ['stopped', 'killed', 'failed', 'ready', 'busy']) {
  same(`resume takes a record with status "${status}" that nobody owns`, async ({ mgr }) => {
    const { id } = await past(mgr, 'a', 'plum')
    mgr.store.set('b', stored('b', { status, claudeSessionId: id }))
    assert.equal((await mgr.resume('b', 'recall')).text, 'plum')
  })
}

same('resume of an unknown name rejects', async ({ mgr }) => {
  await assert.rejects(mgr.resume('nobody'), { name: 'Error', message: 'Session "nobody" not found.' })
  await assert.rejects(mgr.resume('nobody', 'x'), { name: 'Error', message: 'Session "nobody" not found.' })
})

same('resume of a record without a conversation rejects', async ({ mgr }) => {
  for (const claudeSessionId of [null, undefined, '']) {
    mgr.store.set('a', stored('a', { claudeSessionId }))
    await assert.rejects(mgr.resume('a'), {
      name: 'Error',
      message: 'Session "a" has no session ID. Cannot restore.',
    })
  }
  assert.equal(mgr.sessions.size, 0)
})

same('resume runs with the options of the record', async ({ mgr, w }) => {
  const options = { model: 'haiku', permissionMode: 'plan', systemPrompt: 'be short', workDir: w.dir }
  await mgr.spawn('a', { ...options, prompt: 'hello' })
  const session = mgr.sessions.get('a')
  mgr.stop('a')
  await session.closed
  const { text } = await mgr.resume('a', 'stand-in: argv')
  for (const part of ['haiku', 'plan', 'be short']) assert.ok(text.includes(part), part)
  assert.equal(mgr.status('a').workDir, w.dir)
})

same('resume fills in the manager’s defaults where the record has none', async ({ mgr, make }) => {
  const { id } = await past(mgr, 'a')
  mgr.store.set('b', { name: 'b', status: 'stopped', claudeSessionId: id })
  const other = make({ defaultModel: 'haiku', defaultPermissionMode: 'plan', defaultTimeout: 4321 })
  await other.resume('b')
  const { model, permissionMode, timeout, workDir, interactions, totalTurns } = other.sessions.get('b')
  assert.deepEqual([model, permissionMode, timeout, workDir], ['haiku', 'plan', 4321, process.cwd()])
  assert.deepEqual([interactions, totalTurns], [[], 0])
})

// --- stop, kill, delete ---

same('stop is synchronous: the session leaves, its record says stopped, its process ends', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'hello' })
  const session = mgr.sessions.get('a')
  assert.equal(mgr.stop('a'), undefined)
  assert.equal(mgr.sessions.has('a'), false)
  assert.deepEqual([mgr.status('a').status, w.readStore().a.status], ['stopped', 'stopped'])
  assert.deepEqual(await session.closed, { code: 0, signal: null })
  assert.equal(mgr.status('a').status, 'stopped')
  assert.throws(() => mgr.stop('a'), { message: 'Session "a" is not alive. Use resume() to restore it.' })
})

same('kill is synchronous: the session leaves, its record says killed, its process ends', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'hello' })
  const session = mgr.sessions.get('a')
  assert.equal(mgr.kill('a'), undefined)
  assert.equal(mgr.sessions.has('a'), false)
  assert.deepEqual([mgr.status('a').status, w.readStore().a.status], ['killed', 'killed'])
  assert.equal((await session.closed).signal, 'SIGKILL')
  assert.equal(mgr.status('a').status, 'killed')
})

same('kill of a record marks it, and of an unknown name does nothing', ({ mgr }) => {
  mgr.store.set('old', stored('old', { status: 'busy', extra: 1 }))
  assert.equal(mgr.kill('old'), undefined)
  assert.deepEqual([mgr.status('old').status, mgr.status('old').extra], ['killed', 1])
  assert.equal(mgr.kill('nobody'), undefined)
  assert.equal(mgr.list().length, 1)
})

same('stopAll stops every session', async ({ mgr, w, made }) => {
  await mgr.batch([{ name: 'a', prompt: 'hello' }, { name: 'b' }, { name: 'c' }])
  assert.equal(mgr.stopAll(), undefined)
  assert.equal(mgr.sessions.size, 0)
  assert.deepEqual(
    Object.values(w.readStore()).map(({ status }) => status),
    ['stopped', 'stopped', 'stopped'],
  )
  assert.equal(mgr.stopAll(), undefined, 'also when there is none')
  await Promise.all(made.map(({ closed }) => closed))
})

same('delete kills a live session and removes its record, or a record alone', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'hello' })
  const session = mgr.sessions.get('a')
  mgr.delete('a')
  assert.equal(mgr.sessions.has('a'), false)
  assert.deepEqual(w.readStore(), {})
  await session.closed
  assert.deepEqual(w.readStore(), {})
  mgr.store.set('old', stored('old'))
  mgr.delete('old')
  mgr.delete('nobody')
  assert.deepEqual(mgr.list(), [])
  assert.throws(() => mgr.status('old'), { message: 'Session "old" not found.' })
})

same('a process that ends by itself leaves sessions, and its record says how', async ({ mgr, made }) => {
  await mgr.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
  await made[0].closed
  assert.equal(mgr.sessions.has('a'), false)
  assert.equal(mgr.status('a').status, 'stopped')
  await mgr.spawn('b', { prompt: 'hello' })
  process.kill(mgr.sessions.get('b').pid, 'SIGKILL')
  await made[1].closed
  assert.equal(mgr.sessions.has('b'), false)
  assert.equal(mgr.status('b').status, 'failed')
  assert.equal((await mgr.resume('b', 'more')).text, 'echo(4): more')
})

// --- status, list, history, lastOutput, cleanup ---

same('status gives the state of a live session, else the record', async ({ mgr }) => {
  const { session } = await mgr.spawn('a', { prompt: 'hello' })
  assert.deepEqual(mgr.status('a'), session)
  assert.deepEqual(mgr.status('a'), mgr.sessions.get('a').toJSON())
  mgr.store.set('old', stored('old', { extra: 'x' }))
  assert.deepEqual(mgr.status('old'), mgr.store.get('old'))
  assert.throws(() => mgr.status('nobody'), { name: 'Error', message: 'Session "nobody" not found.' })
})

same('list has stored and live sessions, each once, in the order of the store, and filters', async ({ mgr }) => {
  assert.deepEqual(mgr.list(), [])
  mgr.store.set('old', stored('old'))
  mgr.store.set('killed', stored('killed', { status: 'killed' }))
  await mgr.spawn('a', { prompt: 'hello' })
  await mgr.spawn('b')
  mgr.pause('b')
  const namesOf = (list) => list.map(({ name }) => name)
  assert.deepEqual(namesOf(mgr.list()), ['old', 'killed', 'a', 'b'])
  assert.deepEqual(mgr.list()[2], mgr.status('a'))
  assert.deepEqual(namesOf(mgr.list('ready')), ['a'])
  assert.deepEqual(namesOf(mgr.list('paused')), ['b'])
  assert.deepEqual(namesOf(mgr.list('stopped')), ['old'])
  assert.deepEqual(mgr.list('no such status'), [])
  for (const none of [undefined, null, '']) assert.equal(mgr.list(none).length, 4)
})

same('history of a live session is the same array at every call, of a stored one its turns', async ({ mgr }) => {
  await mgr.spawn('a', { prompt: 'one' })
  const history = mgr.history('a')
  assert.equal(mgr.history('a'), history)
  assert.equal(mgr.sessions.get('a').interactions, history)
  await mgr.send('a', 'two')
  assert.deepEqual(
    history.map((interaction) => pick(interaction, INTERACTION).prompt),
    ['one', 'two'],
  )
  mgr.stop('a')
  assert.deepEqual(mgr.history('a'), history)
  mgr.store.set('bare', { name: 'bare', status: 'stopped' })
  assert.deepEqual(mgr.history('bare'), [])
  assert.throws(() => mgr.history('nobody'), { name: 'Error', message: 'Session "nobody" not found.' })
})

same('lastOutput is the last turn, null before the first', async ({ mgr }) => {
  await mgr.spawn('a')
  assert.equal(mgr.lastOutput('a'), null)
  await mgr.send('a', 'one')
  await mgr.send('a', 'two')
  assert.equal(mgr.lastOutput('a'), mgr.history('a')[1])
  mgr.stop('a')
  assert.equal(mgr.lastOutput('a').response, 'echo(4): two')
  mgr.store.set('bare', { name: 'bare', status: 'stopped' })
  assert.equal(mgr.lastOutput('bare'), null)
  assert.throws(() => mgr.lastOutput('nobody'), { name: 'Error', message: 'Session "nobody" not found.' })
})

same('cleanup says how many records it removed, 7 days by default', ({ mgr, w }) => {
  const old = new Date(Date.now() - 8 * 86_400_000).toISOString()
  mkdirSync(w.dataDir, { recursive: true })
  const recent = new Date(Date.now() - 60_000).toISOString()
  const records = { old: stored('old', { created: old }), new: stored('new', { created: recent }) }
  writeFileSync(w.sessionsFile, JSON.stringify(records, null, 2))
  assert.equal(mgr.cleanup(), 1)
  assert.deepEqual(
    mgr.list().map(({ name }) => name),
    ['new'],
  )
  assert.equal(mgr.cleanup(0), 1)
})

// --- batch ---

same('batch gives one result for each, in order, and a failure in its place', async ({ mgr }) => {
  await mgr.spawn('taken')
  const results = await mgr.batch([{ name: 'a', prompt: 'one' }, { name: 'taken', prompt: 'x' }, { name: 'b' }])
  assert.equal(results.length, 3)
  assert.equal(results[0].response.text, 'echo(2): one')
  assert.deepEqual(results[1], {
    session: { name: 'taken', status: 'failed' },
    error: 'Session "taken" already exists and is alive. Kill it first or use a different name.',
  })
  assert.deepEqual([results[2].session.name, results[2].response], ['b', null])
  assert.deepEqual(await mgr.batch([]), [])
})

same('batch of one name twice starts it once', async ({ mgr }) => {
  const [first, second] = await mgr.batch([
    { name: 'a', prompt: 'one' },
    { name: 'a', prompt: 'two' },
  ])
  assert.equal(first.response.text, 'echo(2): one')
  assert.match(second.error, /already exists and is alive/)
})

same('batch rejects for what is no list, and throws nothing', async ({ mgr }) => {
  for (const none of [undefined, null, 5]) await assert.rejects(mgr.batch(none), TypeError)
})

// --- fork ---

same('fork makes a live session that knows what was said, and leaves the source alone', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'the word is plum', permissionMode: 'plan', model: 'haiku' })
  const { session, response } = await mgr.fork('a', 'b', { message: 'recall' })
  const { text, turns, sessionId } = pick(response, RESPONSE)
  assert.deepEqual([text, turns], ['the word is plum', 1])
  assert.notEqual(sessionId, mgr.sessions.get('a').id)
  assert.deepEqual([session.name, session.id, session.totalTurns], ['b', sessionId, 1])
  assert.deepEqual([session.model, session.permissionMode, session.workDir], ['haiku', 'plan', process.cwd()])
  const [interaction] = mgr.history('b')
  assert.deepEqual(pick(interaction, ['prompt', 'response', 'turns', 'type']), {
    prompt: 'recall',
    response: 'the word is plum',
    turns: 1,
    type: 'fork',
  })
  assert.deepEqual(Object.keys(pick(interaction, INTERACTION)), INTERACTION)
  const record = w.readStore().b
  assert.deepEqual([record.claudeSessionId, record.status, record.interactions.length], [sessionId, 'ready', 1])
  assert.equal((await mgr.send('b', 'go on')).text, 'echo(6): go on')
  assert.equal((await mgr.send('a', 'mine')).text, 'echo(4): mine')
  assert.equal(mgr.history('a').length, 2)
})

same('fork of a stored session, with a default message', async ({ mgr }) => {
  await past(mgr, 'a', 'plum')
  const { response } = await mgr.fork('a', 'b')
  assert.equal(response.text, 'echo(4): Continue from the forked conversation.')
  assert.equal(mgr.lastOutput('b').prompt, 'Continue from the forked conversation.')
  assert.deepEqual([...mgr.sessions.keys()], ['b'])
})

same('fork takes a model and a working directory of its own', async ({ mgr, w }) => {
  await mgr.spawn('a', { prompt: 'hello' })
  const { session } = await mgr.fork('a', 'b', { model: 'haiku', workDir: w.dir, message: 'hi' })
  assert.deepEqual([session.model, session.workDir], ['haiku', w.dir])
})

same('fork of an unknown name, or of one without a conversation, rejects', async ({ mgr }) => {
  await assert.rejects(mgr.fork('nobody', 'b'), { name: 'Error', message: 'Source session "nobody" not found.' })
  mgr.store.set('old', stored('old'))
  await assert.rejects(mgr.fork('old', 'b'), { name: 'Error', message: 'Source session "old" has no session ID.' })
  await mgr.spawn('new')
  await assert.rejects(mgr.fork('new', 'b'), { name: 'Error', message: 'Source session "new" has no session ID.' })
  assert.ok(!mgr.sessions.has('b'))
})

same('a fork that fails rejects with "Fork failed: " and leaves no session', async ({ mgr }) => {
  mgr.store.set('a', stored('a', { claudeSessionId: '00000000-0000-4000-8000-000000000000' }))
  await assert.rejects(mgr.fork('a', 'b', { message: 'hello' }), { name: 'Error', message: /^Fork failed: / })
  assert.ok(!mgr.sessions.has('b'))
  assert.throws(() => mgr.status('b'))
})

// --- hooks ---

same('_getSession is asked by send, pause and stop', async ({ make, Manager }) => {
  const asked = []
  class Mine extends Manager {
    _getSession(name) {
      asked.push(name)
      return super._getSession(name.replace('my ', ''))
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a')
  await mgr.send('my a', 'hello')
  mgr.pause('my a')
  assert.deepEqual(asked, ['my a', 'my a'])
  assert.throws(() => mgr.stop('nobody'), { message: 'Session "nobody" is not alive. Use resume() to restore it.' })
  assert.equal(asked.length, 3)
})

same(
  '_persist is called for each step of a session’s life, before the call returns',
  async ({ make, Manager, made }) => {
    const calls = []
    class Mine extends Manager {
      _persist(name) {
        calls.push([name, this.sessions.get(name)?.status])
        super._persist(name)
      }
    }
    const mgr = make({}, Mine)
    const first = mgr.spawn('a', { prompt: 'hello' })
    assert.deepEqual(calls.splice(0), [['a', 'ready']])
    await first
    assert.ok(
      calls.splice(0).some(([name, status]) => name === 'a' && status === 'ready'),
      'after the answer',
    )
    await mgr.send('a', 'more')
    assert.ok(calls.splice(0).length > 0, 'send')
    mgr.pause('a')
    assert.deepEqual(calls.splice(0), [['a', 'paused']])
    await mgr.resume('a')
    assert.ok(
      calls.splice(0).some(([, status]) => status === 'ready'),
      'resume',
    )
    mgr.stop('a')
    assert.deepEqual(calls.splice(0), [['a', 'stopped']])
    await mgr.spawn('b')
    calls.length = 0
    mgr.stopAll()
    assert.deepEqual(calls.splice(0), [['b', 'stopped']])
    await Promise.all(made.map(({ closed }) => closed))
  },
)

same('_persist does nothing for a name that is not alive', ({ mgr }) => {
  mgr.store.set('old', stored('old'))
  const before = mgr.store.get('old')
  assert.equal(mgr._persist('old'), undefined)
  assert.equal(mgr._persist('nobody'), undefined)
  assert.deepEqual(mgr.store.get('old'), before)
  assert.equal(mgr.list().length, 1)
})

same('_wireEvents is called once for each session, before its process starts', async ({ make, Manager }) => {
  const wired = []
  class Mine extends Manager {
    _wireEvents(session) {
      wired.push([session.name, session.status, session.pid])
      session.on('text', (text) => wired.push(text))
      super._wireEvents(session)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a', { prompt: 'hello' })
  assert.deepEqual(wired.splice(0), [['a', 'starting', null], 'echo(2): hello'])
  await mgr.fork('a', 'b', { message: 'hi' })
  assert.deepEqual(wired.splice(0), [['b', 'starting', null]])
  const session = mgr.sessions.get('a')
  mgr.stop('a')
  await session.closed
  await mgr.resume('a', 'more')
  assert.deepEqual(wired, [['a', 'starting', null], 'echo(4): more'])
})

same('batch goes through spawn, lastOutput through history', async ({ make, Manager }) => {
  class Mine extends Manager {
    async spawn(name, options) {
      return { mine: name, options }
    }
    history(name) {
      return [{ mine: name }]
    }
  }
  const mgr = make({}, Mine)
  const spec = { name: 'a', prompt: 'x' }
  assert.deepEqual(await mgr.batch([spec]), [{ mine: 'a', options: spec }])
  assert.deepEqual(mgr.lastOutput('b'), { mine: 'b' })
})

same('stopAll does not go through an overridden stop', async ({ make, Manager, made }) => {
  class Mine extends Manager {
    stop(name) {
      assert.fail(`stop(${name})`)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a')
  mgr.stopAll()
  assert.equal(mgr.sessions.size, 0)
  await made[0].closed
})

same('delete and kill do not go through _getSession', async ({ make, Manager, made }) => {
  class Mine extends Manager {
    _getSession(name) {
      assert.fail(`_getSession(${name})`)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a')
  await mgr.spawn('b')
  mgr.kill('a')
  mgr.delete('b')
  assert.equal(mgr.sessions.size, 0)
  await Promise.all(made.map(({ closed }) => closed))
})

// --- random days of work: whatever is called in whatever order, both do the same ---

const METHODS = {
  spawn: (mgr, name, options) => mgr.spawn(name, options),
  send: (mgr, name) => mgr.send(name, 'text'),
  pause: (mgr, name) => mgr.pause(name),
  resume: (mgr, name, { prompt }) => mgr.resume(name, prompt),
  stop: (mgr, name) => mgr.stop(name),
  kill: (mgr, name) => mgr.kill(name),
  stopAll: (mgr) => mgr.stopAll(),
  delete: (mgr, name) => mgr.delete(name),
  status: (mgr, name) => mgr.status(name),
  list: (mgr, name, { filter }) => mgr.list(filter),
  history: (mgr, name) => mgr.history(name),
  lastOutput: (mgr, name) => mgr.lastOutput(name),
  batch: (mgr, name, options) => mgr.batch([{ name, ...options }, { name: 'b' }]),
}

/** The same numbers for the same seed. */
function random(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** What a value says that does not depend on the moment: fields of the original alone, ids by their order. */
function essence(value, ids) {
  if (Array.isArray(value)) return value.map((item) => essence(item, ids))
  if (typeof value === 'string') return ids.has(value) ? ids.get(value) : value
  if (typeof value !== 'object' || value === null) return value ?? null
  const kept = new Set([
    ...RECORD,
    ...RESPONSE,
    ...INTERACTION,
    'id',
    'session',
    'initData',
    'interactionCount',
    'error',
  ])
  const entries = Object.entries(value)
    .filter(([key]) => kept.has(key) && !['created', 'timestamp', 'duration', 'claudeSessionId'].includes(key))
    .map(([key, field]) => {
      if (['id', 'sessionId'].includes(key) && field !== null && !ids.has(field)) ids.set(field, `id ${ids.size}`)
      return [key, key === 'initData' ? field !== null : essence(field, ids)]
    })
  return Object.fromEntries(entries.toSorted(([one], [other]) => (one < other ? -1 : 1)))
}

async function dayOfWork({ mgr, made }, seed) {
  const next = random(seed)
  const ids = new Map()
  const trace = []
  for (let step = 0; step < 30; step += 1) {
    const method = Object.keys(METHODS)[next(Object.keys(METHODS).length)]
    const name = ['a', 'b', 'c'][next(3)]
    const options = {
      prompt: ['', 'hello', 'stand-in: error execution'][next(3)],
      filter: ['', 'ready', 'stopped'][next(3)],
    }
    let outcome
    try {
      const returned = METHODS[method](mgr, name, options)
      outcome = [returned instanceof Promise, essence(await returned, ids)]
    } catch ({ name: kind, message }) {
      outcome = [kind, message]
    }
    // In the original the late end of a stopped process takes a new session of the same name along.
    await Promise.all(made.filter((session) => mgr.sessions.get(session.name) !== session).map(({ closed }) => closed))
    trace.push([`${step}: ${method} ${name} ${options.prompt}`, outcome, [...mgr.sessions.keys()]])
    trace.push(essence(mgr.store.list(), ids))
  }
  return trace
}

for (const seed of [1, 2, 3]) {
  const traces = {}
  same(`a random day of work, number ${seed}, goes well`, async (context) => {
    traces[context.isOriginal ? 'theirs' : 'ours'] = await dayOfWork(context, seed)
  })
  if (Original === undefined) continue
  test(`and goes the same with both, number ${seed}`, () => assert.deepEqual(traces.ours, traces.theirs))
}

// --- differences that are meant ---

differs('errors have a code', '| Errors | `code`', {
  ours: ({ mgr }) => assert.throws(() => mgr.status('nobody'), { code: 'ERR_SESSION_NOT_FOUND' }),
  theirs: ({ mgr }) =>
    assert.throws(
      () => mgr.status('nobody'),
      ({ code }) => code === undefined,
    ),
})

differs('records have more fields', '| Records | `timeout`, `tags`, `pid`, `owner`, `lastSaved`', {
  async ours({ mgr, w }) {
    await mgr.spawn('a', { timeout: 4321, tags: ['x'] })
    const { timeout, tags, pid, owner } = w.readStore().a
    assert.deepEqual([timeout, tags, pid, typeof owner], [4321, ['x'], mgr.sessions.get('a').pid, 'object'])
  },
  async theirs({ mgr, w }) {
    await mgr.spawn('a', { timeout: 4321, tags: ['x'] })
    const { timeout, tags, pid, owner } = w.readStore().a
    assert.deepEqual([timeout, tags, pid, owner], [undefined, undefined, undefined, undefined])
  },
})

differs(
  'a stored timeout is used by resume',
  '`timeout` and `tags` are stored, and a stored `timeout` is used by `resume`',
  {
    async ours({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello', timeout: 4321 })
      mgr.stop('a')
      await mgr.resume('a')
      assert.equal(mgr.sessions.get('a').timeout, 4321)
    },
    async theirs({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello', timeout: 4321 })
      const session = mgr.sessions.get('a')
      mgr.stop('a')
      await session.closed
      await mgr.resume('a')
      assert.equal(mgr.sessions.get('a').timeout, 600_000)
    },
  },
)

differs('created stays what it was', '`created` is when the record was first written.', {
  async ours({ mgr, w }) {
    await mgr.spawn('a')
    const { created } = w.readStore().a
    await mgr.send('a', 'stand-in: slow 30')
    assert.equal(w.readStore().a.created, created)
    assert.notEqual(w.readStore().a.interactions[0].timestamp, created)
  },
  async theirs({ mgr, w }) {
    await mgr.spawn('a')
    const { created } = w.readStore().a
    await mgr.send('a', 'stand-in: slow 30')
    assert.notEqual(w.readStore().a.created, created)
    assert.equal(w.readStore().a.created, w.readStore().a.interactions[0].timestamp)
  },
})

differs('cleanup leaves live sessions', '`cleanup` never removes the record of a live session', {
  async ours({ mgr }) {
    await mgr.spawn('a')
    assert.equal(mgr.cleanup(0), 0)
    assert.equal(mgr.store.get('a').status, 'ready')
  },
  async theirs({ mgr }) {
    await mgr.spawn('a')
    await until(() => mgr.cleanup(0) === 1, 'the record is older than nothing')
    assert.equal(mgr.store.get('a'), null)
  },
})

differs('the end of a process touches only its own session', 'The end of a process touches only its own session.', {
  async ours({ mgr, made }) {
    await mgr.spawn('a')
    mgr.stop('a')
    await mgr.spawn('a')
    await made[0].closed
    assert.equal(mgr.sessions.get('a'), made[1])
    assert.equal(mgr.status('a').status, 'ready')
  },
  async theirs({ mgr, made }) {
    await mgr.spawn('a')
    mgr.stop('a')
    await mgr.spawn('a')
    await made[0].closed
    assert.equal(mgr.sessions.has('a'), false)
  },
})

differs('a turn in flight at a stop is recorded', 'After `stop`, a turn in flight may finish within its time', {
  async ours({ mgr, w }) {
    await mgr.spawn('a')
    const answer = mgr.send('a', 'stand-in: slow 50 late')
    mgr.stop('a')
    assert.equal((await answer).text, 'echo(2): late')
    assert.equal(w.readStore().a.interactions.length, 1)
  },
  async theirs({ mgr, w, made }) {
    await mgr.spawn('a')
    const answer = mgr.send('a', 'stand-in: slow 50 late')
    mgr.stop('a')
    await Promise.allSettled([answer, made[0].closed])
    assert.equal(w.readStore().a.interactions.length, 0)
  },
})

differs('a session that is alive elsewhere is not resumed a second time', '`resume` of a session that is alive', {
  async ours({ mgr, make }) {
    await mgr.spawn('a', { prompt: 'hello' })
    await assert.rejects(make().resume('a'), { code: 'ERR_SESSION_HELD', holderPid: process.pid })
  },
  async theirs({ mgr, make }) {
    await mgr.spawn('a', { prompt: 'hello' })
    assert.equal(await make().resume('a'), null)
  },
})

differs(
  'names of a wrong type are refused by every method',
  'Wrong types, empty names and negative numbers are rejected',
  {
    ours({ mgr }) {
      for (const method of ['kill', 'delete', 'status', 'history', 'stop']) {
        assert.throws(() => mgr[method](undefined), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
      }
    },
    theirs({ mgr }) {
      assert.equal(mgr.kill('undefined'), undefined)
      assert.throws(() => mgr.stop(undefined), {
        message: 'Session "undefined" is not alive. Use resume() to restore it.',
      })
    },
  },
)

differs('options may be null', 'As before, `null`, `undefined`, `0` and `\'\'` mean "not given".', {
  ours: async ({ mgr }) => assert.equal((await mgr.spawn('a', null)).response, null),
  theirs: ({ mgr }) => assert.rejects(mgr.spawn('a', null), TypeError),
})

differs('a fork does not block the program', '| Asynchronous. |', {
  async ours({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 5)
    await mgr.fork('a', 'b', { message: 'stand-in: slow 100' })
    clearInterval(timer)
    assert.ok(ticks > 3)
  },
  async theirs({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    const began = performance.now()
    const promise = mgr.fork('a', 'b', { message: 'stand-in: slow 100' })
    assert.ok(performance.now() - began > 100)
    await promise
  },
})

differs(
  'a message of a fork is never executed',
  'No shell is involved; a message may contain or begin with anything.',
  {
    async ours({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello' })
      for (const [index, message] of ['$(echo run)', '`echo run`', '-x', '"quoted"; \\', "it's %PATH%"].entries()) {
        const { response } = await mgr.fork('a', `b${index}`, { message })
        assert.equal(response.text, `echo(4): ${message}`)
      }
    },
    async theirs({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello' })
      assert.equal((await mgr.fork('a', 'b', { message: '$(echo run)' })).response.text, 'echo(4): run')
      await assert.rejects(mgr.fork('a', 'c', { message: '-x' }), { message: /^Fork failed: / })
    },
  },
)

differs(
  'a fork inherits what its source may do',
  'The fork inherits `allowedTools`, `systemPrompt`, `maxBudget`, `agent`',
  {
    async ours({ mgr }) {
      const options = { allowedTools: ['Read'], systemPrompt: 'be short', maxBudget: 2, agent: 'Explore' }
      await mgr.spawn('a', { ...options, prompt: 'hello' })
      const { session } = await mgr.fork('a', 'b', { message: 'hi' })
      assert.deepEqual(pick(session, Object.keys(options)), options)
    },
    async theirs({ mgr }) {
      await mgr.spawn('a', { allowedTools: ['Read'], systemPrompt: 'be short', prompt: 'hello' })
      const { session } = await mgr.fork('a', 'b', { message: 'hi' })
      assert.deepEqual([session.allowedTools, session.systemPrompt], [[], ''])
    },
  },
)

differs(
  'a fork does not take a name that is in use',
  'A `newName` that is taken is rejected with `ERR_SESSION_EXISTS`.',
  {
    async ours({ mgr, made }) {
      await mgr.spawn('a', { prompt: 'hello' })
      await mgr.spawn('b')
      await assert.rejects(mgr.fork('a', 'b'), { code: 'ERR_SESSION_EXISTS' })
      assert.equal(mgr.sessions.get('b'), made[1])
      mgr.store.set('c', stored('c', { status: 'paused' }))
      await assert.rejects(mgr.fork('a', 'c'), { code: 'ERR_SESSION_EXISTS' })
      const first = mgr.fork('a', 'd', { message: 'hi' })
      await assert.rejects(mgr.fork('a', 'd'), { code: 'ERR_SESSION_EXISTS' })
      await assert.rejects(mgr.spawn('d'), { code: 'ERR_SESSION_EXISTS' })
      await first
    },
    async theirs({ mgr, made }) {
      await mgr.spawn('a', { prompt: 'hello' })
      await mgr.spawn('b')
      await mgr.fork('a', 'b')
      assert.notEqual(mgr.sessions.get('b'), made[1])
    },
  },
)

differs('cost of a fork is what it cost', '`cost` is what the fork cost.', {
  async ours({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    const { response, session } = await mgr.fork('a', 'b', { message: 'hi' })
    assert.ok(Math.abs(response.cost - 0.00014) < 1e-9, `${response.cost}`)
    assert.equal(session.totalCostUsd, response.cost)
    assert.equal(mgr.history('b')[0].cost, response.cost)
  },
  async theirs({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    assert.equal((await mgr.fork('a', 'b', { message: 'hi' })).response.cost, 0)
  },
})

differs('"Fork failed: " is followed by the CLI’s words alone', "`Fork failed: ` is followed by the CLI's words", {
  async ours({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    await assert.rejects(mgr.fork('a', 'b', { message: 'stand-in: error execution secret' }), ({ message, cost }) => {
      assert.equal(message, 'Fork failed: secret')
      return cost > 0
    })
  },
  async theirs({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    await assert.rejects(mgr.fork('a', 'b', { message: 'stand-in: error execution secret' }), {
      message: /^Fork failed: Command failed: .*--fork-session/,
    })
  },
})

differs('bookkeeping comes before every listener', 'Bookkeeping is done before any listener runs', {
  async ours({ make, Manager, made }) {
    const seen = []
    class Mine extends Manager {
      _wireEvents(session) {
        session.on('close', () => seen.push(this.sessions.has(session.name), this.status(session.name).status))
        super._wireEvents(session)
      }
    }
    const mgr = make({}, Mine)
    await mgr.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
    await made[0].closed
    assert.deepEqual(seen, [false, 'stopped'])
  },
  async theirs({ make, Manager, made }) {
    const seen = []
    class Mine extends Manager {
      _wireEvents(session) {
        session.on('close', () => seen.push(this.sessions.has(session.name)))
        super._wireEvents(session)
      }
    }
    const mgr = make({}, Mine)
    await mgr.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
    await until(() => seen.length > 0, 'the close event')
    await made[0].closed
    assert.deepEqual(seen, [true])
  },
})
