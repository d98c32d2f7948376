'use strict'

/** Processes that the stand-in starts: each in a session of its own, as the CLI starts its shell tools. */

// Far beyond any test, so that a child which nobody ends is gone in the end.
const CHILD_LIFE_SECONDS = 120

const environment = (session) => ({
  ...process.env,
  CLAUDECODE: '1',
  CLAUDE_CODE_CHILD_SESSION: '1',
  CLAUDE_CODE_SESSION_ID: session.conversation.id,
  CLAUDE_CODE_ENTRYPOINT: process.env.CLAUDE_CODE_ENTRYPOINT || 'sdk-cli',
})

const endGroup = (child) => {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Already gone.
  }
}

class Children {
  constructor() {
    this.live = new Set()
  }

  track(child) {
    this.live.add(child)
    child.once('exit', () => this.live.delete(child))
    child.once('error', () => this.live.delete(child))
    return child
  }

  /** Run a shell command; `done` resolves with its output and exit code. */
  shell(session, command) {
    const { spawn } = require('child_process')
    /** @type {import('child_process').SpawnOptions} */
    const options = { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: environment(session) }
    const child = this.track(spawn('/bin/sh', ['-c', command], options))
    const parts = []
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => parts.push(data))
    const done = new Promise((resolve) => {
      const finish = (code) => resolve({ output: Buffer.concat(parts).toString().replace(/\n$/, ''), code })
      child.once('error', () => finish(127))
      child.once('close', (code) => finish(code))
      // A grandchild may hold the pipes open for ever.
      child.once('exit', (code) => setTimeout(() => finish(code), 100).unref())
    })
    return { child, done }
  }

  /** Start sleeping processes and return their pids. */
  sleepers(session, count) {
    const { spawn } = require('child_process')
    /** @type {import('child_process').SpawnOptions} */
    const options = { detached: true, stdio: 'ignore', env: environment(session) }
    return Array.from({ length: count }, () => {
      const child = this.track(spawn('sleep', [String(CHILD_LIFE_SECONDS)], options))
      child.unref()
      return child.pid
    })
  }

  /** Start sleeping processes whose parent ends at once, and return their pids. */
  async orphans(session, count) {
    const start = `sleep ${CHILD_LIFE_SECONDS} </dev/null >/dev/null 2>&1 & echo $!; `
    const { output } = await this.shell(session, start.repeat(count)).done
    return output.split('\n').map(Number)
  }

  end(child) {
    endGroup(child)
  }

  endAll() {
    for (const child of this.live) endGroup(child)
  }
}

module.exports = { Children }
