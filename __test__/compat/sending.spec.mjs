/** send, pause and resume: the same as in clearctx 3.0.0. */

import assert from 'node:assert/strict'

import { RESPONSE, past, pick, same, stored } from '../support/compat.mjs'

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
