'use strict'

/** Background tasks: they outlive the turn that started them and cause a turn of the CLI's own when they end. */

const { taskId, hex } = require('./ids.js')

/**
 * @param {object} task description; ms, or child and done (its end); text and ownTurnMs of the own turn; trap
 * @returns {string} id of the task
 */
const startBackground = (session, toolUseId, task) => {
  const { newer } = session.habit
  const id = taskId('b')
  const run = newer ? { run_id: `${hex(9)}-${hex(8)}` } : {}
  const record = { ...task, id, run, toolUseId }
  session.background.set(id, record)
  writeTasks(session)
  session.writeSystem('task_started', {
    task_id: id,
    ...run,
    tool_use_id: toolUseId,
    description: task.description,
    ...(newer && { is_backgrounded: true }),
    task_type: 'local_bash',
  })
  if (task.done) task.done.then(({ code, output }) => endTask(session, record, code, output))
  else record.timer = setTimeout(() => endTask(session, record, 0, ''), task.ms)
  return id
}

const writeTasks = (session) => {
  if (!session.habit.newer) return
  const tasks = [...session.background.values()].map(({ id, run, description }) => ({
    task_id: id,
    ...run,
    task_type: 'local_bash',
    description,
  }))
  session.writeSystem('background_tasks_changed', { tasks })
}

const endTask = (session, record, code, output) => {
  if (!session.background.delete(record.id)) return
  const status = code === 0 ? 'completed' : 'failed'
  session.writeSystem('task_updated', { task_id: record.id, ...record.run, patch: { status, end_time: Date.now() } })
  session.scheduler.addOwnTurn({
    trap: record.trap || process.env.CLEARCTX_STAND_IN_STEER_OWN_TURNS === '1',
    ownTurnMs: record.ownTurnMs || 0,
    text: record.text ?? `background output: ${output}`,
    announce: () => announce(session, record, status, code),
    origin: {
      kind: 'task-notification',
      ...(session.habit.newer && { producer: 'session-task', runId: record.run.run_id }),
    },
  })
}

/** The lines that come just before the init of the own turn. */
const announce = (session, record, status, code) => {
  session.writeSystem('task_notification', {
    task_id: record.id,
    ...record.run,
    tool_use_id: record.toolUseId,
    status,
    output_file: '',
    summary: `Background command "${record.description}" ${status}${code === null ? '' : ` (exit code ${code})`}`,
  })
  writeTasks(session)
}

/** `stop_task`: the task is killed and says so, without a turn of the CLI's own. An unknown one is no error. */
const stopTask = (session, id) => {
  const record = session.background.get(id)
  if (!record) return
  clearTimeout(record.timer)
  if (record.child) session.children.end(record.child)
  session.background.delete(id)
  const patch = { status: 'killed', end_time: Date.now() }
  session.writeSystem('task_updated', { task_id: id, ...record.run, patch })
  announce(session, record, 'stopped', null)
}

/** End all tasks without a word. */
const dropBackground = (session) => {
  for (const record of session.background.values()) {
    clearTimeout(record.timer)
    if (record.child) session.children.end(record.child)
  }
  session.background.clear()
}

module.exports = { startBackground, stopTask, writeTasks, dropBackground }
