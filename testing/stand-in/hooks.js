'use strict'

/** Hooks that the host registered in `initialize`: when they are called back, and what their answers do. */

const { askHost } = require('./requests.js')
const { failure, recordDenial } = require('./consent.js')
const { uuid } = require('./ids.js')
const lines = require('./lines.js')

const DEFAULT_TIMEOUT_S = 600

const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A matcher is the name of a tool, several of them (`A|B`), or a pattern; without one every call fits. */
const fits = (matcher, name) => {
  if (!matcher || matcher === '*' || name === undefined) return true
  return new RegExp(`^(?:${matcher})$`).test(name)
}

class Hooks {
  constructor(session) {
    this.session = session
    this.registered = null
  }

  /** A repeated `initialize` replaces the hooks; the older CLI keeps the first ones. */
  register(hooks) {
    if (!isRecord(hooks) || (this.registered && !this.session.habit.newer)) return
    this.registered = hooks
  }

  has(event) {
    return Boolean(this.registered?.[event])
  }

  /**
   * Call all hooks of an event that fit, at the same time.
   * @param {object} fields of the input, besides those that every hook gets
   * @returns {Promise<{ answer: any, timedOut: boolean, blocks: boolean, timeoutMs: number }[]>} `answer` is `{}` where
   *   the host had nothing to say
   */
  async call(turn, event, fields, { tool = undefined, toolUseId = undefined } = {}) {
    const calls = this.registrations(event, tool)
    const input = { ...this.common(turn, event), ...fields }
    const answers = await Promise.allSettled(calls.map((one) => this.callOne(turn, event, one, input, toolUseId)))
    turn.check()
    return answers.map((outcome) => /** @type {PromiseFulfilledResult<any>} */ (outcome).value)
  }

  registrations(event, tool) {
    const groups = (this.registered?.[event] ?? []).filter(({ matcher }) => fits(matcher, tool))
    return groups.flatMap((group) => (group.hookCallbackIds ?? []).map((id) => ({ id, group })))
  }

  /** Requests for hooks that may decide about a permission before the host is through with its question. */
  permissionRequests(turn, { name, input, toolUseId }) {
    const asked = { ...this.common(turn, 'PermissionRequest'), tool_name: name, tool_input: input }
    return this.registrations('PermissionRequest', name).map(({ id }) => ({
      subtype: 'hook_callback',
      callback_id: id,
      input: asked,
      tool_use_id: toolUseId,
    }))
  }

  common(turn, event) {
    const { conversation, permissionMode } = this.session
    return {
      session_id: conversation.id,
      transcript_path: conversation.file,
      cwd: process.cwd(),
      prompt_id: turn.promptId,
      permission_mode: permissionMode,
      ...(event !== 'UserPromptSubmit' && { effort: { level: 'medium' } }),
      hook_event_name: event,
    }
  }

  async callOne(turn, event, { id, group }, input, toolUseId) {
    const timeoutMs = (group.timeout ?? DEFAULT_TIMEOUT_S) * 1000
    const request = { subtype: 'hook_callback', callback_id: id, input, tool_use_id: toolUseId ?? uuid() }
    const response = await askHost(turn, request, { timeoutMs })
    const timedOut = response === null
    const valid = response?.subtype === 'success' && isRecord(response.response ?? {})
    if (!timedOut && !valid) this.tellFailure(event, response)
    const answer = valid ? (response.response ?? {}) : {}
    if (answer.systemMessage) this.inform(answer.systemMessage)
    // What is not valid is as good as no answer: the tool runs, unless the host registered otherwise.
    const blocks = !timedOut && !valid && this.session.habit.newer && group.onFailure === 'block'
    return { answer, timedOut, blocks, timeoutMs }
  }

  tellFailure(event, response) {
    this.inform(`${event} hook callback failed: ${response?.error ?? 'invalid answer'}`, {
      tag: 'hook_callback_failed',
    })
  }

  inform(content, fields = {}) {
    const { session } = this
    if (session.habit.newer) session.writeSystem('informational', { content, level: 'warning', ...fields })
  }
}

/** Texts that hooks add for the model. */
const collectContext = (turn, outcomes) => {
  for (const { answer } of outcomes) {
    const text = answer.hookSpecificOutput?.additionalContext
    if (text !== undefined) turn.contexts.push(text)
  }
}

/** Ends the turn if the prompt may not go to the model. */
const beforePrompt = async (turn) => {
  const { session } = turn
  if (!session.hooks.has('UserPromptSubmit') || turn.own.origin) return
  const outcomes = await session.hooks.call(turn, 'UserPromptSubmit', { prompt: turn.text })
  const late = outcomes.find(({ timedOut }) => timedOut)
  if (late) await promptUnanswered(turn, late)
  const block = outcomes.find(({ answer, blocks }) => blocks || answer.decision === 'block')
  if (block) blockPrompt(turn, `${block.answer.reason ?? 'hook failed'}\n\n\nOriginal prompt: ${turn.text}`)
  collectContext(turn, outcomes)
}

/** The older CLI does not survive a hook of the prompt that does not answer. */
const promptUnanswered = (turn, { timeoutMs }) => {
  const words = `UserPromptSubmit hook callback timed out after ${timeoutMs}ms`
  const outcome = { kind: 'no_verdict', prompt_kept: false, no_verdict_kind: 'callback_timed_out' }
  if (turn.session.habit.newer) return blockPrompt(turn, words, outcome)
  return turn.dieOf('')
}

