// Random schedules on real processes: calls and faults at any moment, and what callers were promised of them.

import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { dice } from './dice.mjs'

export const quickCli = fileURLToPath(new URL('./quick-cli.sh', import.meta.url))

/** Messages that are answered, and those after which no answer can come; see `quick-cli.sh`. */
const ANSWERED = ['answer', 'answer', 'answer', 'slow 0.01', 'slow 0.05', 'error', 'noise', 'twice', 'child']
const UNANSWERED = ['silent', 'mute', 'deaf']
const DEADLY = ['exit 0', 'exit 3', 'crash', 'half', 'close', 'stubborn']
/** Those that leave a process which does not notice the end of its input. */
const OUTLIVING = new Set(['deaf', 'close', 'stubborn', 'child'])

/** Longest time until a promise is settled, whatever happens: a time-out, the steps of the ladder, a busy machine. */
const PATIENCE_MS = 20_000

/** What the CLIs of a log received: pid and message each. */
export function received(file) {
  if (!existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return lines.map((line) => ({ pid: Number(line.split(' ')[0]), message: line.slice(line.indexOf(' ') + 1) }))
}

/** A manager on the quick CLI, with its log. */
export function quickManager(SessionManager, dir, env) {
  const log = join(dir, 'received.log')
  const manager = new SessionManager({
    dataDir: join(dir, 'data'),
    claudePath: quickCli,
    env: { ...env, CLEARCTX_QUICK_LOG: log },
    stopTimeout: 60,
    killTimeout: 60,
    defaultTimeout: 400,
  })
  return { manager, log }
}

/** One schedule: random calls on two names until `steps` are done. `orphans` allows CLIs that outlive
 * the end of their input. */
export class Schedule {
  /** Everything sent: name, message, when, its time-out, and what it came to. */
  sends = []
  /** Calls that end something: kind, name, when. */
  endings = []
  /** Events of each session object. */
  lives = []

  constructor(manager, seed, { orphans = true } = {}) {
    this.manager = manager
    this.roll = dice(seed)
    this.deadly = orphans ? DEADLY : DEADLY.filter((words) => !OUTLIVING.has(words))
    this.answered = orphans ? ANSWERED : ANSWERED.filter((words) => !OUTLIVING.has(words))
    this.unanswered = orphans ? UNANSWERED : UNANSWERED.filter((words) => !OUTLIVING.has(words))
    manager._wireEvents = (session) => this.#watch(session)
  }

  async run(steps) {
    const { manager, roll } = this
    for (const name of ['a', 'b']) await this.#settled(manager.spawn(name))
    for (let step = 0; step < steps; step += 1) {
      this.#step(['a', 'b'][roll(2)])
      if (roll(3) === 0) await new Promise((resolve) => setTimeout(resolve, roll(12)))
    }
  }

  /** Waits until every promise is settled. */
  async settle() {
    const late = new Promise((_, reject) => {
      const open = () => this.sends.filter(({ outcome }) => outcome === undefined)
      const fail = () => reject(new Error(`never settled: ${JSON.stringify(open())}`))
      this.timer = setTimeout(fail, PATIENCE_MS)
    })
    await Promise.race([Promise.all(this.sends.map(({ done }) => done)), late])
    clearTimeout(this.timer)
  }

  #step(name) {
    const { manager, roll } = this
    switch (roll(14)) {
      case 0:
        return this.#call('pause', name)
      case 1:
        return roll(2) === 0 ? this.#call('stop', name) : undefined
      case 2:
        return roll(3) === 0 ? this.#call('kill', name) : undefined
      case 3:
        return roll(5) === 0 ? this.#call('delete', name) : undefined
      case 4:
        return roll(8) === 0 ? this.#call('stopAll', name) : undefined
      case 5:
      case 6:
        return void this.#settled(roll(2) === 0 ? manager.resume(name) : manager.spawn(name))
      case 7:
        return this.#send(name, this.deadly[roll(this.deadly.length)])
      case 8:
        return this.#send(name, this.unanswered[roll(this.unanswered.length)], 20 + roll(80))
      default:
        return this.#send(name, this.answered[roll(this.answered.length)], roll(4) === 0 ? 10 + roll(60) : undefined)
    }
  }

  #send(name, words, timeout) {
    const message = `${words} ${name}${this.sends.length}`
    const send = { name, message, at: performance.now(), timeout: timeout ?? 400, settled: 0 }
    this.sends.push(send)
    const settle = (outcome) => {
      send.settled += 1
      Object.assign(send, { outcome, after: performance.now() - send.at })
    }
    send.done = this.manager.send(name, message, timeout).then(
      (response) => settle(response),
      (error) => settle(error),
    )
  }

  #call(method, name) {
    this.endings.push({ method, name, at: performance.now() })
    try {
      this.manager[method](name)
    } catch (error) {
      assert.ok(['ERR_SESSION_NOT_ALIVE', 'ERR_SESSION_NOT_FOUND'].includes(error.code), error.stack)
    }
  }

  // A name may be taken, or its session never had a turn.
  #settled(promise) {
    const expected = ['ERR_SESSION_EXISTS', 'ERR_SESSION_NOT_FOUND', 'ERR_NO_SESSION_ID']
    return promise.catch((error) => assert.ok(expected.includes(error.code), error.stack))
  }

  #watch(session) {
    const events = []
    this.lives.push({ session, events })
    for (const event of ['init', 'result', 'status', 'error', 'close']) {
      session.on(event, (...args) => events.push([event, ...args]))
    }
  }
}

