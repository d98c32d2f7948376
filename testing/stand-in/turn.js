'use strict'

/** One turn of the model: from the user messages it answers (or the background task that caused it) to its result. */

const { modelCall } = require('./ids.js')
const { parseDirectives, parseUsage } = require('./directives.js')
const { buildResult } = require('./result.js')
const { nextRound } = require('./output.js')
const { MARK } = require('./sinks.js')
const lines = require('./lines.js')
const partial = require('./partial.js')

const PLAIN_USAGE = { input: 10, output: 5 }
const INTERRUPTED = { text: '[Request interrupted by user]', tool: '[Request interrupted by user for tool use]' }

/** Thrown at a waiting point of a turn that was cut. */
class Aborted extends Error {}
/** Thrown after a model call that used up the budget. */
class OverBudget extends Error {}

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
    this.cancelWait = null
    this.opened = false
    this.finished = false
    this.mute = false
    // What directives may set: a wait before the result, another way to write it, what to undo after the turn.
    this.beforeResult = null
    this.writeResult = null
    this.undo = null
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
      else throw error
    }
    this.session.writeLifecycle(this.uuids, this.abortReason ? 'cancelled' : 'completed')
    for (const step of this.steps.filter(({ after }) => after)) await step.run(this, step.args)
  }

  async begin() {
    const { session } = this
    session.writeLifecycle(this.uuids, 'started')
    if (!this.own.origin) session.conversation.addUser(this.text, { uuids: this.uuids })
    else session.conversation.addUser(this.own.notification, { hidden: true })
    for (const step of this.steps.filter(({ phase, after }) => phase === 'before' && !after))
      await step.run(this, step.args)
    if (!this.mute) this.writeInit()
    // Messages that are already on their way must meet a running turn, not an idle process.
    await nextRound()
    this.check()
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

  /** Wait for `start(resolve)` to be done; a cut calls what it returned and ends the turn. */
  until(start) {
    this.check()
    return new Promise((resolve, reject) => {
      const settle = (value) => {
        this.cancelWait = null
        resolve(value)
      }
      const cancel = start(settle)
      this.cancelWait = () => {
        this.cancelWait = null
        cancel()
        reject(new Aborted())
      }
    })
  }

  /** @param {'interrupt' | 'signal' | 'now'} reason `now`: another message takes over, a running tool may finish */
  abort(reason) {
    if (this.abortReason) return
    this.abortReason = reason
    if (reason === 'now' && this.doing === 'tool') return
    this.cancelWait?.()
  }

  /** Write one content block of the model's; the first block of a turn says which messages it answers. */
  writeBlock(call, block, extra = {}) {
    const { session } = this
    const first = !this.opened
    this.open()
    const named = first && session.habit.newer && this.uuids.length > 0
    const answered = named ? { user_message_uuid: this.mainUuid, user_message_uuids: this.uuids } : {}
    const message = lines.assistant(session, call, block, {
      inputTokens: this.wanted.input,
      extra: { ...extra, ...answered },
    })
    if (this.bigMebibytes > 0) session.sink.writeBig(message, this.bigMebibytes)
    else if (this.partial && !this.abortReason)
      partial.write(session, call, message, { usage: this.wanted, startedAt: this.startedAt })
    else session.write(message)
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
    if (this.streamedTexts.length === 0 || this.answer !== null) this.writeBlock(modelCall(), { type: 'text', text })
    const saved = this.bigMebibytes > 0 ? `[${this.bigMebibytes} MiB]` : text
    this.session.conversation.addAssistant(saved)
    this.charge(this.wanted)
    if (this.beforeResult) await this.beforeResult()
    const result = this.streamedTexts.at(-1) ?? text
    this.writeOutcome({ text: this.answer ?? result, stopReason: 'end_turn', terminalReason: 'completed', timed: true })
  }

  /** Write the result; `outcome` as in result.js, without what every result of this turn has. */
  writeOutcome(outcome) {
    const steered = this.steered.map(({ uuid }) => uuid).filter(Boolean)
    this.session.writeLifecycle(steered, 'completed')
    const result = buildResult(this.session, {
      numTurns: 1 + this.toolResults.length,
      usage: this.usage,
      denials: this.denials,
      origin: this.own.origin,
      // The worst case for a client: a message caught by an own turn is not even named.
      uuids: this.own.origin ? [] : [...this.uuids, ...steered],
      mainUuid: this.mainUuid,
      subagents: this.subagents,
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
    if (this.doing === 'text' && this.steps.some(({ name }) => name === 'slow')) this.writeCutText({ aborted: true })
    if (this.session.habit.newer && !tool) this.session.totals.charge(this.session.model, { input: 10, output: 4 }, 0)
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
    const text = whole.slice(0, Math.ceil(whole.length / 2))
    this.writeBlock(modelCall(), { type: 'text', text }, this.session.habit.newer ? extra : {})
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
