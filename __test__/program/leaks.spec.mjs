/**
 * After many sessions a program has what it had after a hundred: file descriptors, threads, processes, memory.
 *
 * `CLEARCTX_SESSIONS` sets how many.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { hostWorld } from '../support/hosts.mjs'
import { quickCli } from '../support/schedules.mjs'

const COUNT = Number(process.env.CLEARCTX_SESSIONS ?? 500)
/** After so many everything that is kept for good is there. */
const WARM = 100

/** What may be held beside what lives, whatever the count: measured 10.2 MiB after 2,500 sessions, 10.5 after 10,000. */
const ROOM_MIB = 16

/** V8 makes its young generation bigger with use, by up to 30 MiB, and keeps that. It is not what is measured here. */
const NODE_ARGS = ['--expose-gc', '--max-semi-space-size=1']

/** A program that runs sessions one after another, some at once, each for a message, and says what it has. */
async function program({ clearctx, dataDir, say }, claudePath, warm, count) {
  const { readdirSync, readFileSync } = await import('node:fs')
  const m = new (clearctx().SessionManager)({ dataDir, claudePath, stopTimeout: 500, killTimeout: 500 })
  const ends = ['stop', 'kill', 'delete', 'crash', 'timeout']
  const live = async (number) => {
    const name = `s${number}`
    const end = ends[number % ends.length]
    await m.spawn(name, { prompt: 'noise' })
    const session = m.sessions.get(name)
    if (end === 'crash') await m.send(name, 'crash').catch(() => {})
    else if (end === 'timeout') await m.send(name, 'mute', 5).catch(() => m.kill(name))
    else m[end](name)
    await session.closed
    m.delete(name)
  }
  const has = async () => {
    await m.store.flush()
    for (let round = 0; round < 5; round += 1) {
      globalThis.gc()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const tasks = readdirSync('/proc/self/task')
    // Threads that have nothing to do may end at any time; what counts is that they do not become more.
    const children = tasks.flatMap((task) => {
      try {
        return readFileSync(`/proc/self/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean)
      } catch {
        return []
      }
    })
    const files = readdirSync('/proc/self/fd').length
    const mib = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
    return { files, threads: tasks.length, children: children.length, mib }
  }
  const run = async (from, to) => {
    const numbers = Array.from({ length: to - from }, (_, at) => from + at).values()
    const worker = async () => {
      for (const number of numbers) await live(number)
    }
    await Promise.all(Array.from({ length: 10 }, worker))
  }
  await run(0, warm)
  say(await has())
  await run(warm, count)
  say(await has())
  await m.close()
}

test(`what is held after ${COUNT} sessions is what was held after ${WARM}`, async (t) => {
  const w = hostWorld(t)
  const host = w.start(program, { args: [quickCli, WARM, COUNT], nodeArgs: NODE_ARGS, life: 30_000 + COUNT * 60 })
  const before = await host.said()
  const after = await host.said()
  await host.finished()
  t.diagnostic(`after ${WARM}: ${JSON.stringify(before)}; after ${COUNT}: ${JSON.stringify(after)}`)
  assert.ok(after.files <= before.files, 'file descriptors')
  assert.ok(after.threads <= before.threads + 1, 'threads')
  assert.equal(after.children, before.children, 'processes')
  assert.ok(after.mib - before.mib < ROOM_MIB, 'memory')
})
