'use strict'

/** Directives that take time or use tools. */

const fs = require('fs')
const { modelCall, taskId } = require('./ids.js')
const { takeNumber } = require('./directives.js')
const { refusal } = require('./permissions.js')
const { startBackground } = require('./background.js')
const { complain } = require('./faults.js')
const lines = require('./lines.js')

const CALL_USAGE = { input: 10, output: 5 }
const REJECTED =
  "The user doesn't want to proceed with this tool use. The tool use was rejected. STOP what you are doing."

const stream = async (turn, args) => {
  const [count, words] = takeNumber(args, 3)
  const call = modelCall()
  for (let i = 1; i <= count; i += 1) {
    const text = words ? `${words} ${i}` : `line ${i} of ${count}`
    turn.streamedTexts = [text]
    turn.writeBlock(call, { type: 'text', text })
    if (turn.session.habit.newer) await turn.session.out.room()
    turn.check()
  }
}

const retry = async (turn, args) => {
  const [count, rest] = takeNumber(args, 1)
  const [delay, status] = takeNumber(rest, 0)
  for (let attempt = 1; attempt <= count; attempt += 1) {
    turn.session.write(lines.apiRetry(turn.session, attempt, status === 'none' ? null : Number(status) || 500, delay))
    turn.doing = 'silent'
    if (delay > 0) await turn.wait(delay)
  }
  turn.doing = 'text'
}

const bashDetail = (stdout, extra) => ({
  stdout,
  stderr: '',
  interrupted: false,
  isImage: false,
  noOutputExpected: false,
  ...extra,
})

/** Run one tool and write its result line. */
const runTool = async (turn, name, input) => {
  const { session } = turn
  if (name === 'Bash') {
    const { child, done } = session.children.shell(session, String(input.command ?? ''))
    const { output, code } = await turn.until((resolve) => {
      done.then(resolve)
      return () => session.children.end(child)
    })
    if (code === 0) return { content: output, detail: bashDetail(output) }
    const content = `Exit code ${code}\n${output}`
    return { content, isError: true, detail: `Error: ${content}` }
  }
  try {
    if (name === 'Read') return { content: fs.readFileSync(input.file_path, 'utf8'), detail: { type: 'text' } }
    if (name === 'Write') fs.writeFileSync(input.file_path, String(input.content ?? ''))
    return { content: `${name} done`, detail: { type: name.toLowerCase() } }
  } catch (error) {
    return { content: error.message, isError: true, detail: `Error: ${error.message}` }
  }
}

const refused = (turn, name, toolUseId, input, words) => {
  const { session } = turn
  turn.denials.push({ tool_name: name, tool_use_id: toolUseId, tool_input: input })
  const fields = { tool_name: name, tool_use_id: toolUseId, message: words }
  if (session.habit.newer) session.writeSystem('permission_denied', fields)
  const meta = { non_execution_kind: 'user-rejected', permission_decision: { decision: 'reject', source: 'config' } }
  return { content: words, isError: true, detail: `Error: ${words}`, meta }
}

const ALLOWED_META = { permission_decision: { decision: 'accept', source: 'config', reason_type: 'rule' } }

const writeToolResult = (turn, toolUseId, result) => {
  const { session } = turn
  session.write(lines.toolResult(session, toolUseId, { meta: ALLOWED_META, ...result }))
  turn.toolResults.push(result.content)
  session.conversation.addUser([{ type: 'tool_result', content: String(result.content) }], { hidden: true })
}

/** A tool call from its tool_use block to its result and the tool boundary after it. */
const callTool = async (turn, name, input, perform) => {
  const { session } = turn
  const call = modelCall()
  turn.writeBlock(call, { type: 'tool_use', id: call.toolUseId, name, input })
  session.conversation.addAssistant(`[${name}]`, { stop: 'tool_use' })
  turn.charge(CALL_USAGE)
  turn.doing = 'tool'
  try {
    writeToolResult(turn, call.toolUseId, await perform(call.toolUseId))
  } catch (error) {
    if (turn.abortReason)
      writeToolResult(turn, call.toolUseId, { content: REJECTED, isError: true, detail: 'User rejected tool use' })
    throw error
  }
  turn.doing = 'text'
  turn.check()
  turn.steer(session.scheduler.takeSteering())
}