const blockPrompt = (turn, reason, outcome = { kind: 'blocked', prompt_kept: false }) => {
  const { session } = turn
  const text = `UserPromptSubmit operation blocked by hook:\n${reason}`
  turn.writeInit()
  session.writeSystem('informational', {
    content: text,
    level: 'warning',
    prevent_continuation: true,
    ...(session.habit.newer && { prompt_submit_outcome: outcome }),
  })
  turn.stop({ text, numTurns: 0, local: true })
}

const STRICTNESS = ['deny', 'defer', 'ask', 'allow']

/** The strictest of the decisions about a tool, with what came with it. */
const strictest = (outcomes) => {
  const said = outcomes.map(({ answer }) => answer.hookSpecificOutput).filter(Boolean)
  for (const decision of STRICTNESS) {
    const found = said.find(({ permissionDecision }) => permissionDecision === decision)
    if (found) return found
  }
  return said.find(({ updatedInput }) => updatedInput) ?? {}
}

const hookRefusal = {
  non_execution_kind: 'permission-rule',
  permission_decision: { decision: 'reject', source: 'hook', reason_type: 'hook' },
}

const unanswered = ({ habit }) =>
  habit.newer
    ? failure(
        'PreToolUse hook did not respond before its timeout (host client may be unreachable). The tool call was not ' +
          'executed; other configured hooks may not have completed.',
      )
    : {
        ...failure(
          "The user doesn't want to take this action right now. STOP what you are doing and wait for the user to tell " +
            'you how to proceed.',
        ),
        detail: 'User rejected tool use',
      }

/** @returns {Promise<{ refused?: object, input?: any, allowed?: boolean, mustAsk?: object }>} */
const beforeTool = async (turn, call) => {
  const { session } = turn
  const fields = { tool_name: call.name, tool_input: call.input, tool_use_id: call.toolUseId }
  const outcomes = await session.hooks.call(turn, 'PreToolUse', fields, { tool: call.name, toolUseId: call.toolUseId })
  if (outcomes.some(({ timedOut }) => timedOut)) return { refused: unanswered(session) }
  const stopped = outcomes.find(({ answer }) => answer.continue === false)
  if (stopped) turn.hookStopped = true
  const verdict = strictest(outcomes)
  const failed = outcomes.some(({ blocks }) => blocks)
  if (failed || verdict.permissionDecision === 'deny') {
    const reason = failed ? 'hook callback failed' : (verdict.permissionDecisionReason ?? 'denied by hook')
    const words = session.habit.newer ? `PreToolUse:${call.name} hook error: ${reason}` : reason
    recordDenial(turn, call)
    return { refused: failure(words, hookRefusal) }
  }
  if (verdict.permissionDecision === 'defer') defer(turn, call)
  const input = verdict.updatedInput ?? call.input
  if (verdict.permissionDecision === 'allow') return { input, allowed: true }
  if (verdict.permissionDecision !== 'ask') return { input }
  const reason = verdict.permissionDecisionReason
  return { input, mustAsk: { ...(reason && { decision_reason: reason }), decision_reason_type: 'hook' } }
}

/** The turn ends at once, and the call is left to whoever goes on with the conversation. */
const defer = (turn, { name, toolUseId, input }) =>
  turn.stop({
    text: '',
    stopReason: 'tool_deferred',
    terminalReason: 'tool_deferred',
    deferredToolUse: { id: toolUseId, name, input },
    timed: true,
  })

const afterTool = async (turn, call, result) => {
  const { hooks } = turn.session
  const event = result.isError && hooks.has('PostToolUseFailure') ? 'PostToolUseFailure' : 'PostToolUse'
  if (!hooks.has(event)) return
  const fields = {
    tool_name: call.name,
    tool_input: call.input,
    tool_response: result.detail ?? result.content,
    tool_use_id: call.toolUseId,
  }
  collectContext(turn, await hooks.call(turn, event, fields, { tool: call.name, toolUseId: call.toolUseId }))
}

const afterBatch = async (turn, calls) => {
  const { hooks } = turn.session
  if (!hooks.has('PostToolBatch')) return
  const toolCalls = calls.map(({ name, input, toolUseId }) => ({
    tool_name: name,
    tool_input: input,
    tool_use_id: toolUseId,
  }))
  collectContext(turn, await hooks.call(turn, 'PostToolBatch', { tool_calls: toolCalls }))
}

const beforeText = async (turn, text) => {
  const { hooks } = turn.session
  if (hooks.has('MessageDisplay')) await hooks.call(turn, 'MessageDisplay', { message: text })
}

/** @returns {Promise<string | null>} words of a hook that does not let the turn end */
const beforeStop = async (turn, text, again) => {
  const { hooks } = turn.session
  if (!hooks.has('Stop')) return null
  const fields = { stop_hook_active: again, last_assistant_message: text, background_tasks: [], session_crons: [] }
  const outcomes = await hooks.call(turn, 'Stop', fields)
  const late = outcomes.find(({ timedOut }) => timedOut)
  if (late) hooks.inform(`Stop hook callback timed out after ${late.timeoutMs}ms`)
  const block = outcomes.find(({ answer }) => answer.decision === 'block')
  return block ? `Stop hook feedback:\n${block.answer.reason ?? ''}` : null
}

/** What a hook that does not let the turn end looks like, before the model's next call. */
const writeFeedback = (session, words) => {
  session.write(lines.user(session, [{ type: 'text', text: words }], { isSynthetic: true }))
  session.writeSystem('notification', {
    key: 'stop-hook-error',
    text: 'stop hook problem · ctrl+o to see',
    priority: 'immediate',
  })
}

module.exports = { Hooks, beforePrompt, beforeTool, afterTool, afterBatch, beforeText, beforeStop, writeFeedback }
