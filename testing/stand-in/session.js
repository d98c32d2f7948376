'use strict'

/** What one process is: its options, its conversation, its money, and where its messages go. */

const fs = require('fs')
const { Conversation, findFile, findNewest, fileOf } = require('./conversation.js')
const { Totals } = require('./costs.js')
const { Children } = require('./children.js')
const { resolveModel } = require('./habits.js')
const { uuid, isUuid } = require('./ids.js')
const { Requests } = require('./requests.js')
const { Checkpoints } = require('./checkpoints.js')
const { ControlFaults } = require('./control-faults.js')
const { Hooks } = require('./hooks.js')
const { McpServers } = require('./mcp.js')
const lines = require('./lines.js')

/** A start that fails: the words for stderr, and whether stream-json gets a zeroed result. */
class StartError extends Error {
  constructor(message, { sessionId = null } = {}) {
    super(message)
    this.sessionId = sessionId
  }
}

class Session {
  // Set by main.js: the queue of messages, the rules of the end, what a defect does.
  scheduler = null
  lifetime = null
  fail = null
  background = new Map()
  mayBypass = false
  requests = new Requests(this)
  hooks = new Hooks(this)
  checkpoints = new Checkpoints()
  controlFaults = new ControlFaults(this, process.env.CLEARCTX_STAND_IN_CONTROL)
  // Rules of the flag settings and of the host's answers, beside those of the command line.
  flagRules = []
  sessionRules = []
  flagSettings = {}
  agents = {}
  // Whether the line being handled is the first one of the input.
  isFirstLine = true
  maxThinkingTokens = undefined
  nextModel = null
  planFile = null
  modeBeforePlan = 'default'

  constructor({ habit, options, out, sink, log }) {
    this.habit = habit
    this.options = options
    this.out = out
    this.sink = sink
    this.log = log
    this.totals = new Totals(habit)
    this.children = new Children()
    this.defaultModel = resolveModel(habit, options.model)
    this.model = this.defaultModel
    this.permissionMode = chooseMode(options)
    this.allowedTools = options.allowedTools || []
    this.systemPrompt = readSystemPrompt(options)
    this.mcp = new McpServers(this)
    this.resultCount = 0
    this.lastIsError = false
    this.conversation = this.openConversation()
    this.budgetBase = this.totals.costUsd()
  }

  openConversation() {
    const { options } = this
    const wanted = options.resume || (options.continue && findNewest())
    if (wanted) return this.resumeConversation(wanted)
    if (options.continue) throw new StartError('No conversation found to continue')
    const id = options['session-id'] || uuid()
    if (!isUuid(id)) throw new StartError('Error: Invalid session ID. Must be a valid UUID.')
    if (fs.existsSync(fileOf(id))) throw new StartError(`Error: Session ID ${id} is already in use.`)
    return this.newConversation(id)
  }

  resumeConversation(id) {
    const { options } = this
    const fork = options['fork-session']
    if (options['session-id'] && !fork) {
      throw new StartError(
        'Error: --session-id can only be used with --continue or --resume if --fork-session is also specified.',
      )
    }
    const file = findFile(this.habit, id)
    if (!file) throw new StartError(`No conversation found with session ID: ${id}`, { sessionId: id })
    const conversation = fork ? this.newConversation(options['session-id'] || uuid()) : this.newConversation(id, file)
    if (fork) conversation.copyFrom(file)
    else conversation.load(file)
    if (this.habit.newer && conversation.totals) this.totals.restore(conversation.totals)
    return conversation
  }

  newConversation(id, file) {
    const delay = process.env.CLEARCTX_STAND_IN_SAVE_DELAY_MS
    const saveDelayMs = delay === undefined || delay === '' ? this.habit.saveDelayMs : Number(delay)
    return new Conversation({ id, file, persist: !this.options['no-session-persistence'], saveDelayMs })
  }

  /** `/clear`: an empty conversation under a new id. */
  clearConversation() {
    this.conversation.flush()
    this.conversation = this.newConversation(uuid())
    if (!this.habit.newer) return
    this.totals.reset()
    this.budgetBase = 0
  }

  /** Another permission mode, told with a `status` line. */
  changeMode(mode) {
    if (mode === 'plan' && this.permissionMode !== 'plan') this.modeBeforePlan = this.permissionMode
    this.permissionMode = mode
    this.writeSystem('status', lines.modeStatus(this))
  }

  /** The newer CLI asks another model from its next call on, the older one from the next turn. */
  setModel(name) {
    if (this.habit.newer || !this.scheduler.turn) this.model = name
    else this.nextModel = name
  }

  /** An approved plan ends plan mode: back to the mode before it, unless the approval itself sets one. */
  modeAfterPlan(updates) {
    if (!updates?.some?.(({ type }) => type === 'setMode')) this.changeMode(this.modeBeforePlan)
  }

  /** @param {{ toolName: string, ruleContent?: string }[]} rules calls that are not asked for again */
  addRules(rules) {
    for (const { toolName, ruleContent } of rules) {
      this.sessionRules.push(ruleContent === undefined ? toolName : `${toolName}(${ruleContent})`)
    }
  }

  allowRules() {
    return [...this.allowedTools, ...this.flagRules, ...this.sessionRules]
  }

  write(message) {
    this.sink.write(message)
  }

  /** What a conversation on disk tells of a request to the model. */
  callOf({ input, output }) {
    const usage = { input_tokens: input, output_tokens: output }
    const cache = { cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
    return { id: uuid(), model: this.model.replace('[1m]', ''), usage: { ...usage, ...cache } }
  }

  writeSystem(subtype, fields) {
    this.write(lines.system(subtype, this.conversation.id, fields))
  }

  /** Lines that say what became of a user message; only the newer CLI has them, only for messages with a uuid. */
  writeLifecycle(uuids, state) {
    if (!this.habit.newer) return
    for (const id of uuids) this.write(lines.lifecycle(this, id, state))
  }

  writeState(state) {
    if (process.env.CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS === '1') this.writeSystem('session_state_changed', { state })
  }

  /** Count a result and save the money with the conversation, then write it. */
  writeResult(result, bigMebibytes = 0) {
    this.resultCount += 1
    this.lastIsError = result.is_error
    this.conversation.saveTotals(this.totals.snapshot())
    if (bigMebibytes > 0) this.sink.writeBig(result, bigMebibytes)
    else this.write(result)
  }

  isOverBudget() {
    const limit = Number(this.options['max-budget-usd'])
    return limit > 0 && this.totals.costUsd() - this.budgetBase >= limit
  }

  /** End with a code. What the reader has not taken yet is waited for, or lost as the older CLI loses it. */
  async exit(code, { lose = false } = {}) {
    this.conversation.flush()
    this.children.endAll()
    if (!lose) await this.out.flushed()
    this.log('exit', { code })
    process.exit(code)
  }
}

/** Forced on the CLI, else passed to it, else the one of its settings. */
const chooseMode = (options) =>
  process.env.CLEARCTX_STAND_IN_FORCED_MODE ||
  options['permission-mode'] ||
  process.env.CLEARCTX_STAND_IN_SETTINGS_MODE ||
  'default'

const readSystemPrompt = (options) => {
  const file = options['append-system-prompt-file'] || options['system-prompt-file']
  try {
    return options['append-system-prompt'] ?? options['system-prompt'] ?? (file ? fs.readFileSync(file, 'utf8') : '')
  } catch {
    throw new StartError(`Error: Append system prompt file not found: ${file}`)
  }
}

module.exports = { Session, StartError }
