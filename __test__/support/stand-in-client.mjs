/** Drives one stand-in process by hand: what a test writes, what it answers, and that it is gone at the end. */

import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { standInPath } from '../../testing/index.js'

export const STREAMING = ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose']

const live = new Set()

/** A folder of its own for a test: a working directory and a place for conversations. Removed with the test. */
export const makeHome = (t) => {
  const root = mkdtempSync(path.join(tmpdir(), 'stand-in-'))
  const home = { root, cwd: path.join(root, 'work'), config: path.join(root, 'config') }
  for (const folder of [home.cwd, home.config]) mkdirSync(folder)
  t.after(() => rmSync(root, { recursive: true, force: true }))
  return home
}

export const readTranscript = (name) =>
  readFileSync(new URL(`../fixtures/transcripts/${name}.ndjson`, import.meta.url), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

export class Client {
  constructor(home, args = STREAMING, env = {}) {
    const parent = { ...process.env }
    for (const name of Object.keys(parent)) if (/^(CLAUDE|ANTHROPIC)/.test(name)) delete parent[name]
    this.child = spawn(standInPath, args, {
      cwd: env.cwd || home.cwd,
      env: { ...parent, CLAUDE_CONFIG_DIR: home.config, ...env },
    })
    this.lines = []
    this.stdout = []
    this.stderr = ''
    this.waiting = new Set()
    live.add(this.child)
    this.closed = new Promise((resolve) => {
      this.child.on('close', (code, signal) => {
        live.delete(this.child)
        this.notify(true)
        resolve({ code, signal })
      })
    })
    this.child.stdin.on('error', () => {})
    this.child.stderr.on('data', (data) => (this.stderr += data))
    this.child.stdout.on('data', (data) => this.onData(data))
    this.rest = ''
  }

  onData(data) {
    this.stdout.push(data)
    const parts = (this.rest + data.toString('latin1')).split('\n')
    this.rest = parts.pop()
    for (const part of parts) this.lines.push(parse(Buffer.from(part, 'latin1').toString()))
    this.notify(false)
  }

  notify(ended) {
    for (const check of this.waiting) check(ended)
  }

  /** Resolves with the first line, or the `count`th, for which `test` holds. */
  line(test, count = 1) {
    return new Promise((resolve, reject) => {
      const check = (ended) => {
        const found = this.lines.filter((line) => line && test(line))[count - 1]
        if (!found && !ended) return
        this.waiting.delete(check)
        if (found) resolve(found)
        else reject(new Error(`process ended first; stderr: ${this.stderr}`))
      }
      this.waiting.add(check)
      check(this.child.exitCode !== null)
    })
  }

  result(count = 1) {
    return this.line(({ type }) => type === 'result', count)
  }

  init(count = 1) {
    return this.line(({ subtype }) => subtype === 'init', count)
  }

  write(object) {
    this.child.stdin.write(typeof object === 'string' ? object : JSON.stringify(object) + '\n')
  }

  send(content, fields) {
    this.write({ type: 'user', message: { role: 'user', content }, ...fields })
  }

  /** Send a message and wait for the next result. */
  ask(content, fields) {
    const before = this.lines.filter((line) => line?.type === 'result').length
    this.send(content, fields)
    return this.result(before + 1)
  }

  control(request, requestId = 'c-1') {
    this.write({ type: 'control_request', request_id: requestId, request })
    return this.line(({ type, response }) => type === 'control_response' && response.request_id === requestId)
  }

  /** End the input and wait for the end of the process. */
  end() {
    this.child.stdin.end()
    return this.closed
  }

  signal(name) {
    this.child.kill(name)
    return this.closed
  }

  bytes() {
    return Buffer.concat(this.stdout)
  }
}

const parse = (line) => {
  try {
    return JSON.parse(line)
  } catch {
    return null
  }
}

/** Processes that tests left behind; they are ended. */
export const takeLeftovers = () => {
  const pids = [...live].map((child) => child.pid)
  for (const child of live) child.kill('SIGKILL')
  return pids
}

/** Whether a process exists and is not a zombie. */
export const isAlive = (pid) => {
  try {
    process.kill(pid, 0)
    if (process.platform !== 'linux') return true
    return readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)[0] !== 'Z'
  } catch {
    return false
  }
}
