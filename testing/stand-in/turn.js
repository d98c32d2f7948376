'use strict'

/** One turn of the model: from the user messages it answers (or the background task that caused it) to its result. */

const ids = require('./ids.js')
const { modelCall } = ids
const { parseDirectives, parseUsage } = require('./directives.js')
const { buildResult, zeroedResult } = require('./result.js')
const { nextRound } = require('./output.js')
const { MARK } = require('./sinks.js')
const lines = require('./lines.js')
const { MessageEvents } = require('./partial.js')
const hooks = require('./hooks.js')

const PLAIN_USAGE = { input: 10, output: 5 }
/** Directives whose time is that of a text which is being written: a cut leaves its first half. */
/** Directives that set the answer. */
const ANSWERS = new Set(['text', 'echo'])
const SPEAKING = new Set(['slow', 'hold'])
const INTERRUPTED = { text: '[Request interrupted by user]', tool: '[Request interrupted by user for tool use]' }

/** Thrown at a waiting point of a turn that was cut. */
class Aborted extends Error {}
/** Thrown after a model call that used up the budget. */
class OverBudget extends Error {}

/** Thrown where a turn ends early with an outcome of its own. */
class Stopped extends Error {
  constructor(outcome) {
    super('stopped')
    this.outcome = outcome
  }
}

class Turn {
  /**
   * @param {import('./session.js').Session} session
   * @param {{ text: string, uuid?: string, raw: object }[]} messages joined to one; empty for a turn of the CLI's own
   * @param {{ origin?: object, text?: string, directives?: object[], trap?: boolean, notification?: string }} own what
   *   an own turn does
   */
  constructor(session, messages, own = {}) {
    this.session = session
    this.messages = messages
    this.own = own
    this.text = own.text ?? messages.map((message) => message.text).join('\n')
    this.uuids = messages.map((message) => message.uuid).filter(Boolean)
    this.mainUuid = this.uuids.at(-1)
    this.steps = own.directives || messages.flatMap((message) => stepsOf(message))
    this.startedAt = Date.now()
    this.usage = { input: 0, output: 0 }
    this.wanted = parseUsage(this.text) || PLAIN_USAGE
    this.toolResults = []
    this.denials = []
    this.steered = []
    this.subagents = 0
    this.outcome = null
    this.answer = own.text ?? null
    this.echoText = null
    this.bigMebibytes = 0
    this.streamedTexts = []
    this.doing = 'text'
    this.abortReason = null
    // Whether a cut took back a question that the host had not answered.
    this.cutQuestion = false
    // Names this prompt in what hooks are told; what hooks told the model; whether one of them ends the turn.
    this.promptId = ids.uuid()
    this.contexts = []
    this.hookStopped = false
    this.stopBlocks = 0
    // Whether the model has been asked: a turn that is cut before costs nothing.
    this.called = false
    // Stream events of the message that is being written; an answer of which the first half is; a call that thought.
    this.events = null
    this.begunIds = []
    this.lastStopReason = 'end_turn'
    this.begun = null
    this.thoughtCall = null
    this.waits = new Set()
    this.opened = false
    this.finished = false
    this.mute = false
    // What directives may set: a wait before the result, another way to write it, what to undo after the turn.
    this.beforeResult = null
    this.writeResult = null
    this.undo = null
    this.atEnd = null
    this.partial = Boolean(session.options['include-partial-messages'])
  }

  async run() {
    try {
      await this.begin()
      if (this.session.isOverBudget()) throw new OverBudget()
      for (const step of this.steps.filter(({ phase, after }) => phase === 'during' && !after)) {
        if (!this.outcome) await this.perform(step)
      }
      await this.finish()
    } catch (error) {
      if (error instanceof Aborted) this.finishAborted()
      else if (error instanceof OverBudget) this.finishOverBudget()
      else if (error instanceof Stopped) this.writeOutcome(error.outcome)
      else throw error
    }
    this.session.writeLifecycle(this.uuids, this.abortReason ? 'cancelled' : 'completed')
    this.atEnd?.()
    for (const step of this.steps.filter(({ after }) => after)) await step.run(this, step.args)
  }

