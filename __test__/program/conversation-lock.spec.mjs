/** One writer per conversation: the second one is told at once who the first one is. */

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv, standInPath } from '../../testing/index.js'
import { messagesIn, readLog } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { isAlive, until, world } from '../support/sessions.mjs'
import { NEEDS_NOBODY, asUser } from '../support/users.mjs'

const SUFFIX = '.conversation.lock'

const locksIn = (dataDir) => readdirSync(join(dataDir, 'hosts')).filter((file) => file.endsWith(SUFFIX))

/** A program with a live session `a`; resolves with the program and the id of its conversation. */
async function holder(w) {
  const host = w.host(async ({ manager, say, heard }) => {
    const mgr = manager()
    await mgr.spawn('a', { prompt: 'one' })
    say(mgr.status('a').id)
    await heard()
    await mgr.close()
  })
  return { host, id: await host.said() }
}

test('another program that goes on with the conversation of a live one is told who has it', async (t) => {
  const w = hostWorld(t)
  const { host, id } = await holder(w)
  const held = { code: 'ERR_SESSION_HELD', holderPid: host.pid, sessionId: id }
  await assert.rejects(w.manager().resume('a'), held)
  await assert.rejects(w.manager().resume('a', 'two'), held)
  assert.throws(() => w.session({ sessionId: id }).start(), held)

  const elsewhere = w.manager({ dataDir: join(w.dir, 'other') })
  elsewhere.store.set('b', { name: 'b', claudeSessionId: id, status: 'stopped', interactions: [] })
  await assert.rejects(elsewhere.resume('b', 'two'), held)
  assert.equal(elsewhere.status('b').status, 'stopped')
  assert.equal(elsewhere.sessions.size, 0)

  host.tell('end')
  await host.finished()
  assert.equal((await elsewhere.resume('b', 'recall')).text, 'one')
})

test('a second name of the same program is told so, also while the first one starts', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'one' })
  const { id } = m.sessions.get('a')
  const record = { ...m.status('a'), name: 'b', status: 'stopped' }
  m.store.set('b', record)
  const held = { code: 'ERR_SESSION_HELD', holderPid: process.pid, sessionId: id }
  await assert.rejects(m.resume('b', 'x'), held)
  await assert.rejects(w.manager({ dataDir: join(w.dir, 'other') }).resume('b'), { code: 'ERR_SESSION_NOT_FOUND' })
  assert.throws(() => w.session({ sessionId: id }).start(), held)

  m.stop('a')
  const [first, second] = [m.resume('b', 'recall'), m.resume('a', 'x')]
  await assert.rejects(second, held)
  assert.equal((await first).text, 'one')
})

test('the same id in another configuration directory of the CLI is another conversation', async (t) => {
  const [here, there] = [world(t), world(t)]
  const m = here.manager()
  await m.spawn('a', { prompt: 'one' })
  const { id } = m.sessions.get('a')
  const session = there.session({ sessionId: id })
  session.start()
  // There is none there, which the CLI says.
  await assert.rejects(session.send('x'), { code: 'ERR_START_FAILED' })
})

test('the lock is there as long as the process, and follows the conversation', async (t) => {
  const w = world(t)
  const m = w.manager()
  const { session } = await m.spawn('a')
  const [planned] = locksIn(w.dataDir)
  assert.equal(session.id, null)
  await m.send('a', 'one')
  const { id, closed } = m.sessions.get('a')
  assert.equal(planned, `${id}${SUFFIX}`)
  await m.send('a', '/clear')
  assert.deepEqual(locksIn(w.dataDir), [`${m.sessions.get('a').id}${SUFFIX}`])
  assert.notEqual(m.sessions.get('a').id, id)
  m.stop('a')
  await closed
  assert.deepEqual(locksIn(w.dataDir), [])
})

test('a start that fails holds nothing', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'one' })
  m.stop('a')
  await m.close()
  const broken = w.manager({ claudePath: join(w.dir, 'none') })
  await assert.rejects(broken.resume('a'), { code: 'ERR_CLI_NOT_FOUND' })
  assert.deepEqual(locksIn(w.dataDir), [])
  assert.equal((await m.resume('a', 'recall')).text, 'one')
})

test('a holder that was killed holds nothing, and what it left in the conversation is ended first', async (t) => {
  const w = hostWorld(t)
  const log = join(w.dir, 'log')
  const host = w.start(
    async ({ manager, say }) => {
      const mgr = manager()
      const { session } = await mgr.spawn('a', { prompt: 'one' })
      mgr.send('a', 'stand-in: silent').catch(() => {})
      say([session.pid, mgr.status('a').id])
    },
    { env: standInEnv({ log }) },
  )
  const [pid, id] = await host.said()
  await until(() => messagesIn(readLog(log)).includes('stand-in: silent'), 'the turn runs')
  host.kill('SIGKILL')
  await host.closed
  // Neither the record nor the data directory of the one who comes next tells of it.
  const elsewhere = w.manager({ dataDir: join(w.dir, 'other'), claudePath: standInPath })
  elsewhere.store.set('b', { name: 'b', claudeSessionId: id, status: 'stopped', interactions: [] })
  const { text } = await elsewhere.resume('b', 'recall')
  assert.ok(!isAlive(pid))
  assert.match(text, /^one/)
  // The directory is swept by the next host that uses it.
  await w.manager().spawn('c')
  assert.equal(locksIn(w.dataDir).includes(`${id}${SUFFIX}`), false)
})

test(
  'a lock directory that belongs to another user is not used, and the program is warned',
  { skip: NEEDS_NOBODY },
  async (t) => {
    const w = hostWorld(t)
    // No other test is this user.
    const user = '54322'
    const theirs = `/tmp/clearctx-${user}`
    mkdirSync(theirs, { mode: 0o700 })
    t.after(() => rmSync(theirs, { recursive: true, force: true }))
    const host = w.start(
      async ({ manager, say, heard }) => {
        const warned = new Promise((resolve) => process.once('warning', resolve))
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'one' })
        const { code, message } = await warned
        say({ code, message })
        await heard()
        await mgr.close()
      },
      { wrapper: ['setpriv', ...asUser(user)] },
    )
    const { code, message } = await host.said()
    assert.equal(code, 'CLEARCTX_CONVERSATION_LOCK')
    assert.match(message, /^Conversations cannot be locked at .*clearctx-54322 \(it belongs to user 0\)/)
    // The one in the data directory still holds.
    assert.equal(locksIn(w.dataDir).length, 1)
    host.tell('end')
    await host.finished()
  },
)
