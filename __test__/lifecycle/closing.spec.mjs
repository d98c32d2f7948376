/** close(): nothing that was under way outlives it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { hostWorld } from '../support/hosts.mjs'
import { isAlive } from '../support/sessions.mjs'

/** A session `a` with one turn, whose program was killed. */
async function lose(w) {
  const host = w.host(async ({ manager, say }) => {
    const mgr = manager()
    await mgr.spawn('a', { prompt: 'one' })
    say(mgr.status('a').pid)
  })
  await host.said()
  host.kill('SIGKILL')
  await host.closed
}

test('a recover() in flight resumes nothing after close(), says so, and a later one resumes', async (t) => {
  const w = hostWorld(t)
  await lose(w)
  const mgr = w.manager()
  const recovering = mgr.recover({ resume: true, resend: true })
  await mgr.close()
  assert.equal(mgr.sessions.size, 0)
  const [{ name, verdict, session, error }] = await recovering
  assert.deepEqual([name, verdict, session], ['a', 'idle', undefined])
  assert.equal(error.code, 'ERR_SESSION_STOPPED')
  assert.match(error.message, /^Session "a" was not resumed/)
  assert.equal(mgr.sessions.size, 0)
  assert.deepEqual(w.processes(), [])

  const [again] = await mgr.recover({ resume: true })
  assert.equal(again.error, undefined)
  assert.ok(isAlive(again.session.pid ?? mgr.status('a').pid))
})

test('close() waits for a recover() in flight', async (t) => {
  const w = hostWorld(t)
  await lose(w)
  const mgr = w.manager()
  const order = []
  const recovering = mgr.recover().then(() => order.push('recovered'))
  await mgr.close().then(() => order.push('closed'))
  await recovering
  assert.deepEqual(order, ['recovered', 'closed'])
})
