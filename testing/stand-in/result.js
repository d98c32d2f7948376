'use strict'

/** The `result` line: which fields each kind of result has, and their order in each habit. */

const { uuid } = require('./ids.js')

const TTFT = ['ttft_ms', 'ttft_stream_ms', 'time_to_request_ms']
const MONEY = [
  'stop_reason',
  'session_id',
  'total_cost_usd',
  'usage',
  'modelUsage',
  'permission_denials',
  'deferred_tool_use',
]
const OLDER_TAIL = ['terminal_reason', 'fast_mode_state', 'origin', 'uuid', 'errors']

const OLDER_ORDER = {
  success: [
    ...['type', 'subtype', 'is_error', 'api_error_status', 'duration_ms', 'duration_api_ms', ...TTFT, 'num_turns'],
    ...['result', ...MONEY, ...OLDER_TAIL],
  ],
  error: [...['type', 'subtype', 'duration_ms', 'duration_api_ms', 'is_error', 'num_turns', ...MONEY, ...OLDER_TAIL]],
}

const NEWER_MIDDLE = [
  'terminal_reason',
  'fast_mode_state',
  'fast_mode_disabled_reason',
  'origin',
  'subagent_stats',
  'safety_stops',
]
const NEWER_TAIL = [
  ...[
    'user_message_uuids',
    'request_sent_wall_ms',
    'first_request_input_tokens',
    'first_request_cache_read_input_tokens',
  ],
  ...['queued_turn_count', 'result_index', 'model_usage_since_last_result'],
]

const NEWER_ORDER = {
  success: [
    ...['duration_api_ms', ...MONEY, ...NEWER_MIDDLE, 'is_error', 'num_turns', 'subtype', 'api_error_status', 'result'],
    ...[
      'ttft_ms',
      'type',
      'duration_ms',
      'uuid',
      'begun_message_ids',
      'ttft_stream_ms',
      'time_to_request_ms',
      'first_content_frame_ms',
    ],
    ...['user_message_uuid', ...NEWER_TAIL],
  ],
  local: [
    ...['is_error', 'duration_api_ms', 'num_turns', ...MONEY, ...NEWER_MIDDLE, 'subtype', 'result', 'local_command'],
    ...['type', 'duration_ms', 'uuid', 'user_message_uuid', ...NEWER_TAIL],
  ],
  error: [
    ...[
      'duration_api_ms',
      ...MONEY,
      ...NEWER_MIDDLE,
      'is_error',
      'num_turns',
      'subtype',
      'errors',
      'user_message_uuid',
    ],
    ...['type', 'duration_ms', 'uuid', ...NEWER_TAIL],
  ],
}

const usageOf = (habit, { input, output }) => ({
  input_tokens: input,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
  output_tokens: output,
  ...(habit.newer && { output_tokens_details: { thinking_tokens: 0 } }),
  server_tool_use: { web_search_requests: 0, web_fetch_requests: 0 },
  service_tier: 'standard',
  cache_creation: { ephemeral_1h_input_tokens: 0, ephemeral_5m_input_tokens: 0 },
  inference_geo: '',
  iterations: [],
  speed: 'standard',
  ...(habit.newer && { fallback_credit: null }),
})

const subagentStats = (spawned) => ({
  spawned,
  requested: { background: 0, foreground: spawned, unset: 0 },
  started_in_background: 0,
  max_depth: spawned > 0 ? 1 : 0,
  spawned_by_subagents: 0,
  completed: spawned,
  failed: 0,
  killed: { parent: 0, user: 0, system: 0 },
  refused: { depth_limit: 0, concurrency_limit: 0, budget: 0 },
  by_type: spawned > 0 ? { 'general-purpose': spawned } : {},
})

const pick = (order, values) =>
  Object.fromEntries(order.filter((key) => values[key] !== undefined).map((key) => [key, values[key]]))

const common = (session, outcome) => ({
  type: 'result',
  subtype: outcome.subtype || 'success',
  is_error: Boolean(outcome.isError),
  api_error_status: outcome.local ? undefined : (outcome.apiErrorStatus ?? null),
  duration_ms: outcome.durationMs ?? 0,
  duration_api_ms: session.totals.apiMs,
  num_turns: outcome.numTurns,
  result: outcome.text,
  errors: outcome.errors,
  stop_reason: outcome.stopReason ?? null,
  session_id: session.conversation.id,
  total_cost_usd: session.totals.costUsd(),
  usage: usageOf(session.habit, outcome.usage || { input: 0, output: 0 }),
  modelUsage: session.totals.modelUsage(),
  permission_denials: outcome.denials || [],
  deferred_tool_use: outcome.deferredToolUse,
  terminal_reason: outcome.terminalReason,
  fast_mode_state: 'off',
  origin: outcome.origin,
  local_command: typeof outcome.local === 'string' ? outcome.local : undefined,
  uuid: uuid(),
})

const timesOf = ({ durationMs = 0, timed }, newer) => {
  if (!timed) return {}
  return {
    ttft_ms: durationMs,
    ttft_stream_ms: durationMs,
    time_to_request_ms: 0,
    ...(newer && { first_content_frame_ms: durationMs }),
  }
}

const newerFields = (session, outcome) => {
  const uuids = outcome.uuids || []
  const named = uuids.length > 0
  return {
    fast_mode_disabled_reason: 'sdk_opt_in_required',
    subagent_stats: subagentStats(outcome.subagents || 0),
    safety_stops: 0,
    user_message_uuid: named ? outcome.mainUuid : undefined,
    user_message_uuids: named ? uuids : undefined,
    begun_message_ids: outcome.begun?.length > 0 ? outcome.begun : undefined,
    request_sent_wall_ms: named && outcome.timed ? Date.now() : undefined,
    first_request_input_tokens: named && outcome.timed ? 10 : undefined,
    first_request_cache_read_input_tokens: named && outcome.timed ? 0 : undefined,
    queued_turn_count: 0,
    result_index: session.resultCount,
    model_usage_since_last_result: session.totals.takeSinceLastResult(),
  }
}

/**
 * @param {object} outcome subtype, isError, text or errors, numTurns, usage, stopReason, terminalReason,
 *   apiErrorStatus, denials, origin, local (no model was asked: the name of a local command, or true), timed (a model answered), uuids, mainUuid,
 *   subagents, durationMs
 */
const buildResult = (session, outcome) => {
  const { newer } = session.habit
  const values = {
    ...common(session, outcome),
    ...timesOf(outcome, newer),
    ...(newer && newerFields(session, outcome)),
  }
  const orders = newer ? NEWER_ORDER : OLDER_ORDER
  const kind = outcome.errors ? 'error' : (outcome.local && newer && 'local') || 'success'
  return pick(orders[kind], values)
}

/** The result of a process that could not start its work: everything zero. */
const zeroedResult = (habit, sessionId, message) => ({
  type: 'result',
  subtype: 'error_during_execution',
  duration_ms: 0,
  duration_api_ms: 0,
  is_error: true,
  num_turns: 0,
  stop_reason: null,
  session_id: sessionId,
  total_cost_usd: 0,
  usage: usageOf(habit, { input: 0, output: 0 }),
  modelUsage: {},
  permission_denials: [],
  uuid: uuid(),
  errors: [message],
})

module.exports = { buildResult, zeroedResult }
