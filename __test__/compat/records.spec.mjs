/** Ends and records: the same as in clearctx 3.0.0. */

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'

import { INTERACTION, pick, same, stored } from '../support/compat.mjs'

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
