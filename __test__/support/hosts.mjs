// Programs of their own for tests of what a host process, or several, do: started, talked to in JSON lines, and gone when
// the test is over.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { standInPath } from '../../testing/index.js'
import { isAlive, until, world } from './sessions.mjs'

/** Longest life of a program, in ms: a hung one fails its test instead of the whole run. */
const HOST_LIFE_MS = 30_000

/** A program that is not there: with it as their keeper, programs have none. */
export const NO_KEEPER = { CLEARCTX_KEEPER: '/no/such/keeper' }

const mainUrl = new URL('./host-main.mjs', import.meta.url).href

/**
 * A world for a test (see `world`) with programs in it.
 *
 * `host(program, ...args)` starts the function as a program of its own; its text is all it has, and `program(helpers,
 * ...args)` gets the helpers of `host-main.mjs`. `start(program, { args, workers, env, options, wrapper, nodeArgs, life })` is the long
 * form; `wrapper` is a command that runs it, `life` the longest it may run in ms.
 */
export function hostWorld(t) {
  const hosts = []
  // Before the world's own checks, which look for processes that are left.
  t.after(() => Promise.all(hosts.map((host) => host.end())))
  const home = mkdtempSync(join(tmpdir(), 'clearctx-host-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const w = world(t)
  const start = (
    program,
    { args = [], workers = {}, env = {}, options = {}, wrapper = [], nodeArgs = [], life } = {},
  ) => {
    const dir = join(home, String(hosts.length))
    mkdirSync(dir)
    const modules = Object.fromEntries(
      Object.entries(workers).map(([name, worker]) => [name, writeModule(dir, name, worker)]),
    )
    const file = writeModule(dir, 'main', program)
    const given = JSON.stringify({ dataDir: w.dataDir, modules, args })
    const host = new TestHost([...wrapper, process.execPath, ...nodeArgs, file], life, {
      ...options,
      env: { ...process.env, ...w.env, CLEARCTX_CLAUDE_PATH: standInPath, CLEARCTX_TEST_HOST: given, ...env },
    })
    hosts.push(host)
    return host
  }
  return { ...w, start, host: (program, ...args) => start(program, { args }) }
}

/** Pid of the keeper of the program with this pid; undefined if it has none. */
export function keeperOf(pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((other) => isAlive(other) && /clearctx-keeper[^\0]*\0(\d+)\0$/.exec(commandLine(other))?.[1] === String(pid))
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

class TestHost {
  /** Everything it wrote to standard error. */
  stderr = ''
  /** Resolves to `{ code, signal }` when the program has ended and its output was read. */
  closed

  #lines = []
  #wake = () => {}

  constructor([command, ...args], life = HOST_LIFE_MS, options) {
    this.child = spawn(command, args, { stdio: 'pipe', ...options })
    this.pid = this.child.pid
    const limit = setTimeout(() => this.child.kill('SIGKILL'), life)
    this.closed = once(this.child, 'close').then(([code, signal]) => {
      clearTimeout(limit)
      this.over = true
      this.#wake()
      return { code, signal }
    })
    this.child.stdin.on('error', () => {})
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text))
    createInterface({ input: this.child.stdout }).on('line', (line) => {
      this.#lines.push(line)
      this.#wake()
    })
  }

  /** The next value that the program says. */
  async said() {
    while (this.#lines.length === 0) {
      assert.ok(!this.over, `the program ended without a further word\n${this.stderr}`)
      await new Promise((resolve) => (this.#wake = resolve))
    }
    return JSON.parse(this.#lines.shift())
  }

  /** Says a value to the program. */
  tell(value) {
    this.child.stdin.write(`${JSON.stringify(value)}\n`)
  }

  kill(signal) {
    this.child.kill(signal)
  }

  /** Waits for the program to end by itself, well. Resolves to what it still said. */
  async finished() {
    const { code, signal } = await this.closed
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, this.stderr)
    return this.#lines.map((line) => JSON.parse(line))
  }

  async end() {
    if (!this.over) this.child.kill('SIGKILL')
    await this.closed
  }
}

function writeModule(dir, name, program) {
  const file = join(dir, `${name}.mjs`)
  writeFileSync(file, `import { run } from ${JSON.stringify(mainUrl)}\nawait run(${program})\n`)
  return file
}

/** Waits for the end of these processes. */
export const gone = (pids) => until(() => !pids.some(isAlive), `the processes ${pids} end`, 10_000)
