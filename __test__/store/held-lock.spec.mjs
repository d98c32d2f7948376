/** The store's lock held by another program: no method blocks the event loop for more than the bound, whatever it does. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'

import { world } from '../support/sessions.mjs'
import { oldRecord } from '../support/stores.mjs'

/** The stated bound is a second; the rest is for a busy machine. */
const BOUND_MS = 1000 + 250

/** Another program that holds the lock until it is told to let go, if `stopped` as one that does not run. */
async function holdLock(w, stopped = false) {
  const holder = spawn('flock', [join(w.dataDir, 'sessions.lock'), 'sh', '-c', 'echo held; read word'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(holder.stdout, 'data')
  if (stopped) holder.kill('SIGSTOP')
  const letGo = async () => {
    if (holder.exitCode !== null) return
    holder.kill('SIGCONT')
    holder.stdin.end()
    await once(holder, 'close')
  }
  return Object.assign(letGo, { pid: holder.pid })
}

/** Each method that works in the caller's thread, on a manager with the live sessions a, b and c and a stored one. */
const methods = {
  'spawn()': (m) => m.spawn('new'),
  'resume()': (m) => m.resume('stored'),
  'resume() of a live one': (m) => m.resume('a'),
  'fork()': (m) => m.fork('a', 'forked'),
  'batch()': (m) => m.batch([{ name: 'x' }, { name: 'y' }, { name: 'z' }]),
  'send()': (m) => m.send('a', 'hello'),
  'pause()': (m) => m.pause('a'),
  'stop()': (m) => m.stop('a'),
  'kill()': (m) => m.kill('a'),
  'kill() of a stored one': (m) => m.kill('stored'),
  'delete()': (m) => m.delete('a'),
  'delete() of a stored one': (m) => m.delete('stored'),
  'stopAll()': (m) => m.stopAll(),
  'close()': (m) => m.close(),
  'recover()': (m) => m.recover(),
  'list()': (m) => m.list(),
  'status()': (m) => m.status('stored'),
  'history()': (m) => m.history('stored'),
  'lastOutput()': (m) => m.lastOutput('stored'),
  'cleanup()': (m) => m.cleanup(0),
  'store.loadAll()': (m) => m.store.loadAll(),
  'store.saveAll()': (m) => m.store.saveAll({}),
  'store.get()': (m) => m.store.get('stored'),
  'store.set()': (m) => m.store.set('stored', oldRecord('stored')),
  'store.delete()': (m) => m.store.delete('stored'),
  'store.list()': (m) => m.store.list(),
  'store.cleanup()': (m) => m.store.cleanup(0),
  'store.flush()': (m) => m.store.flush(),
}

for (const [what, act] of Object.entries(methods)) {
  test(`${what} blocks the event loop for no more than a second`, async (t) => {
    const w = world(t)
    const m = w.manager()
    m.store.set('stored', oldRecord('stored'))
    await Promise.all(['a', 'b', 'c'].map((name) => m.spawn(name, { prompt: 'hello' })))
    await m.store.flush()
    const letGo = await holdLock(w)
    t.after(letGo)
    const begun = performance.now()
    const outcome = (async () => act(m))().catch((error) => assert.equal(error.code, 'ERR_STORE'))
    const ms = performance.now() - begun
    t.diagnostic(`${what}: ${Math.round(ms)} ms`)
    assert.ok(ms < BOUND_MS, `it took ${Math.round(ms)} ms`)
    await letGo()
    await outcome
  })
}

test('sessions that end by themselves block no turn of the event loop for more than a second', async (t) => {
  const w = world(t)
  const m = w.manager()
  await Promise.all(['a', 'b', 'c'].map((name) => m.spawn(name, { prompt: 'hello' })))
  await m.store.flush()
  const letGo = await holdLock(w)
  t.after(letGo)
  const sessions = [...m.sessions.values()]
  // Their last state cannot be saved, which the program hears.
  const hear = (error) => assert.equal(error.code, 'ERR_STORE')
  process.on('uncaughtException', hear)
  t.after(() => process.off('uncaughtException', hear))
  let [longest, last, isOver] = [0, performance.now(), false]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!isOver) setImmediate(look)
  }
  setImmediate(look)
  for (const { pid } of sessions) process.kill(pid, 'SIGKILL')
  await Promise.all(sessions.map(({ closed }) => closed))
  isOver = true
  t.diagnostic(`${Math.round(longest)} ms at most`)
  assert.ok(longest < BOUND_MS, `it took ${Math.round(longest)} ms`)
})

test('the holder is named, also while it is stopped', async (t) => {
  const w = world(t)
  const m = w.manager()
  m.store.set('stored', oldRecord('stored'))
  await m.store.flush()
  const letGo = await holdLock(w, true)
  t.after(letGo)
  const held = { code: 'ERR_STORE', holderPid: letGo.pid }
  assert.throws(() => m.store.delete('stored'), held)
  await letGo()
  assert.equal(m.store.delete('stored'), true)
})
