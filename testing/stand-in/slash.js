'use strict'

/** Commands in user text that never reach a model. */

const { buildResult } = require('./result.js')
const { nextRound } = require('./output.js')
const { uuid } = require('./ids.js')
const lines = require('./lines.js')

const COMMAND = /^\/([a-zA-Z][\w:-]*)(?:\s|$)/
const UNAVAILABLE = new Set(['model', 'help', 'exit', 'config', 'login'])
const REPORTS = new Set(['cost', 'usage', 'context'])

/** @returns {string | null} name of the local command that a message is, if it is one */
const findCommand = (session, message) => {
  if (!message.shouldQuery) return 'context-only'
  if (/^\s*stand-in:\s*clear\s*$/.test(message.text)) return 'clear'
  const name = COMMAND.exec(message.text)?.[1]
  if (!name) return null
  const known = name === 'clear' || name === 'compact' || UNAVAILABLE.has(name) || REPORTS.has(name)
  // The newer CLI hands what it does not know to the model.
  return known || !session.habit.newer ? name : null
}

/** A turn without a model: it costs nothing and counts no turns. */
class LocalTurn {
  constructor(session, message) {
    this.session = session
    this.message = message
    this.uuids = message.uuid ? [message.uuid] : []
    this.startedAt = Date.now()
    this.own = { trap: false }
    this.undo = null
  }

  // It is over before anything can cut it or join it.
  abort() {}

  steer() {}

  async run() {
    const { session, message } = this
    session.writeLifecycle(this.uuids, 'started')
    if (message.command === 'clear') this.clear()
    else if (message.command === 'compact') this.compact()
    else if (message.command === 'context-only') this.contextOnly()
    else this.say(this.textOf(message.command))
    session.writeLifecycle(this.uuids, 'completed')
    await nextRound()
  }

  writeInit() {
    this.session.write(lines.init(this.session, this.uuids))
  }

  clear() {
    const { session } = this
    if (session.habit.newer) {
      const id = uuid()
      session.write({
        type: 'conversation_reset',
        new_conversation_id: id,
        uuid: id,
        trigger: 'clear',
        user_message_uuid: this.message.uuid || uuid(),
        timestamp: new Date().toISOString(),
        session_id: session.conversation.id,
      })
      session.writeSystem('background_tasks_changed', { tasks: [] })
    }
    session.clearConversation()
    this.writeInit()
    if (!session.habit.newer) session.write(lines.syntheticAssistant(session, '(no content)'))
    this.finish('')
  }

  compact() {
    const { session } = this
    session.writeSystem('status', { status: 'compacting' })
    session.totals.charge(session.model, { input: 10, output: 5 }, 20)
    session.writeSystem('status', { status: null, compact_result: 'success' })
    this.writeInit()
    const metadata = {
      trigger: 'manual',
      pre_tokens: 15,
      post_tokens: 10,
      cumulative_dropped_tokens: 0,
      duration_ms: 0,
    }
    session.writeSystem('compact_boundary', { compact_metadata: metadata })
    const summary = 'This session is being continued from a previous conversation.'
    session.conversation.compact(summary)
    session.write(lines.user(session, summary, { isReplay: false, isSynthetic: true }))
    session.write(lines.replay(session, '<local-command-stdout>Compacted </local-command-stdout>'))
    this.finish('')
  }

  contextOnly() {
    const { conversation } = this.session
    conversation.addUser(this.message.text, { uuids: this.uuids })
    this.writeInit()
    this.finish('')
  }

  say(text) {
    this.writeInit()
    this.session.write(lines.syntheticAssistant(this.session, text))
    this.finish(text)
  }

  textOf(command) {
    if (UNAVAILABLE.has(command)) return `/${command} isn't available in this environment.`
    if (REPORTS.has(command)) return `Total cost: $${this.session.totals.costUsd().toFixed(4)}`
    return `Unknown command: /${command}`
  }

  finish(text) {
    const { session, uuids } = this
    const outcome = { text, numTurns: 0, local: this.message.command, uuids, mainUuid: uuids[0] }
    const result = buildResult(session, { ...outcome, durationMs: Date.now() - this.startedAt })
    if (!session.habit.newer) delete result.local_command
    session.writeResult(result)
  }
}

module.exports = { findCommand, LocalTurn }