  async begin() {
    const { session } = this
    session.writeLifecycle(this.uuids, 'started')
    session.checkpoints.startTurn(this.uuids)
    session.model = session.nextModel ?? session.model
    session.nextModel = null
    if (!this.own.origin) session.conversation.addUser(this.text, { uuids: this.uuids })
    else session.conversation.addUser(this.own.notification, { hidden: true })
    for (const step of this.steps.filter(({ phase, after }) => phase === 'before' && !after))
      await step.run(this, step.args)
    await session.mcp.ready(this)
    await hooks.beforePrompt(this)
    if (!this.mute) this.writeInit()
    // Messages that are already on their way must meet a running turn, not an idle process.
    await nextRound()
    this.check()
    this.called = true
  }

  /** End the turn here, with this outcome. */
  stop(outcome) {
    throw new Stopped(outcome)
  }

  /** The older CLI ends with a zeroed result where a hook of the prompt does not answer. */
  async dieOf(words) {
    const { session } = this
    session.write(zeroedResult(session.habit, session.conversation.id, words))
    await session.exit(1)
  }

  writeInit() {
    const { session } = this
    if (session.options['replay-user-messages']) {
      for (const { text, uuid } of this.messages.slice(0, -1)) {
        const { timestamp: _, ...line } = lines.replay(session, text, uuid)
        session.write(line)
      }
    }
    session.write(lines.init(session, this.uuids))
  }

  async perform(step) {
    this.check()
    await step.run(this, step.args)
    this.check()
  }

  check() {
    if (this.abortReason && !(this.abortReason === 'now' && this.doing === 'tool')) throw new Aborted()
  }

  /** Wait for a time or, without one, for ever; a cut ends the wait. */
  wait(ms) {
    return this.until((resolve) => {
      // The longest timer there is: an empty event loop would end the process.
      const timer = setTimeout(ms === undefined ? () => {} : resolve, ms ?? 2 ** 31 - 1)
      return () => clearTimeout(timer)
    })
  }

  /**
   * Wait for `start(resolve)` to be done; a cut calls what it returned and ends the turn.
   * @param {{ asksHost?: boolean }} [kind] a message of priority `now` cuts an open question, not a running tool
   */
  until(start, kind = {}) {
    const { asksHost = false } = kind
    this.check()
    return new Promise((resolve, reject) => {
      const settle = (value) => {
        this.waits.delete(wait)
        resolve(value)
      }
      const wait = { cut: null, asksHost }
      this.waits.add(wait)
      const cancel = start(settle)
      wait.cut = () => {
        this.waits.delete(wait)
        cancel()
        reject(new Aborted())
      }
    })
  }

  /** @param {'interrupt' | 'signal' | 'now'} reason `now`: another message takes over, a running tool may finish */
  abort(reason) {
    if (this.abortReason) return
    this.abortReason = reason
    for (const wait of [...this.waits]) {
      if (reason === 'now' && this.doing === 'tool' && !wait.asksHost) continue
      this.cutQuestion ||= wait.asksHost
      wait.cut()
    }
  }

  /** Write one content block of the model's; the first block of a turn says which messages it answers. */
  writeBlock(call, block, extra = {}) {
    const { session } = this
    const first = !this.opened
    const streams = this.partial && !this.abortReason && this.bigMebibytes === 0
    // The older CLI gives the message back after the block.
    if (!streams || session.habit.newer) this.openAfter(streams ? call : null)
    const answered = first ? this.answeredMessages() : {}
    const message = lines.assistant(session, call, block, {
      inputTokens: this.wanted.input,
      extra: { ...extra, ...answered },
    })
    if (this.bigMebibytes > 0) session.sink.writeBig(message, this.bigMebibytes)
    else if (streams) this.streamBlock(call, block, message)
    else session.write(message)
    if (!this.opened) this.open()
  }

  /** The newer CLI says which messages an answer belongs to. */
  answeredMessages() {
    if (!this.session.habit.newer || this.uuids.length === 0) return {}
    return { user_message_uuid: this.mainUuid, user_message_uuids: this.uuids }
  }

  /** The replay of the turn's messages, behind the line that says that a model is asked. */
  openAfter(call) {
    if (call) this.askModel(call)
    this.open()
  }

