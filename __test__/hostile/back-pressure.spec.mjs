/** Floods, slow listeners and deaf processes: bounded memory, nothing lost, and no other session waits for it. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { block } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { quickCli, received } from '../support/schedules.mjs'
import { world } from '../support/sessions.mjs'

const MIB = 1 << 20

/** What must not be passed whatever floods: the bound of one session is 8 MiB, the rest is the program itself. */
const ROOM_MIB = 96

function quick(t) {
  const w = world(t)
  const log = join(w.dir, 'received.log')
  const env = { CLEARCTX_QUICK_LOG: log }
  return { manager: w.manager({ claudePath: quickCli, env, stopTimeout: 200, killTimeout: 200 }), log }
}

const residentOf = (pid) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024

/** A program whose listener stands still while a CLI floods; says its memory before, and what the listener saw. */
async function slowProgram({ clearctx, dataDir, say, heard }, claudePath, lines) {
  const { SessionManager } = clearctx()
  const m = new SessionManager({ dataDir, claudePath, stopTimeout: 200, killTimeout: 200 })
  await m.spawn('flooded', { prompt: 'answer' })
  const session = m.sessions.get('flooded')
  await m.spawn('other', { prompt: 'answer' })
  let seen = 0
  session.on('message', ({ type }) => (seen += type === 'tick'))
  const flood = m.send('flooded', `flood ${lines}`)
  say('begun')
  // Nothing is delivered while this thread stands still: only the engine's own bound holds the flood back.
  const { ms } = await heard()
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  say('again')
  await heard()
  await flood
  say({ seen })
  await m.close()
}

test('a flood that nobody takes is held back in the CLI, and comes whole later', async (t) => {
  const w = hostWorld(t)
  // 15 MB of tiny lines: as events they would take many times that.
  const lines = 1_000_000
  const host = w.host(slowProgram, quickCli, lines)
  assert.equal(await host.said(), 'begun')
  const before = residentOf(host.pid)
  host.tell({ ms: 3000 })
  let most = 0
  const timer = setInterval(() => (most = Math.max(most, residentOf(host.pid))), 20)
  assert.equal(await host.said(), 'again')
  clearInterval(timer)
  assert.ok(most - before < ROOM_MIB, `${most - before} MiB more`)
  host.tell({})
  assert.deepEqual(await host.said(), { seen: lines })
  await host.finished()
  t.diagnostic(`${Math.round(most - before)} MiB held for a flood that waits`)
})

/** A program whose listener stands still while something that a CLI has left behind floods. */
async function slowAfterTheEnd({ clearctx, dataDir, say, heard }, claudePath) {
  const { SessionManager } = clearctx()
  const m = new SessionManager({ dataDir, claudePath })
  await m.spawn('a', { prompt: 'answer' })
  const session = m.sessions.get('a')
  session.on('message', () => {})
  let ended = false
  session.closed.then(() => (ended = true))
  const left = m.send('a', 'leave-flood').catch(({ code }) => code)
  say('begun')
  const { ms } = await heard()
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
  say(ended)
  say(await left)
  await session.closed
  await m.close()
}

test('what floods the output of a process that has ended is held back, too', async (t) => {
  const w = hostWorld(t)
  const host = w.host(slowAfterTheEnd, quickCli)
  assert.equal(await host.said(), 'begun')
  const before = residentOf(host.pid)
  host.tell({ ms: 3000 })
  let most = 0
  const timer = setInterval(() => (most = Math.max(most, residentOf(host.pid))), 20)
  assert.equal(await host.said(), false)
  assert.equal(await host.said(), 'ERR_PROCESS_EXITED')
  clearInterval(timer)
  assert.ok(most - before < ROOM_MIB, `${most - before} MiB more`)
  await host.finished()
  t.diagnostic(`${Math.round(most - before)} MiB held`)
})

test('another session is answered while a slow listener lags behind a flood', async (t) => {
  const { manager: m } = quick(t)
  await m.spawn('flooded', { prompt: 'answer' })
  const session = m.sessions.get('flooded')
  await m.spawn('other', { prompt: 'answer' })
  let seen = 0
  session.on('message', ({ type }) => {
    if (type !== 'tick') return
    seen += 1
    block(1)
  })
  const lines = 2000
  const flood = m.send('flooded', `flood ${lines}`)
  while (seen === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  await m.send('other', 'answer in between')
  const before = seen
  assert.ok(before < lines / 2, `answered after ${before} of ${lines} messages`)
  await flood
  assert.equal(seen, lines)
})

test('a CLI that reads nothing holds up its own session alone; what waits in line is never sent', async (t) => {
  const { manager: m, log } = quick(t)
  await m.spawn('deaf')
  await m.spawn('other')
  const codes = []
  const failed = (error) => codes.push(error.code)
  const big = 'x'.repeat(4 * MIB)
  const sends = [m.send('deaf', 'deaf', 500).catch(failed)]
  const before = residentOf(process.pid)
  for (let n = 0; n < 20; n += 1) sends.push(m.send('deaf', `answer ${n} ${big}`, 1000).catch(failed))
  const held = residentOf(process.pid) - before
  assert.ok(held < 20 * 4 * 5, `${held} MiB for 80 MiB of messages that wait`)
  assert.equal((await m.send('other', 'answer other')).text, 'answer other')
  await Promise.all(sends)
  assert.deepEqual(new Set(codes), new Set(['ERR_TURN_TIMEOUT']))
  m.kill('deaf')
  await m.close()
  assert.deepEqual(
    received(log).map(({ message }) => message),
    ['deaf', 'answer other'],
  )
})

test('a message bigger than a pipe that nobody reads ends with its session', async (t) => {
  const { manager: m } = quick(t)
  await m.spawn('deaf')
  const first = m.send('deaf', 'deaf', 50).catch((error) => error.code)
  assert.equal(await first, 'ERR_TURN_TIMEOUT')
  const waiting = m.send('deaf', `answer ${'x'.repeat(8 * MIB)}`).catch((error) => error.code)
  m.kill('deaf')
  assert.equal(await waiting, 'ERR_SESSION_KILLED')
  await m.spawn('mid-write', { prompt: 'answer' })
  const session = m.sessions.get('mid-write')
  const stuck = m.send('mid-write', `stubborn ${'x'.repeat(MIB)}`, 300).catch((error) => error.code)
  assert.equal(await stuck, 'ERR_TURN_TIMEOUT')
  m.stop('mid-write')
  const { code, signal } = await session.closed
  // On a busy machine SIGINT may come before it has read that it should ignore it.
  assert.ok(signal === 'SIGKILL' || code === 130, `${code} ${signal}`)
})