const tool = async (turn, args) => {
  const [, name, json = ''] = /^(\S+)\s*([\s\S]*)$/.exec(args) || [null, 'Bash']
  const { session } = turn
  let input
  try {
    input = JSON.parse(json || '{}')
  } catch (error) {
    complain(turn, `tool ${name}: ${error.message}`)
    return
  }
  await callTool(turn, name, input, async (toolUseId) => {
    const words = refusal(session, name, input)
    if (words) return refused(turn, name, toolUseId, input, words)
    if (name === 'Bash' && input.run_in_background) {
      const { child, done } = session.children.shell(session, input.command)
      return inBackground(turn, toolUseId, { description: input.description || input.command, child, done })
    }
    return runTool(turn, name, input)
  })
}

const inBackground = (turn, toolUseId, task) => {
  const id = startBackground(turn.session, toolUseId, task)
  const content = `Command running in background with ID: ${id}. You will be notified when it completes.`
  return { content, detail: bashDetail('', { backgroundTaskId: id }) }
}

/** `background MS TEXT`: a background command that needs no process. */
const background = async (turn, args) => {
  const [ms, words] = takeNumber(args, 0)
  const [, ownTurnMs = '0', trap, text] = /^(?:turn\s+(\d+)\s*)?(trap\s*)?([\s\S]*)$/.exec(words)
  const input = { command: `sleep ${ms / 1000}`, description: 'x', run_in_background: true }
  await callTool(turn, 'Bash', input, async (toolUseId) => {
    const task = {
      description: 'x',
      ms,
      text: text || 'background task is done',
      ownTurnMs: Number(ownTurnMs),
      trap: Boolean(trap),
    }
    return inBackground(turn, toolUseId, task)
  })
}

/** A finished tool call with a given output, allowed or not. */
const showTool = (turn, name, input, output) =>
  callTool(turn, name, input, async () => ({ content: output, detail: bashDetail(output) }))

/** A foreground subagent that runs one shell command; its lines name the tool call they belong to. */
const subagent = async (turn, args) => {
  const { session } = turn
  const [ms] = takeNumber(args, 0)
  const input = { description: 'sub job', prompt: 'say from-sub', subagent_type: 'general-purpose' }
  turn.subagents += 1
  await callTool(turn, 'Agent', input, async (parent) => {
    const task = taskId('a')
    const about = { task_id: task, tool_use_id: parent }
    const own = { parent_tool_use_id: parent, subagent_type: 'general-purpose', task_description: 'sub job' }
    const started = {
      ...about,
      description: 'sub job',
      subagent_type: 'general-purpose',
      task_type: 'local_agent',
      prompt: input.prompt,
    }
    session.writeSystem('task_started', started)
    session.write(lines.user(session, [{ type: 'text', text: input.prompt }], own))
    const inner = modelCall()
    const usage = { total_tokens: 11, tool_uses: 1, duration_ms: ms }
    session.writeSystem('task_progress', {
      ...about,
      description: 'Running x',
      subagent_type: 'general-purpose',
      usage,
      last_tool_name: 'Bash',
    })
    const block = {
      type: 'tool_use',
      id: inner.toolUseId,
      name: 'Bash',
      input: { command: 'echo from-sub', description: 'x' },
    }
    session.write(lines.assistant(session, inner, block, { parent, extra: own }))
    if (ms > 0) await turn.wait(ms)
    session.write(lines.toolResult(session, inner.toolUseId, { content: 'from-sub', parent }))
    for (let call = 0; call < 2; call += 1) session.totals.charge(session.model, CALL_USAGE, 20)
    session.writeSystem('task_updated', { task_id: task, patch: { status: 'completed', end_time: Date.now() } })
    session.writeSystem('task_notification', {
      ...about,
      status: 'completed',
      output_file: '',
      summary: 'sub job',
      usage,
    })
    return {
      content: 'from-sub',
      detail: { status: 'completed', prompt: input.prompt, agentId: task, agentType: 'general-purpose' },
    }
  })
}

/** `mode MODE [silent]`: another permission mode, as when the model enters plan mode; a `silent` one is not told. */
const changeMode = ({ session }, args) => {
  const [mode, silent] = args.split(/\s+/)
  session.permissionMode = mode
  if (silent !== 'silent') session.writeSystem('status', lines.modeStatus(session))
}

const directives = {
  slow: {
    run: async (turn, args) => {
      const [ms, words] = takeNumber(args, 0)
      if (words) turn.echoText = words
      turn.doing = 'text'
      await turn.wait(ms)
    },
  },
  stream: { run: stream },
  partial: { run: (turn) => (turn.partial = true) },
  'late-result': { run: (turn, args) => (turn.beforeResult = () => turn.wait(takeNumber(args, 0)[0])) },
  retry: { run: retry },
  mode: { run: changeMode },
  tool: { run: tool },
  background: { run: background },
  subagent: { run: subagent },
}

module.exports = { directives, showTool }