  /** Stream events say that a new message of the model begins. */
  askModel(call) {
    if (this.events?.call === call) return
    this.closeMessage()
    this.begunIds.push(call.messageId)
    this.events = new MessageEvents(this.session, call, this.startedAt)
    const named = this.session.habit.newer && this.uuids.length > 0
    this.session.writeSystem('status', {
      status: 'requesting',
      ...(named && { user_message_uuids: this.uuids }),
    })
  }

  streamBlock(call, block, message) {
    this.askModel(call)
    if (this.begun?.call === call) {
      this.begun = null
    } else {
      if (this.events.index < 0) this.events.start(message, this.answeredMessages())
      this.events.startBlock(block)
    }
    this.events.endBlock(message)
    this.lastStopReason = block.type === 'tool_use' ? 'tool_use' : 'end_turn'
  }

  /** The last events of a message, once all of its blocks are written. */
  closeMessage() {
    if (!this.events) return
    this.events.end(this.lastStopReason, this.wanted)
    this.events = null
  }

  /** With stream events, half of the answer is written before what the text is waiting for. */
  beginText() {
    if (!this.partial || this.begun) return
    for (const step of this.steps) if (ANSWERS.has(step.name) && !step.after) step.run(this, step.args)
    const call = this.takeCall()
    const block = { type: 'text', text: this.answerText() }
    if (this.session.habit.newer) this.openAfter(call)
    else this.askModel(call)
    if (this.events.index < 0) this.events.start(lines.assistant(this.session, call, block), this.answeredMessages())
    this.begun = { call, text: this.events.startBlock(block, 0.5) }
  }

  /** The model call that the next block belongs to: one whose thinking or first words are written, else a new one. */
  takeCall() {
    const call = this.begun?.call ?? this.thoughtCall ?? modelCall()
    this.thoughtCall = null
    return call
  }

  /** The replay of the turn's last message comes just before its first answer. */
  open() {
    const { session } = this
    if (!this.opened && session.options['replay-user-messages'] && this.messages.length > 0) {
      session.write(lines.replay(session, this.text, this.mainUuid))
    }
    this.opened = true
  }

  /** Account for one model call. */
  charge(usage) {
    this.usage.input += usage.input
    this.usage.output += usage.output
    this.session.totals.charge(this.session.model, usage, 20)
    if (this.session.isOverBudget()) throw new OverBudget()
  }

  /** Take messages into the running turn: the model sees them, they get no result of their own. */
  steer(messages) {
    const { session } = this
    const uuids = messages.map(({ uuid }) => uuid).filter(Boolean)
    session.writeLifecycle(uuids, 'started')
    for (const { text, uuid } of messages) {
      this.steered.push({ text, uuid })
      if (session.options['replay-user-messages']) session.write(lines.replay(session, text, uuid))
    }
    if (messages.length === 0) return
    session.conversation.addUser(messages.map(({ text }) => text).join('\n'), { uuids, separate: true })
  }

  answerText() {
    if (this.answer !== null) return this.answer
    const number = this.session.conversation.count() + 1
    const steered = this.steered.length > 0 ? ` steered: ${JSON.stringify(this.steered.map(({ text }) => text))}` : ''
    if (this.toolResults.length > 0 && this.echoText === null)
      return `after tool: ${JSON.stringify(this.toolResults)}${steered}`
    return `echo(${number}): ${this.echoText ?? this.text}${steered}`
  }

  async finish() {
    this.check()
    if (this.abortReason) throw new Aborted()
    if (this.outcome) return this.writeOutcome(this.outcome)
    const text = this.bigMebibytes > 0 ? MARK : this.answerText()
    if (this.hookStopped) return this.writeOutcome({ text: '', terminalReason: 'hook_stopped', timed: true })
    await hooks.beforeText(this, text)
    if (this.streamedTexts.length === 0 || this.answer !== null)
      this.writeBlock(this.takeCall(), { type: 'text', text })
    this.closeMessage()
    const saved = this.bigMebibytes > 0 ? `[${this.bigMebibytes} MiB]` : text
    this.session.conversation.addAssistant(saved, { call: this.session.callOf(this.wanted) })
    this.charge(this.wanted)
    if (await this.isHeldBack(text)) return this.finish()
    if (this.beforeResult) await this.beforeResult()
    const result = this.streamedTexts.at(-1) ?? text
    this.writeOutcome({ text: this.answer ?? result, stopReason: 'end_turn', terminalReason: 'completed', timed: true })
  }

