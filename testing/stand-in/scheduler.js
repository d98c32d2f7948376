'use strict'

/** Which message runs when: queueing, merging, steering, and the CLI's own turns. */

const { Turn } = require('./turn.js')
const { findCommand, LocalTurn } = require('./slash.js')
const lines = require('./lines.js')

const RANK = { now: 0, next: 1, later: 2 }

class Scheduler {
  constructor(session) {
    this.session = session
    this.queue = []
    this.ownTurns = []
    this.turn = null
    this.running = false
    this.stopped = false
    this.ended = Promise.resolve()
    this.onIdle = () => {}
  }

  get busy() {
    return this.turn !== null || this.queue.length > 0 || this.ownTurns.length > 0
  }

  /** @param {any} message as input.js reads it: text, uuid, priority, shouldQuery, raw */
  receive(message) {
    const { session } = this
    if (message.uuid && this.isKnown(message.uuid)) {
      if (session.options['replay-user-messages']) session.write(lines.replay(session, message.text, message.uuid))
      return
    }
    if (message.uuid) {
      session.conversation.seen.add(message.uuid)
      session.writeLifecycle([message.uuid], 'queued')
    }
    message.command = findCommand(session, message)
    this.queue.push(message)
    if (message.priority === 'now') this.turn?.abort('now')
    this.catchInOwnTurn()
    if (this.turn || !session.controlFaults.delaysStart(() => this.startNext())) this.startNext()
  }

  isKnown(uuid) {
    return this.session.conversation.seen.has(uuid)
  }

  /** The steering trap: an own turn takes messages in although it runs no tool. */
  catchInOwnTurn() {
    if (this.turn?.own?.trap) this.turn.steer(this.takeSteering())
  }

  /** Messages that the running turn takes in at a tool boundary. */
  takeSteering() {
    const taken = this.queue.filter(({ priority, command }) => priority === 'next' && !command)
    this.queue = this.queue.filter((message) => !taken.includes(message))
    return taken
  }

  /** What still waits, as uuids; taken out if `cancel`. */
  queuedUuids(cancel) {
    const uuids = this.queue.map(({ uuid }) => uuid).filter(Boolean)
    if (cancel) {
      this.session.writeLifecycle(uuids, 'cancelled')
      this.queue = []
    }
    return uuids
  }

  /** `end_session` of the newer CLI: what still waits never runs. */
  discard() {
    const uuids = this.queue.map(({ uuid }) => uuid).filter(Boolean)
    this.queue = []
    return uuids
  }

  /** @returns {boolean} whether the message was still waiting */
  cancel(uuid) {
    const found = this.queue.find((message) => message.uuid === uuid)
    if (!found) return false
    this.queue = this.queue.filter((message) => message !== found)
    this.session.writeLifecycle([uuid], 'cancelled')
    return true
  }

  addOwnTurn(own) {
    this.ownTurns.push(own)
    this.startNext()
  }

  startNext() {
    if (this.turn || this.stopped) return
    const turn = this.nextTurn()
    if (!turn) {
      this.goIdle()
      return
    }
    this.turn = turn
    if (!this.running) this.session.writeState('running')
    this.running = true
    this.ended = turn.run().then(() => {
      turn.undo?.()
      this.turn = null
      this.startNext()
    })
    this.ended.catch((error) => this.session.fail(error))
  }

  goIdle() {
    if (this.running) this.session.writeState('idle')
    this.running = false
    this.onIdle()
  }

  nextTurn() {
    const { session } = this
    const ownFirst = this.ownTurns.length > 0 && !this.queue.some(({ priority }) => priority !== 'later')
    if (ownFirst) return this.ownTurn(this.ownTurns.shift())
    const batch = this.takeBatch()
    if (batch.length === 0) return null
    return batch[0].command ? new LocalTurn(session, batch[0]) : new Turn(session, batch)
  }

  /** All waiting messages of the most urgent kind are one turn; a local command is never merged. */
  takeBatch() {
    const urgent = Math.min(...this.queue.map(({ priority }) => RANK[priority]))
    const candidates = this.queue.filter(({ priority }) => RANK[priority] === urgent)
    const commandAt = candidates.findIndex(({ command }) => command)
    const batch = commandAt === 0 ? candidates.slice(0, 1) : candidates.slice(0, commandAt < 0 ? undefined : commandAt)
    this.queue = this.queue.filter((message) => !batch.includes(message))
    return batch
  }

  ownTurn(own) {
    own.announce()
    const steps = own.ownTurnMs > 0 ? [{ name: 'slow', phase: 'during', run: (turn) => turn.wait(own.ownTurnMs) }] : []
    const notification = '<task-notification></task-notification>'
    return new Turn(this.session, [], { ...own, directives: steps, notification })
  }
}

module.exports = { Scheduler }
