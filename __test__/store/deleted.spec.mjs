/** A deletion by clearctx is final: the program that has the session does not bring its record back. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { gone, hostWorld } from '../support/hosts.mjs'

/** A program with a busy session `a` that says when that has ended, and what the store then has. */
const busy = async ({ manager, say }) => {
  const mgr = manager()
  const { session } = await mgr.spawn('a', { prompt: 'hello' })
  const live = mgr.sessions.get('a')
  const turn = mgr.send('a', 'stand-in: silent').catch((error) => error.code)
  say(session.pid)
  await Promise.all([turn, live.closed])
  await mgr.close()
  say(mgr.store.get('a'))
}

test("delete() of another program's busy session does not bring its record back", async (t) => {
  const w = hostWorld(t)
  const host = w.host(busy)
  const pid = await host.said()
  const m = w.manager()
  m.delete('a')
  await gone([pid])
  assert.equal(await host.said(), null)
  assert.equal(m.store.get('a'), null)
  await host.finished()
})

test('store.delete() of a live session does not bring its record back', async (t) => {
  const w = hostWorld(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  m.store.delete('a')
  await m.send('a', 'more')
  await m.close()
  assert.equal(m.store.get('a'), null)
})