/** What must hold of a schedule that is over: everything in it is settled and every session closed. */
export function check(schedule, log) {
  const words = received(log).map(({ message }) => message)
  assert.equal(new Set(words).size, words.length, 'a message was sent twice')
  for (const send of schedule.sends) checkSend(schedule, send, words.includes(send.message))
  for (const { session, events } of schedule.lives) checkLife(session, events)
}

function checkSend(schedule, send, wasReceived) {
  const { name, message, outcome, settled, after, timeout, at } = send
  const told = `${message} -> ${outcome?.code ?? outcome?.text}`
  assert.equal(settled, 1, told)
  const called = (...methods) =>
    schedule.endings.some(
      (ending) =>
        methods.includes(ending.method) &&
        (ending.name === name || ['stopAll', 'close'].includes(ending.method)) &&
        ending.at >= at,
    )
  const deadly = schedule.sends.some(
    (other) => other.name === name && /^(exit|crash|half|close|stubborn)/.test(other.message),
  )
  switch (outcome.code) {
    case undefined:
      assert.equal(outcome.text, message)
      assert.equal(outcome.isError, message.startsWith('error'), told)
      assert.match(message, /^(answer|slow|error|noise|twice|child)/)
      return assert.ok(wasReceived, told)
    case 'ERR_TURN_TIMEOUT':
      assert.ok(after >= timeout - 2, `${told} after ${after} ms of ${timeout}`)
      return assert.ok(outcome.sent || !wasReceived, `${told}: sent false, and received`)
    case 'ERR_SESSION_STOPPED':
      assert.ok(called('stop', 'stopAll', 'close'), told)
      return assert.ok(!wasReceived, told)
    case 'ERR_SESSION_KILLED':
      return assert.ok(called('kill', 'delete'), told)
    case 'ERR_PROCESS_EXITED':
      return assert.ok(deadly || called('stop', 'stopAll', 'close'), told)
    case 'ERR_SESSION_NOT_ALIVE':
      return assert.ok(!wasReceived, told)
    default:
      return assert.fail(outcome.stack)
  }
}

function checkLife(session, events) {
  const names = events.map(([event]) => event)
  assert.equal(names.filter((name) => name === 'close').length, 1, 'one close')
  assert.equal(names.at(-1), 'close', 'nothing after the close')
  let status = 'starting'
  for (const [, next, before] of events.filter(([event]) => event === 'status')) {
    assert.equal(before, status, 'a status follows the one before')
    status = next
  }
  assert.equal(status, session.status)
  assert.ok(['stopped', 'killed', 'failed'].includes(status), status)
  const results = events.filter(([event]) => event === 'result').map(([, , interaction]) => interaction)
  assert.deepEqual(results, session.interactions.slice(-results.length || session.interactions.length))
  assert.ok(names.indexOf('result') === -1 || names.indexOf('init') < names.indexOf('result'))
}
