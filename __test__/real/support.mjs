// What the tests on the real CLI share. A world is one test's own surroundings: a mock of the API, a home, a data
// directory, a working directory and an environment that takes nothing from this machine but the PATH. When its test is
// over, it asserts that no process of it is left.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { PINNED } from '../../scripts/lib/claude-versions.mjs'
import { fetchClaude } from '../../scripts/lib/fetch-claude.mjs'
import { startMockApi } from '../support/mock-api.mjs'
import { testBegins } from './bound.mjs'

/** The CLI's version that this run tests. */
export const version = process.env.CLEARCTX_REAL_VERSION || PINNED[0]

/** Whether the version that is tested is `wanted` (`'2.1.330'`) or a newer one. */
export function isSince(wanted) {
  return version.localeCompare(wanted, 'en', { numeric: true }) >= 0
}

/** Whether this version has the newer of the two habits that docs/protocol.md tells apart. */
export const isNewer = isSince('2.1.330')

/** Options of a test that older versions need not pass. Shell scripts are part of all such tests. */
export const onNewest = {
  skip:
    (process.platform === 'win32' && 'made of shell scripts') || (!isSince(PINNED[0]) && `from ${PINNED[0]} on only`),
}

export const claudePath = await fetchClaude(version)

/** Some variable names that a program finds its own tools by; everything else is removed. */
const ESSENTIAL = ['PATH', 'SYSTEMROOT', 'COMSPEC', 'PATHEXT']

/** Every process of a world inherits this variable with the world's own value. */
const MARK = 'CLEARCTX_TEST_WORLD'

/** How often a condition is looked at, and the list of all processes, which takes time of its own. */
const POLL_MS = 10
const PROCESS_POLL_MS = 50

/** Longest wait for anything that should be a matter of moments. */
const PATIENCE_MS = 20_000

const HOST = fileURLToPath(new URL('host.mjs', import.meta.url))

/** A fresh world that ends with the test `t`. */
export async function createWorld(t) {
  testBegins(t.name)
  const root = await realpath(await mkdtemp(join(tmpdir(), 'clearctx-')))
  const world = new World(await import('../../index.js'), await startMockApi(), root)
  t.after(() => world.end())
  await mkdir(world.workDir)
  await mkdir(world.home)
  await mkdir(world.temporary)
  return world
}

class World {
  #clearctx
  #root
  #sessions = []
  #managers = []
  #hosts = []
  #id = randomUUID()

  constructor(clearctx, api, root) {
    this.#clearctx = clearctx
    this.#root = root
    /** The mock: what the model was asked. */
    this.api = api
    this.workDir = join(root, 'work')
    this.dataDir = join(root, 'data')
    this.home = join(root, 'home')
    this.temporary = join(root, 'tmp')
  }

  /** A path inside the working directory. */
  file(name) {
    return join(this.workDir, name)
  }

  /** The complete environment of the CLI: nothing else may be in it. */
  get cleanEnv() {
    const kept = Object.entries(process.env).filter(([name]) => ESSENTIAL.includes(name.toUpperCase()))
    return {
      ...Object.fromEntries(kept),
      HOME: this.home,
      USERPROFILE: this.home,
      TMPDIR: this.temporary,
      CLAUDE_CONFIG_DIR: join(this.home, '.claude'),
      ANTHROPIC_BASE_URL: this.api.url,
      ANTHROPIC_API_KEY: 'a-key-that-opens-nothing',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
      DISABLE_TELEMETRY: '1',
      [MARK]: this.#id,
    }
  }

