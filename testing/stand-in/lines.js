'use strict'

/** The messages that the CLI writes, except `result`. Pure: values in, objects with the CLI's key order out. */

const { uuid } = require('./ids.js')

const SHORT_LISTS = {
  tools: ['Task', 'Bash', 'Read', 'Write', 'Edit'],
  slashCommands: ['clear', 'compact', 'context', 'cost'],
  agents: ['claude', 'Explore', 'general-purpose'],
}

const CAPABILITIES = ['interrupt_receipt_v1', 'interrupt_cancel_queued_v1', 'msg_lifecycle_v1']

const now = () => new Date().toISOString()

const system = (subtype, sessionId, fields) => ({
  type: 'system',
  subtype,
  ...fields,
  uuid: uuid(),
  session_id: sessionId,
})

/** What a `status` line says of a change of the permission mode. */
const modeStatus = (session) => ({ status: null, permissionMode: session.permissionMode })

/** Questions and plans need a host that can be asked. */
const toolsOf = ({ options, mcp }) => [
  ...SHORT_LISTS.tools,
  ...(options['permission-prompt-tool'] === 'stdio' ? ['AskUserQuestion', 'EnterPlanMode', 'ExitPlanMode'] : []),
  ...mcp.toolNames(),
]

const init = (session, uuids) => {
  const { habit, conversation } = session
  const cwd = process.cwd()
  return {
    type: 'system',
    subtype: 'init',
    cwd,
    session_id: conversation.id,
    tools: toolsOf(session),
    mcp_servers: session.mcp.names(),
    model: session.model,
    ...(session.permissionMode !== 'none' && { permissionMode: session.permissionMode }),
    slash_commands: SHORT_LISTS.slashCommands,
    ...(habit.newer && { terminal_slash_commands: ['doctor', 'color', 'focus'] }),
    apiKeySource: 'none',
    claude_code_version: habit.version,
    output_style: 'default',
    agents: SHORT_LISTS.agents,
    skills: ['verify'],
    plugins: [],
    ...(habit.newer && { capabilities: CAPABILITIES }),
    analytics_disabled: true,
    product_feedback_disabled: true,
    ...(habit.newer && { served_by_anthropic: false }),
    uuid: uuid(),
    memory_paths: { auto: require('path').dirname(conversation.file) + '/memory/' },
    ...(habit.newer && { original_cwd: cwd, additional_directories: [], messaging_socket_path: '/dev/null' }),
    fast_mode_state: 'off',
    ...(habit.newer && newerInitTail(uuids)),
  }
}

const newerInitTail = (uuids) => ({
  fast_mode_disabled_reason: 'sdk_opt_in_required',
  per_turn_effort_active: true,
  ultrathink_available: false,
  ultrathink_typed_raises: false,
  view_mode: 'default',
  ...(uuids.length > 0 && { user_message_uuids: uuids }),
})

/** One content block of a model answer. `call` comes from ids.modelCall(); `extra` are fields at the end. */
const assistant = (session, call, block, { inputTokens = 10, parent = null, extra = {} } = {}) => ({
  type: 'assistant',
  message: {
    id: call.messageId,
    type: 'message',
    role: 'assistant',
    model: session.model.replace('[1m]', ''),
    content: [block],
    stop_reason: null,
    stop_sequence: null,
    usage: { input_tokens: inputTokens, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
    context_management: null,
  },
  parent_tool_use_id: parent,
  session_id: session.conversation.id,
  uuid: uuid(),
  ...(session.habit.newer && { timestamp: now() }),
  request_id: call.requestId,
  ...extra,
})

/** Text that no model wrote: API errors and answers of local commands. */
const syntheticAssistant = (session, text, { stopReason = 'stop_sequence', extra = {} } = {}) => ({
  type: 'assistant',
  message: {
    id: uuid(),
    container: null,
    model: '<synthetic>',
    role: 'assistant',
    stop_details: null,
    stop_reason: stopReason,
    stop_sequence: '',
    type: 'message',
    usage: {
      input_tokens: 0,
      output_tokens: 0,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
      service_tier: null,
      cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
      inference_geo: null,
      iterations: null,
      speed: null,
    },
    content: [{ type: 'text', text }],
    context_management: null,
  },
  parent_tool_use_id: null,
  session_id: session.conversation.id,
  uuid: uuid(),
  ...extra,
})

const user = (session, content, extra = {}) => ({
  type: 'user',
  message: { role: 'user', content },
  parent_tool_use_id: null,
  session_id: session.conversation.id,
  uuid: uuid(),
  timestamp: now(),
  ...extra,
})

/** A user message given back, under the id that the client gave it. */
const replay = (session, text, messageUuid) => ({
  type: 'user',
  message: { role: 'user', content: text },
  session_id: session.conversation.id,
  parent_tool_use_id: null,
  uuid: messageUuid || uuid(),
  timestamp: now(),
  isReplay: true,
})

/**
 * Result of a tool; the CLI's key order of the block differs between success and failure.
 * @param {{ content: any, isError?: boolean, plain?: boolean, detail?: any, meta?: object, parent?: string }} result
 *   `plain`: a success whose block does not speak of errors
 */
const toolResult = (session, toolUseId, result) => {
  const { content, isError, plain, detail, meta, parent } = result
  const success = { tool_use_id: toolUseId, type: 'tool_result', content, ...(!plain && { is_error: false }) }
  const block = isError ? { type: 'tool_result', content, is_error: true, tool_use_id: toolUseId } : success
  return user(session, [block], {
    ...(parent && { parent_tool_use_id: parent, subagent_type: 'general-purpose', task_description: 'sub job' }),
    tool_use_result: detail,
    ...(session.habit.newer && meta && { tool_result_meta: [{ id: toolUseId, ...meta }] }),
  })
}

const lifecycle = (session, messageUuid, state) => ({
  type: 'command_lifecycle',
  command_uuid: messageUuid,
  state,
  uuid: uuid(),
  session_id: session.conversation.id,
})

const streamEvent = (session, event, extra = {}) => ({
  type: 'stream_event',
  event,
  session_id: session.conversation.id,
  parent_tool_use_id: null,
  uuid: uuid(),
  ...extra,
})

/** The CLI's word for an error of the API, by its status. */
const ERROR_WORDS = { 401: 'authentication_failed', 403: 'authentication_failed', 429: 'rate_limit', 529: 'overloaded' }

const apiRetry = (session, attempt, status, delayMs) =>
  system('api_retry', session.conversation.id, {
    attempt,
    max_retries: 10,
    retry_delay_ms: delayMs,
    error_status: status,
    error: status === null ? 'unknown' : (ERROR_WORDS[status] ?? 'server_error'),
  })

/** `rate_limit_event` of a subscription whose limit is used up; `resetsAt` in seconds since 1970. */
const limitReached = (session, resetsAt) => ({
  type: 'rate_limit_event',
  rate_limit_info: { status: 'rejected', resetsAt, rateLimitType: 'five_hour', isUsingOverage: false },
  uuid: uuid(),
  session_id: session.conversation.id,
})

module.exports = {
  SHORT_LISTS,
  CAPABILITIES,
  system,
  init,
  modeStatus,
  assistant,
  syntheticAssistant,
  user,
  replay,
  toolResult,
  lifecycle,
  streamEvent,
  apiRetry,
  limitReached,
}
