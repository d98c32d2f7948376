/** spawn, batch and fork: the same as in clearctx 3.0.0. */

import assert from 'node:assert/strict'

import { INTERACTION, RECORD, RESPONSE, past, pick, same, stored } from '../support/compat.mjs'

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
