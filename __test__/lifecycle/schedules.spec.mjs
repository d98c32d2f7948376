/**
 * Random schedules on real processes: whatever happens when, each send settles once, as callers were promised.
 *
 * `CLEARCTX_PROCESS_SCHEDULES` sets how many run, `CLEARCTX_SEED` the first seed: a failure names its own.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { Schedule, check, quickManager, received } from '../support/schedules.mjs'
import { isAlive, until, world } from '../support/sessions.mjs'

const COUNT = Number(process.env.CLEARCTX_PROCESS_SCHEDULES ?? 100)
const FIRST = Number(process.env.CLEARCTX_SEED ?? 1)
const SEEDS = Array.from({ length: COUNT }, (_, at) => FIRST + at)
/** Every tenth ends with its program. */
const endsWithHost = (seed) => seed % 10 === 0

async function inThisProgram(t, seed) {
  const w = world(t)
  const { manager, log } = quickManager(SessionManager, w.dir, w.env)
  const schedule = new Schedule(manager, seed)
  await schedule.run(30)
  schedule.endings.push({ method: 'close', at: performance.now() })
  if (schedule.roll(2) === 0) await schedule.settle()
  await manager.close()
  await schedule.settle()
  check(schedule, log)
  for (const record of manager.list()) {
    assert.ok(['stopped', 'killed', 'failed'].includes(record.status), JSON.stringify(record))
    assert.equal(record.pid ?? null, null, JSON.stringify(record))
  }
  await until(() => received(log).every(({ pid }) => !isAlive(pid)), 'no CLI is left', 2000)
}

/** The program: a schedule, and an end in the middle of it. */
async function program({ clearctx, say }, url, dir, seed) {
  const schedules = await import(url)
  const { manager } = schedules.quickManager(clearctx().SessionManager, dir, {})
  const schedule = new schedules.Schedule(manager, seed, { orphans: false })
  const fail = () => {
    throw new Error('the end')
  }
  const ends = [() => process.exit(0), () => process.exit(3), fail]
  await schedule.run(5 + schedule.roll(20))
  say('end')
  ends[schedule.roll(3)]()
}

async function inAProgramOfItsOwn(t, seed) {
  const w = hostWorld(t)
  const url = new URL('../support/schedules.mjs', import.meta.url).href
  const host = w.host(program, url, w.dir, seed)
  assert.equal(await host.said(), 'end')
  const { code } = await host.closed
  assert.ok([0, 1, 3].includes(code), `${code} ${host.stderr}`)
  const messages = received(join(w.dir, 'received.log'))
  await until(() => messages.every(({ pid }) => !isAlive(pid)), 'no CLI outlives its host', 2000)
  assert.equal(new Set(messages.map(({ message }) => message)).size, messages.length, 'a message was sent twice')
  for (const record of new SessionManager({ dataDir: join(w.dir, 'data') }).list()) {
    assert.ok(['stopped', 'killed', 'failed'].includes(record.status), JSON.stringify(record))
  }
}

test(`${COUNT} schedules from seed ${FIRST} on`, async (t) => {
  const left = SEEDS.values()
  const workers = Array.from({ length: 16 }, async () => {
    for (const seed of left) {
      const name = `to repeat it: CLEARCTX_SEED=${seed} CLEARCTX_PROCESS_SCHEDULES=1`
      await t.test(name, (own) => (endsWithHost(seed) ? inAProgramOfItsOwn(own, seed) : inThisProgram(own, seed)))
    }
  })
  await Promise.all(workers)
})
