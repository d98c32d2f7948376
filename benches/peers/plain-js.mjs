// A straightforward engine in JavaScript: what one writes in an afternoon, and the design of clearctx 3. Lines by
// readline, each parsed and emitted, all sessions in one JSON file that is rewritten at each change, forks by a call that
// waits for the CLI.

import { spawn, spawnSync } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const ARGS = ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose']

export function open({ standIn, dir }) {
  const store = new Store(dir)
  const sessions = []
  const start = (name, args = []) => {
    const session = new Session(name, standIn, [...ARGS, ...args], store)
    sessions.push(session)
    return session
  }
  return {
    session(name, onMessage) {
      const session = start(name)
      if (onMessage !== undefined) session.on('message', onMessage)
      return session
    },
    fork(source, name) {
      const args = ['-p', '--output-format', 'json', '--resume', source.record.id, '--fork-session', '--', 'go on']
      const { session_id } = JSON.parse(spawnSync(standIn, args, { encoding: 'utf8' }).stdout)
      start(name, ['--resume', session_id])
    },
    close: () => Promise.all(sessions.map((session) => session.end())),
  }
}

class Store {
  #file
  #records = {}

  constructor(dir) {
    mkdirSync(dir, { recursive: true })
    this.#file = join(dir, 'sessions.json')
  }

  save(record) {
    this.#records[record.name] = record
    writeFileSync(`${this.#file}.tmp`, JSON.stringify(this.#records, null, 2))
    renameSync(`${this.#file}.tmp`, this.#file)
  }
}

class Session extends EventEmitter {
  record
  #store
  #child
  #waiting = []
  #turn

  constructor(name, program, args, store) {
    super()
    this.record = { name, id: null, status: 'ready', totalCostUsd: 0, interactions: [] }
    this.#store = store
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] })
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#onMessage(JSON.parse(line)))
    this.#save()
  }

  turn(text) {
    return new Promise((resolve) => {
      this.#waiting.push({ text, resolve })
      this.#next()
    })
  }

  async end() {
    this.#child.stdin.end()
    if (this.#child.exitCode === null) await once(this.#child, 'close')
  }

  #next() {
    if (this.#turn !== undefined || this.#waiting.length === 0) return
    this.#turn = this.#waiting.shift()
    const message = { type: 'user', message: { role: 'user', content: this.#turn.text } }
    this.#child.stdin.write(`${JSON.stringify(message)}\n`)
  }

  #onMessage(message) {
    this.emit('message', message)
    if (message.type === 'assistant') for (const block of message.message.content) this.emit(block.type, block)
    if (message.type !== 'result') return
    const { text, resolve } = this.#turn
    this.#turn = undefined
    this.record.id = message.session_id
    this.record.totalCostUsd = message.total_cost_usd
    this.record.interactions.push({ prompt: text, response: message.result, timestamp: new Date().toISOString() })
    this.#save()
    this.emit('result', message)
    resolve(message)
    this.#next()
  }

  #save() {
    this.#store.save(this.record)
  }
}
