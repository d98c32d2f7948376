'use strict'

/** The request `initialize`: what a host registers, and what the CLI says of itself. */

const lines = require('./lines.js')

const EFFORTS = ['low', 'medium', 'high', 'xhigh', 'max']

const commandsOf = () => lines.SHORT_LISTS.slashCommands.map((name) => ({ name, description: '', argumentHint: '' }))

const modelsOf = ({ habit }) =>
  Object.entries(habit.models).map(([value, resolvedModel]) => ({
    value,
    resolvedModel,
    displayName: value,
    description: '',
    supportsEffort: true,
    supportedEffortLevels: EFFORTS,
    supportsAdaptiveThinking: true,
    ...(habit.newer && { supportsThinkingOff: false }),
  }))

/** Without a login or a key the account says so before the first message. */
const accountOf = () => ({
  tokenSource: process.env.CLAUDE_CODE_OAUTH_TOKEN ? 'CLAUDE_CODE_OAUTH_TOKEN' : 'none',
  ...(process.env.ANTHROPIC_API_KEY && { apiKeySource: 'ANTHROPIC_API_KEY' }),
  apiProvider: 'firstParty',
})

/** These count only in the first line of the input; later they are ignored without a word. */
const takeFirstLine = (session, request) => {
  const [first] = [request.systemPrompt].flat()
  session.systemPrompt = request.appendSystemPrompt ?? first ?? session.systemPrompt
  session.agents = { ...session.agents, ...request.agents }
  session.mcp.name(request.sdkMcpServers ?? [], request.sdkMcpServerConfigs ?? {})
  if (request.title !== undefined && session.habit.newer) {
    session.writeSystem('session_title_changed', { title: request.title })
  }
}

const newerFields = (session) => ({
  claude_code_version: session.habit.version,
  current_permission_mode: session.permissionMode,
  hooks_applied: true,
  hook_on_failure_supported: true,
  fast_mode_state: 'off',
  session_state: session.scheduler.busy ? 'running' : 'idle',
  capabilities: lines.CAPABILITIES,
})

const besideOf = (session) => {
  const pending = session.requests.pendingPermissions()
  if (session.habit.newer) return { pending_permission_requests: pending, pending_user_dialog_requests: [] }
  return pending.length > 0 ? { pending_permission_requests: pending } : {}
}

const initialize = (session, request) => {
  if (session.isFirstLine) takeFirstLine(session, request)
  session.hooks.register(request.hooks)
  const own = Object.entries(session.agents).map(([name, { description }]) => ({ name, description }))
  return {
    commands: commandsOf(),
    agents: [...lines.SHORT_LISTS.agents.map((name) => ({ name, description: '' })), ...own],
    output_style: 'default',
    available_output_styles: ['default'],
    models: modelsOf(session),
    account: accountOf(),
    pid: process.pid,
    ...(session.habit.newer && newerFields(session)),
    beside: besideOf(session),
  }
}

module.exports = { initialize }
