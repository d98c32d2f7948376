// What every test of sessions needs: a directory of its own, managers on the stand-in CLI, and the proof that no
// process is left when the test is over.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { SessionManager, StreamSession } from '../../index.js'
import { standInPath } from '../../testing/index.js'

/**
 * A world for one test: `t` is the test's context. Everything made here is ended and removed after the test.
 */
export function world(t) {
  const dir = mkdtempSync(join(tmpdir(), 'clearctx-test-'))
  const env = { CLAUDE_CONFIG_DIR: join(dir, 'claude') }
  const dataDir = join(dir, 'data')
  const managers = []
  const sessions = []
  t.after(async () => {
    await Promise.allSettled(managers.map((manager) => manager.close({ timeout: 5000 })))
    for (const session of sessions.filter(({ pid }) => pid !== null)) {
      session.kill()
      await session.closed
    }
    const left = await processesOf(dir)
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
    assert.deepEqual(left, [], 'processes left behind')
  })
  return {
    dir,
    dataDir,
    env,
    sessionsFile: join(dataDir, 'sessions.json'),
    /** A manager on the stand-in; `options.env` is added to the test's own variables. */
    manager(options = {}, Class = SessionManager) {
      const manager = new Class({ dataDir, claudePath: standInPath, ...options, env: { ...env, ...options.env } })
      managers.push(manager)
      return manager
    },
    /** A session without a manager, on the stand-in. */
    session(options = {}) {
      const session = new StreamSession({
        name: 'solo',
        claudePath: standInPath,
        ...options,
        env: { ...env, ...options.env },
      })
      sessions.push(session)
      return session
    },
    /** Pids of all processes whose environment names this world. */
    processes: () => pidsOf(dir),
    readStore: () => JSON.parse(readFileSync(join(dataDir, 'sessions.json'), 'utf8')),
  }
}

/** Resolves when the session is in this status. */
export async function reached(session, status) {
  while (session.status !== status) await once(session, 'status')
}

/** Whether a process with this id is there and no zombie. */
export function isAlive(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}

/** Pids of all processes below this one. */
export function descendants(root) {
  const parents = new Map()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      parents.set(Number(pid), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]))
    } catch {
      // It has ended meanwhile.
    }
  }
  const below = (pid) =>
    [...parents].filter(([, parent]) => parent === pid).flatMap(([child]) => [child, ...below(child)])
  return below(root)
}

/** Resolves when the condition holds; for what no event tells, such as another process. Fails after `ms`. */
export async function until(condition, what, ms = 5000) {
  const end = performance.now() + ms
  while (!(await condition())) {
    assert.ok(performance.now() < end, `not within ${ms} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Processes whose environment names the directory, after a moment for those that are on their way out. */
async function processesOf(dir) {
  let found = pidsOf(dir)
  const end = performance.now() + 2000
  while (found.length > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 10))
    found = pidsOf(dir)
  }
  return found.map((pid) => `${pid} ${readCommand(pid)}`)
}

function pidsOf(dir) {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => belongs(pid, dir))
}

function belongs(pid, dir) {
  try {
    return pid !== process.pid && isAlive(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(dir)
  } catch {
    return false
  }
}

function readCommand(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
