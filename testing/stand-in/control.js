'use strict'

/** Answers to control requests; they come at any time, also in mid-turn. */

const { resolveModel } = require('./habits.js')
const lines = require('./lines.js')

const MODES = ['acceptEdits', 'auto', 'bypassPermissions', 'default', 'dontAsk', 'plan']

/** Thrown by a handler to answer with an error. */
class ControlError extends Error {}

const named = (names) => names.map((name) => ({ name, description: '', argumentHint: '' }))

const HANDLERS = {
  initialize: (session, request) => {
    session.systemPrompt = request.appendSystemPrompt ?? request.systemPrompt ?? session.systemPrompt
    return {
      commands: named(lines.SHORT_LISTS.slashCommands),
      agents: named(lines.SHORT_LISTS.agents),
      output_style: 'default',
      available_output_styles: ['default'],
      models: [{ value: 'default', displayName: session.defaultModel, description: '' }],
      account: {},
      pid: process.pid,
    }
  },
  interrupt: (session, request) => {
    const { scheduler, habit } = session
    if (!habit.newer) return undefined
    const cancelled = request.cancel_queued ? scheduler.queuedUuids(true) : undefined
    return { still_queued: scheduler.queuedUuids(false), ...(cancelled && { cancelled }) }
  },
  set_permission_mode: (session, { mode }) => {
    if (mode === 'bypassPermissions' && !session.mayBypass) {
      throw new ControlError(
        'Cannot set permission mode to bypassPermissions because the session was not launched with ' +
          '--dangerously-skip-permissions',
      )
    }
    if (session.habit.newer && !MODES.includes(mode)) throw new ControlError('invalid_mode')
    session.permissionMode = mode
    return { mode }
  },
  set_model: (session, { model }) => {
    const name = !model || model === 'default' ? session.defaultModel : resolveModel(session.habit, model)
    if (!session.habit.newer) {
      session.write(
        lines.replay(session, `<local-command-stdout>Set model to ${model} (${name})</local-command-stdout>`),
      )
    }
    session.model = name
  },
  mcp_status: () => ({ mcpServers: [] }),
  get_session_cost: (session) => ({ text: `Total cost:            $${session.totals.costUsd().toFixed(4)}` }),
  get_binary_version: (session) => ({ version: session.habit.version, buildTime: '2026-01-01T00:00:00Z' }),
  cancel_async_message: (session, request) => ({ cancelled: session.scheduler.cancel(request.message_uuid) }),
  set_max_thinking_tokens: () => undefined,
  apply_flag_settings: () => undefined,
  rename_session: () => undefined,
  stop_task: () => undefined,
  end_session: () => undefined,
}

/** What happens after the answer was written. */
const AFTER = {
  interrupt: (session) => session.scheduler.turn?.abort('interrupt'),
  set_permission_mode: (session) => session.writeSystem('status', lines.modeStatus(session)),
  end_session: (session) => session.lifetime.endSession(),
}

const handleControl = (session, { request_id: requestId, request }) => {
  const subtype = String(request.subtype)
  const handler = Object.hasOwn(HANDLERS, subtype) ? HANDLERS[subtype] : null
  const answer = (response) => session.write({ type: 'control_response', response })
  try {
    if (!handler) throw new ControlError(`Unsupported control request subtype: ${subtype}`)
    const payload = handler(session, request)
    answer({ subtype: 'success', request_id: requestId, ...(payload && { response: payload }) })
  } catch (error) {
    if (!(error instanceof ControlError)) throw error
    answer({ subtype: 'error', request_id: requestId, error: error.message })
    return
  }
  AFTER[subtype]?.(session)
}

module.exports = { handleControl }
