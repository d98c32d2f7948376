'use strict'

/** What each control request of the host answers and does. `beside`: fields of the answer next to its payload. */

const { resolveModel, contextWindow } = require('./habits.js')
const { initialize } = require('./initialize.js')
const { rewindFiles } = require('./checkpoints.js')
const { stopTask, writeTasks } = require('./background.js')
const { ControlError } = require('./control-faults.js')
const lines = require('./lines.js')

const MODES = ['acceptEdits', 'auto', 'bypassPermissions', 'default', 'dontAsk', 'plan']

const interrupt = (session, request) => {
  const { scheduler, habit, controlFaults } = session
  const missed = controlFaults.missesTurn(scheduler.turn, request)
  if (!habit.newer) return undefined
  const cancelled = request.cancel_queued ? scheduler.queuedUuids(true) : undefined
  const queued = scheduler.queuedUuids(false)
  return { still_queued: [...missed, ...queued], ...(cancelled && { cancelled }) }
}

const setPermissionMode = (session, { mode }) => {
  if (mode === 'bypassPermissions' && !session.mayBypass) {
    throw new ControlError(
      'Cannot set permission mode to bypassPermissions because the session was not launched with ' +
        '--dangerously-skip-permissions',
      'bypass_not_launched',
    )
  }
  const known = MODES.includes(mode) || mode === 'manual'
  if (session.habit.newer && !known) {
    throw new ControlError(`Cannot set permission mode: must be one of ${MODES.join(', ')}`, 'invalid_mode')
  }
  return { mode: session.habit.newer && mode === 'manual' ? 'default' : mode }
}

const setModel = (session, { model }) => {
  const name = !model || model === 'default' ? session.defaultModel : resolveModel(session.habit, model)
  const { newer } = session.habit
  const said = newer ? `\`${model ?? 'default'} (${name})\`` : `${model} (${name})`
  session.write(lines.replay(session, `<local-command-stdout>Set model to ${said}</local-command-stdout>`))
  session.setModel(name)
  return newer ? { model: name } : undefined
}

const applyFlagSettings = (session, { settings }) => {
  const merged = { ...session.flagSettings, ...settings }
  session.flagSettings = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== null))
  const { permissions } = session.flagSettings
  session.flagRules = permissions?.allow ?? []
  if (settings?.model) session.setModel(resolveModel(session.habit, settings.model))
}

const getSettings = (session) => ({
  effective: session.flagSettings,
  sources: [{ source: 'flagSettings', settings: session.flagSettings }],
  applied: { model: session.model, effort: session.flagSettings.effortLevel ?? 'medium' },
})

const category = (id, name, tokens, kind) => ({ id, name, tokens, color: 'inactive', kind })

/** As many tokens as a fourth of the characters: nothing here counts them. */
const contextUsage = (session) => {
  const texts = session.conversation.entries.map(({ message }) => JSON.stringify(message.content))
  const messages = Math.ceil(texts.join('').length / 4)
  const system = Math.ceil(session.systemPrompt.length / 4)
  const maxTokens = contextWindow(session.habit, session.model)
  const totalTokens = system + messages
  return {
    categories: [
      category('system_prompt', 'System prompt', system, 'used'),
      category('messages', 'Messages', messages, 'used'),
      category('free_space', 'Free space', maxTokens - totalTokens, 'free'),
    ],
    totalTokens,
    maxTokens,
    rawMaxTokens: maxTokens,
    autocompactSource: 'model-default',
    percentage: Math.round((100 * totalTokens) / maxTokens),
    gridRows: [],
    model: session.model,
  }
}

const sideQuestion = (session, { question }) => {
  if (typeof question !== 'string') throw new ControlError('side_question: question must be a string')
  session.totals.charge(session.model, { input: 10, output: 5 }, 20)
  return { response: `side: ${question}`, synthetic: false }
}

const HANDLERS = {
  initialize,
  interrupt,
  set_permission_mode: setPermissionMode,
  set_model: setModel,
  set_max_thinking_tokens: (session, { max_thinking_tokens: limit }) => void (session.maxThinkingTokens = limit),
  apply_flag_settings: applyFlagSettings,
  get_settings: getSettings,
  get_context_usage: contextUsage,
  mcp_status: (session) => ({ mcpServers: session.mcp.status() }),
  mcp_set_servers: (session, { servers }) => session.mcp.setServers(servers),
  mcp_message: () => undefined,
  get_session_cost: (session) => ({ text: `Total cost:            $${session.totals.costUsd().toFixed(4)}` }),
  get_binary_version: (session) => ({ version: session.habit.version, buildTime: '2026-01-01T00:00:00Z' }),
  cancel_async_message: (session, request) => ({ cancelled: session.scheduler.cancel(request.message_uuid) }),
  rename_session: () => undefined,
  rewind_files: rewindFiles,
  side_question: sideQuestion,
  stop_task: (session, { task_id: id }) => stopTask(session, id),
  end_session: () => undefined,
}

/** What goes out before the answer. */
const BEFORE = {
  interrupt: (session, request) => {
    const { turn } = session.scheduler
    if (turn && !session.controlFaults.willMiss(turn, request)) session.requests.cancelOf(turn)
  },
  side_question: (session) => {
    if (session.habit.newer) session.writeSystem('control_request_progress', { status: 'started' })
  },
}

/** What happens after the answer was written. */
const AFTER = {
  initialize: (session) => {
    if (!session.isFirstLine) writeTasks(session)
  },
  interrupt: (session, request) => {
    const { turn } = session.scheduler
    if (turn && !session.controlFaults.takeMiss(turn, request)) turn.abort('interrupt')
  },
  set_permission_mode: (session, { mode }) => {
    session.changeMode(session.habit.newer && mode === 'manual' ? 'default' : mode)
  },
  rename_session: (session, { title }) => {
    if (session.habit.newer) session.writeSystem('session_title_changed', { title })
  },
  mcp_message: (session, request) => session.mcp.hear(request),
  end_session: (session) => session.lifetime.endSession(),
}

module.exports = { HANDLERS, BEFORE, AFTER, ControlError }