  /** The same as a manager's `env` option, which is merged over `process.env`: what is not ours is removed. */
  get env() {
    const removed = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]))
    return { ...removed, ...this.cleanEnv }
  }

  /** Options of a manager in this world. */
  get options() {
    return { dataDir: this.dataDir, claudePath, env: this.env, defaultTimeout: PATIENCE_MS }
  }

  manager(options = {}) {
    const manager = new this.#clearctx.SessionManager({ ...this.options, ...options })
    this.#managers.push(manager)
    return manager
  }

  /** A manager whose session `name` has answered `prompt`; the working directory is the world's. */
  async spawned(name, prompt, options = {}) {
    const manager = this.manager()
    const spawned = await manager.spawn(name, { prompt, workDir: this.workDir, ...options })
    return { manager, ...spawned }
  }

  /**
   * Runs calls of a manager in a host process of their own: `[['resume', 'name', 'message'], ...]`. Resolves with what
   * each gave. With `keep`, the host then lives on until it is killed. `cwd` is where it runs.
   */
  async host(calls, options = {}) {
    const child = this.startHost(calls, options)
    let output = ''
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      output += chunk
      if (output.includes('\n')) break
    }
    assert.notEqual(output, '', 'the host process ended without an answer')
    const results = JSON.parse(output.split('\n')[0])
    if (!options.keep) await child.ended
    return { results, child }
  }

  /**
   * Starts such a host without waiting for anything; `ended` of the child is a promise. Without a `keeper` its CLIs
   * outlive it.
   */
  startHost(calls, { keep = false, keeper = true, cwd } = {}) {
    const job = JSON.stringify({ calls, keep, options: { ...this.options, env: {} } })
    const stdio = ['ignore', 'pipe', 'inherit']
    const env = keeper ? this.cleanEnv : { ...this.cleanEnv, CLEARCTX_KEEPER: '/no/such/keeper' }
    const child = spawn(process.execPath, [HOST, job], { env, stdio, cwd })
    this.#hosts.push(child)
    child.ended = once(child, 'exit')
    return child
  }

  /** A session without a manager in this world; it ends with the world. */
  session(options = {}) {
    const { claudePath: program, env } = this.options
    const session = new this.#clearctx.StreamSession({
      name: 'solo',
      workDir: this.workDir,
      claudePath: program,
      env,
      timeout: PATIENCE_MS,
      ...options,
    })
    this.#sessions.push(session)
    return session
  }

  /** Command lines of all live processes of this world, by process id. Linux only; elsewhere there are none. */
  async processes() {
    if (process.platform !== 'linux') return new Map()
    const found = new Map()
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      if (!environment.includes(`${MARK}=${this.#id}`)) continue
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      // A process that has just ended, reaped or not, has no command line any more.
      if (command !== '') found.set(Number(pid), command.replaceAll('\0', ' ').trim())
    }
    return found
  }

  /** Resolves when no process of this world is left; fails with their command lines after a while. */
  async noProcessLeft(patience = PATIENCE_MS / 2) {
    const deadline = performance.now() + patience
    let left = await this.processes()
    while (left.size > 0 && performance.now() < deadline) {
      await delay(PROCESS_POLL_MS)
      left = await this.processes()
    }
    assert.deepEqual([...left.values()], [], 'processes left behind')
  }

  async end() {
    try {
      for (const manager of this.#managers) await manager.close({ timeout: PATIENCE_MS / 2 })
      for (const session of this.#sessions.filter(({ pid }) => pid !== null)) {
        session.kill()
        await session.closed
      }
      for (const host of this.#hosts) {
        host.kill('SIGKILL')
        await host.ended
      }
      await this.noProcessLeft()
    } finally {
      for (const pid of (await this.processes()).keys()) process.kill(pid, 'SIGKILL')
      await this.api.close()
      await rm(this.#root, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

/** Resolves with the first truthy value of `probe`, asked again and again. */
export async function until(probe, what, patience = PATIENCE_MS) {
  const deadline = performance.now() + patience
  for (;;) {
    const value = await probe()
    if (value) return value
    assert.ok(performance.now() < deadline, `waited in vain until ${what}`)
    await delay(POLL_MS)
  }
}

/** Whether a process with this id lives (a zombie does not). */
export async function lives(pid) {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  if (process.platform !== 'linux') return true
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  return stat !== null && stat[stat.lastIndexOf(')') + 2] !== 'Z'
}

/** Fails unless two amounts of money are the same to 1e-9 USD. */
export function assertMoney(actual, expected, what) {
  assert.equal(typeof actual, 'number', `${what} is no number`)
  assert.ok(Math.abs(actual - expected) <= 1e-9, `${what}: ${actual} instead of ${expected}`)
}

/** Ends a live session in peace and waits for that. Resolves with how its process ended. */
export async function stopped(manager, name) {
  const session = manager.sessions.get(name)
  manager.stop(name)
  return session.closed
}
