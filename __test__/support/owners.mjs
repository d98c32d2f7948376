// A program with a session in each of several states, and the end of all that it has started.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { standInEnv } from '../../testing/index.js'
import { messagesIn, readLog } from './events.mjs'
import { keeperOf } from './hosts.mjs'
import { descendants, isAlive, until } from './sessions.mjs'

/** The promise is two seconds; more is waited for only because this machine may be busy. */
export const PATIENCE_MS = 10_000

/** Waits for the end of these processes and says how long it took. */
export async function gone(t, pids) {
  const begun = performance.now()
  const left = () => pids.filter(isAlive).map((pid) => `${pid} ${commandOf(pid).replaceAll('\0', ' ')}`)
  await until(() => !pids.some(isAlive), 'the end of all', PATIENCE_MS).catch((error) => {
    throw new Error(`left behind:\n${left().join('\n')}`, { cause: error })
  })
  t.diagnostic(`${pids.length} processes were gone ${Math.round(performance.now() - begun)} ms after the end`)
}

/**
 * A program with a session in each of several states, each with processes in sessions of their own: with a parent, without
 * one, and without their environment. It says when all is there, waits for a word, and ends as `way` says.
 */
export const owner = async ({ manager, say, heard }, way) => {
  if (way === 'handled SIGTERM') process.on('SIGTERM', () => process.exit(0))
  const mgr = manager({ defaultTimeout: 30_000 })
  const turns = {
    idle: null,
    stubborn: 'stand-in: ignore-signals; silent',
    busy: 'stand-in: silent',
    background: 'stand-in: background 60000; text started',
    tool: 'stand-in: tool Bash {"command":"sleep 101 & env -i sleep 102 & env -i setsid sleep 103 & wait"}',
  }
  const begun = Object.entries(turns).map(async ([name, turn]) => {
    await mgr.spawn(name, { prompt: 'stand-in: spawn-children 1', allowedTools: ['Bash'] })
    await mgr.send(name, 'stand-in: spawn-orphans 1')
    if (turn !== null) mgr.send(name, turn).catch(() => {})
  })
  await Promise.all(begun)
  say([...mgr.sessions.values()].map(({ pid }) => pid))
  await heard()
  if (way === 'exit') process.exit(0)
  if (way === 'abort') process.abort()
  if (way === 'throw') setImmediate(() => { throw new Error('on purpose') }) // prettier-ignore
  if (way === 'reject') Promise.reject(new Error('on purpose'))
  if (way === 'stop and exit') {
    mgr.stopAll()
    process.exit(0)
  }
}

/** Starts that program and waits until all of it is there: resolves with its CLIs, and with them all. */
export async function startOwner(w, way, options = {}) {
  const log = join(w.dir, 'owner.log')
  const host = w.start(owner, { args: [way], env: { ...standInEnv({ log }), ...options.env }, options })
  const clis = await host.said()
  const sent = () => messagesIn(readLog(log)).filter((message) => !/spawn-/.test(message)).length
  await until(() => sent() === 4, 'all turns run')
  const tool = (pids) => pids.filter((pid) => /^sleep\0?10[123]/.test(commandOf(pid)))
  await until(() => tool(descendants(host.pid)).length === 3, 'the tool has started its processes')
  const pids = [...new Set([...descendants(host.pid), ...w.processes()])].filter((pid) => pid !== host.pid)
  // A CLI, a child and an orphan for each of five sessions; three processes of the tool and its shell.
  assert.ok(pids.length >= 5 * 3 + 4, `${pids.length} processes`)
  return { host, clis, pids, keeper: keeperOf(host.pid) }
}

export function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