  /** A hook that does not let the turn end: its words are the next thing that the model answers. */
  async isHeldBack(text) {
    const words = await hooks.beforeStop(this, text, this.stopBlocks > 0)
    if (words === null) return false
    this.stopBlocks += 1
    hooks.writeFeedback(this.session, words)
    this.session.conversation.addUser(words, { hidden: true })
    Object.assign(this, { answer: null, echoText: words, streamedTexts: [] })
    return true
  }

  /** Write the result; `outcome` as in result.js, without what every result of this turn has. */
  writeOutcome(outcome) {
    const steered = this.steered.map(({ uuid }) => uuid).filter(Boolean)
    this.session.writeLifecycle(steered, 'completed')
    const result = buildResult(this.session, {
      numTurns: 1 + this.toolResults.length + this.stopBlocks,
      usage: this.usage,
      denials: this.denials,
      origin: this.own.origin,
      // The worst case for a client: a message caught by an own turn is not even named.
      uuids: this.own.origin ? [] : [...this.uuids, ...steered],
      mainUuid: this.mainUuid,
      subagents: this.subagents,
      begun: this.begunIds,
      durationMs: Date.now() - this.startedAt,
      ...outcome,
    })
    if (this.writeResult) this.writeResult(result)
    else this.session.writeResult(result, this.bigMebibytes)
    this.finished = true
  }

  finishOverBudget() {
    const limit = this.session.options['max-budget-usd']
    this.writeOutcome({
      subtype: 'error_max_budget_usd',
      isError: true,
      errors: [`Reached maximum budget ($${limit})`],
      stopReason: this.usage.input > 0 ? 'end_turn' : null,
      usage: { input: 0, output: 0 },
    })
  }

  finishAborted() {
    if (this.abortReason === 'now') return this.finishReplaced()
    const tool = this.doing === 'tool'
    if (this.called && this.doing === 'text' && this.steps.some(({ name }) => SPEAKING.has(name)))
      this.writeCutText({ aborted: true })
    if (this.called && this.session.habit.newer && !tool)
      this.session.totals.charge(this.session.model, { input: 10, output: 4 }, 0)
    const words = tool ? INTERRUPTED.tool : INTERRUPTED.text
    this.open()
    this.session.write(lines.user(this.session, [{ type: 'text', text: words }]))
    this.session.conversation.addUser(words, { hidden: true, interrupted: true })
    const stopReason = tool ? 'tool_use' : null
    this.writeOutcome({
      subtype: 'error_during_execution',
      isError: true,
      errors: [`[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=${stopReason}`],
      numTurns: 2 + this.toolResults.length,
      stopReason,
      terminalReason: tool ? 'aborted_tools' : 'aborted_streaming',
    })
  }

  /** A message of priority `now` took over: what there is counts as the answer. */
  finishReplaced() {
    const tool = this.toolResults.length > 0
    const text = tool ? '' : this.writeCutText()
    this.writeOutcome({ text, terminalReason: tool ? 'aborted_tools' : 'aborted_streaming', timed: true })
  }

  writeCutText(extra = {}) {
    const whole = this.answerText()
    const text = this.begun?.text ?? whole.slice(0, Math.ceil(whole.length / 2))
    this.writeBlock(this.takeCall(), { type: 'text', text }, this.session.habit.newer ? extra : {})
    this.session.conversation.addAssistant(text)
    return text
  }
}

/** Directives of one message, as steps. */
const stepsOf = (message) => {
  if (message.text.trim() === 'recall') return stepsOf({ ...message, text: 'stand-in: recall' })
  const every = process.env.CLEARCTX_STAND_IN_EVERY
  const written = parseDirectives(message.text)
  const directives = written.length === 0 && every ? parseDirectives(`stand-in: ${every}`) : written
  return directives.map((directive) => require('./steps.js').toStep(directive, message))
}

module.exports = { Turn, PLAIN_USAGE }
