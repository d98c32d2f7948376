'use strict'

/** Whether a call of a tool may run: the rules, and the host's answer to `can_use_tool`. */

const path = require('path')
const { refusal } = require('./permissions.js')
const { askFirst } = require('./requests.js')

/** Tools that exist only with a host that can be asked, and always ask it. */
const INTERACTIVE = new Set(['AskUserQuestion', 'ExitPlanMode'])
const NEEDS_PROMPT_TOOL = new Set([...INTERACTIVE, 'EnterPlanMode'])

const mayAsk = (session) => session.options['permission-prompt-tool'] === 'stdio'

const failure = (words, meta) => ({ content: words, isError: true, detail: `Error: ${words}`, meta })

const noSuchTool = (name) => failure(`<tool_use_error>Error: No such tool available: ${name}</tool_use_error>`)

const deniedByUser = {
  non_execution_kind: 'permission-rule',
  permission_decision: { decision: 'reject', source: 'user_reject' },
}
const acceptedByUser = { permission_decision: { decision: 'accept', source: 'user_temporary' } }

const recordDenial = (turn, { name, toolUseId, input }) =>
  turn.denials.push({ tool_name: name, tool_use_id: toolUseId, tool_input: input })

/** Nobody can be asked: the refusal of the settings. */
const refuse = (turn, call, words) => {
  recordDenial(turn, call)
  const fields = { tool_name: call.name, tool_use_id: call.toolUseId, message: words }
  if (turn.session.habit.newer) turn.session.writeSystem('permission_denied', fields)
  const decision = { permission_decision: { decision: 'reject', source: 'config' } }
  return { refused: failure(words, { non_execution_kind: 'user-rejected', ...decision }) }
}

const suggestionsFor = ({ name, input }) => {
  const setMode = { type: 'setMode', mode: 'acceptEdits', destination: 'session' }
  if (name === 'Write' || name === 'Edit') return [setMode]
  const command = String(input.command ?? '')
  const rule = { toolName: name, ...(name === 'Bash' && { ruleContent: `${command} *` }) }
  const addRules = { type: 'addRules', rules: [rule], behavior: 'allow', destination: 'localSettings' }
  if (name !== 'Bash') return [addRules]
  return [addRules, { type: 'addDirectories', directories: [process.cwd()], destination: 'session' }, setMode]
}

/** The path that a call would change, where it can be told. */
const blockedPath = ({ name, input }) => {
  if (name === 'Bash') {
    const file = /^(?:touch|rm|mkdir)\s+(\S+)$/.exec(String(input.command ?? ''))?.[1]
    return file && path.resolve(file)
  }
  return name === 'Write' || name === 'Edit' ? input.file_path : undefined
}

const question = (session, call, reason) => {
  const { name, input, toolUseId } = call
  const interactive = INTERACTIVE.has(name)
  const blocked = blockedPath(call)
  const server = /^mcp__(.+?)__/.exec(name)?.[1]
  return {
    subtype: 'can_use_tool',
    tool_name: name,
    display_name: name,
    input,
    ...(input.description !== undefined && { description: input.description }),
    ...(!interactive && { permission_suggestions: suggestionsFor(call) }),
    ...(blocked && { blocked_path: blocked }),
    ...reason,
    tool_use_id: toolUseId,
    ...(session.habit.newer && server && { mcp_server: { name: server, source: 'sdk' } }),
    ...(session.habit.newer && interactive && { requires_user_interaction: true }),
  }
}

/** What is wrong with an answer, or null. The older CLI wants the input back. */
const findFlaw = (habit, answer) => {
  const at = (field, expected) =>
    `ZodError: [{"code":"invalid_type","path":["${field}"],"message":"Invalid input: expected ${expected}"}]`
  const isRecord = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
  if (answer?.behavior === 'allow') {
    const missing = answer.updatedInput === undefined && habit.newer
    return missing || isRecord(answer.updatedInput) ? null : at('updatedInput', 'record')
  }
  if (answer?.behavior !== 'deny') return at('behavior', '\\"allow\\" or \\"deny\\"')
  return typeof answer.message === 'string' ? null : at('message', 'string')
}

const applyUpdates = (session, updates) => {
  for (const update of Array.isArray(updates) ? updates : []) {
    if (update.type === 'setMode') session.changeMode(update.mode)
    if (update.type === 'addRules' && update.behavior === 'allow') session.addRules(update.rules)
  }
}

/** What a hook decides, as an answer to the question; null if it has no opinion. */
const decisionOf = (said, { input }) => {
  const decision = said.response?.hookSpecificOutput?.decision
  return decision ? { subtype: 'success', response: { updatedInput: input, ...decision } } : null
}

/** @returns {Promise<{ input: object, meta?: object } | { refused: object }>} */
const ask = async (turn, call, reason) => {
  const { session } = turn
  session.writeState('requires_action')
  const hooks = session.hooks.permissionRequests(turn, call)
  const response = await askFirst(turn, [
    { request: question(session, call, reason), read: (said) => said },
    ...hooks.map((request) => ({ request, read: (said) => decisionOf(said, call) })),
  ])
  session.writeState('running')
  if (response.subtype === 'error') {
    return { refused: failure(`Tool permission request failed: Error: ${response.error}`) }
  }
  const answer = response.response
  const flaw = findFlaw(session.habit, answer)
  if (flaw) return { refused: failure(`Tool permission request failed: ${flaw}`) }
  if (answer.behavior === 'deny') {
    recordDenial(turn, call)
    if (answer.interrupt) turn.abort('interrupt')
    turn.check()
    return { refused: failure(answer.message, deniedByUser) }
  }
  if (call.name === 'ExitPlanMode') session.modeAfterPlan(answer.updatedPermissions)
  applyUpdates(session, answer.updatedPermissions)
  return { input: answer.updatedInput ?? call.input, meta: acceptedByUser }
}

/**
 * @param {{ name: string, input: any, toolUseId: string }} call
 * @param {{ mustAsk?: object }} [verdict] `mustAsk`: a hook wants the host to be asked, with these fields
 * @returns {Promise<{ input: any, meta?: object, refused?: undefined } | { refused: object }>}
 */
const decide = async (turn, call, verdict = {}) => {
  const { session } = turn
  const { mustAsk } = verdict
  if (NEEDS_PROMPT_TOOL.has(call.name) && !mayAsk(session)) return { refused: noSuchTool(call.name) }
  const words = INTERACTIVE.has(call.name) ? 'asks by nature' : refusal(session, call.name, call.input)
  if (!words && !mustAsk) return { input: call.input }
  if (mayAsk(session) && session.permissionMode !== 'dontAsk') return ask(turn, call, mustAsk)
  return refuse(
    turn,
    call,
    words || `Claude requested permissions to use ${call.name}, but you haven't granted it yet.`,
  )
}

module.exports = { decide, mayAsk, failure, recordDenial, noSuchTool }
