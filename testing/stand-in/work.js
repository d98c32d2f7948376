'use strict'

/** Directives that take time or use tools. */

const fs = require('fs')
const path = require('path')
const { modelCall, taskId } = require('./ids.js')
const { takeNumber } = require('./directives.js')
const { decide, noSuchTool } = require('./consent.js')
const { askHost } = require('./requests.js')
const { isMcpTool } = require('./mcp.js')
const hooks = require('./hooks.js')
const { DIALOGS, planInput, isPlanFile } = require('./dialogs.js')
const { onceExists } = require('./events.js')
const { startBackground } = require('./background.js')
const { complain } = require('./faults.js')
const lines = require('./lines.js')

const CALL_USAGE = { input: 10, output: 5 }
const REJECTED =
  "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the " +
  'new_string was NOT written to the file). STOP what you are doing and wait for the user to tell you how to proceed.'

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

const writeFile = ({ session }, { file_path: file, content = '' }) => {
  const before = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null
  session.checkpoints.beforeWrite(file, before)
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, String(content))
  if (isPlanFile(file)) session.planFile = file
  const created = before === null
  return {
    content: created ? `File created successfully at: ${file}` : `The file ${file} has been updated successfully.`,
    plain: true,
    detail: {
      type: created ? 'create' : 'update',
      filePath: file,
      content,
      structuredPatch: [],
      originalFile: before,
      userModified: false,
    },
  }
}

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
    if (name === 'Write') return writeFile(turn, input)
    return { content: `${name} done`, detail: { type: name.toLowerCase() } }
  } catch (error) {
    return { content: error.message, isError: true, detail: `Error: ${error.message}` }
  }
}

const ALLOWED_META = { permission_decision: { decision: 'accept', source: 'config', reason_type: 'rule' } }

const textOf = (content) => (Array.isArray(content) ? content.map(({ text }) => text).join('\n') : content)

const writeToolResult = (turn, toolUseId, result) => {
  const { session } = turn
  session.write(lines.toolResult(session, toolUseId, { meta: ALLOWED_META, ...result }))
  turn.toolResults.push(textOf(result.content))
  session.conversation.addUser([{ type: 'tool_result', content: String(result.content) }], { hidden: true })
}

/** What a call that was cut says: a message of priority `now` takes the question back, an interrupt rejects the call. */
const cutResult = (turn) => {
  const words = turn.abortReason === 'now' ? 'Tool permission request aborted' : REJECTED
  return {
    content: words,
    isError: true,
    detail: 'User rejected tool use',
    meta: { non_execution_kind: 'user-rejected' },
  }
}

/** One call from its permission to its result line. */
const finishCall = async (turn, { toolUseId, perform }) => {
  try {
    writeToolResult(turn, toolUseId, await perform(toolUseId))
  } catch (error) {
    if (turn.abortReason) writeToolResult(turn, toolUseId, cutResult(turn))
    throw error
  }
}

/** What the line of a call says of a tool of an MCP server, at its end. */
const describeMcpTool = ({ habit }, name, id) => {
  const [, server, tool] = /^mcp__(.+?)__(.+)$/.exec(name) ?? []
  if (!server) return {}
  const shown = tool[0].toUpperCase() + tool.slice(1)
  const own = { id, display_name: shown, server_display_name: server, ...(habit.newer && { tool_name: tool }) }
  return { tool_use_meta: [own] }
}

/**
 * Calls of one model message, from their tool_use blocks to their results and the tool boundary after them.
 * @param {{ name: string, input: any, perform: (toolUseId: string) => Promise<object> }[]} calls run side by side
 */
const callTools = async (turn, calls) => {
  const { session } = turn
  const call = turn.takeCall()
  const named = calls.map((one, i) => ({
    ...one,
    toolUseId: calls.length > 1 ? `${call.toolUseId}_${i}` : call.toolUseId,
  }))
  for (const { name, input, toolUseId } of named) {
    turn.writeBlock(call, { type: 'tool_use', id: toolUseId, name, input }, describeMcpTool(session, name, toolUseId))
    session.conversation.addAssistant(`[${name}]`, { stop: 'tool_use', call: session.callOf(CALL_USAGE) })
  }
  turn.closeMessage()
  turn.charge(CALL_USAGE)
  turn.doing = 'tool'
  const outcomes = await Promise.allSettled(named.map((one) => finishCall(turn, one)))
  const failed = outcomes.find(({ status }) => status === 'rejected')
  if (failed) throw /** @type {PromiseRejectedResult} */ (failed).reason
  await hooks.afterBatch(turn, named)
  turn.doing = 'text'
  turn.check()
  turn.steer(session.scheduler.takeSteering())
}

const callTool = (turn, name, input, perform) => callTools(turn, [{ name, input, perform }])

const execute = (turn, { name, input, toolUseId }) => {
  const { session } = turn
  if (Object.hasOwn(DIALOGS, name)) return DIALOGS[name](session, input)
  if (!isMcpTool(name)) return runTool(turn, name, input)
  const found = session.mcp.find(name)
  return found ? found.server.call(turn, found.tool, input, toolUseId) : noSuchTool(name)
}

/** Ask for what has to be asked for, then run the tool with the input that was allowed. */
const performAllowed = async (turn, name, written, toolUseId) => {
  const { session } = turn
  const verdict = await hooks.beforeTool(turn, { name, input: written, toolUseId })
  if (verdict.refused) return verdict.refused
  const call = { name, input: verdict.input, toolUseId }
  const decision = verdict.allowed ? { ...call, meta: undefined } : await decide(turn, call, verdict)
  if ('refused' in decision) return decision.refused
  const { input, meta } = decision
  if (name === 'Bash' && input.run_in_background) {
    const { child, done } = session.children.shell(session, input.command)
    return inBackground(turn, toolUseId, { description: input.description || input.command, child, done })
  }
  const result = await execute(turn, { name, input, toolUseId })
  await hooks.afterTool(turn, { name, input, toolUseId }, result)
  return { ...(meta && { meta }), ...result }
}

const permitted = (turn, { name, input = {} }) => {
  const written = name === 'ExitPlanMode' ? planInput(turn.session, input) : input
  return { name, input: written, perform: (toolUseId) => performAllowed(turn, name, written, toolUseId) }
}

const readJson = (turn, what, json) => {
  try {
    return JSON.parse(json)
  } catch (error) {
    complain(turn, `${what}: ${error.message}`)
    return null
  }
}

const tool = async (turn, args) => {
  const [, name, json] = /^(\S+)\s*([\s\S]*)$/.exec(args) || [null, 'Bash', '']
  const input = readJson(turn, `tool ${name}`, json || '{}')
  if (input) await callTools(turn, [permitted(turn, { name, input })])
}

/** `tools [{"name": …, "input": …}, …]`: calls of one message, which ask and run at the same time. */
const tools = async (turn, args) => {
  const calls = readJson(turn, 'tools', args)
  if (!calls) return
  if (!Array.isArray(calls) || calls.length === 0) return complain(turn, 'tools: expected an array of calls')
  await callTools(
    turn,
    calls.map((call) => permitted(turn, call)),
  )
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

/** The newer CLI says in which order a form has its fields. */
const orderOf = ({ session }, { requested_schema: schema }) =>
  session.habit.newer && schema?.properties ? { property_order: Object.keys(schema.properties) } : {}

/** `elicit JSON`: a tool of an MCP server that asks the user; its result is the answer. */
const elicit = async (turn, args) => {
  const asked = readJson(turn, 'elicit', args || '{}')
  if (!asked) return
  const { server = 'el', ...fields } = asked
  const request = {
    subtype: 'elicitation',
    mcp_server_name: server,
    message: 'Your name?',
    mode: 'form',
    ...fields,
    ...orderOf(turn, fields),
  }
  // The older CLI does not take the question back when its turn is cut.
  const onCut = turn.session.habit.newer ? undefined : () => {}
  await callTool(turn, `mcp__${server}__ask`, {}, async () => {
    const response = await askHost(turn, request, { onCut })
    const said = response.subtype === 'success' ? response.response : { action: 'cancel' }
    const content = [{ type: 'text', text: `elicited ${JSON.stringify(said)}` }]
    return { content, plain: true, detail: content }
  })
}

/** A finished tool call with a given output, allowed or not. */
const showTool = (turn, name, input, output) =>
  callTool(turn, name, input, async () => ({ content: output, detail: bashDetail(output) }))

/**
 * `subagent MS [spends IN,OUT]`: a foreground subagent that runs one shell command; its lines name the tool call they belong
 * to. It may use so many tokens more, which only the totals have.
 */
const subagent = async (turn, args) => {
  const { session } = turn
  const [ms, more] = takeNumber(args, 0)
  const spends = /^spends (\d+),(\d+)$/.exec(more)
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
    if (spends) session.totals.charge(session.model, { input: Number(spends[1]), output: Number(spends[2]) }, 20)
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

/** `hold FILE [TEXT]`: answers when FILE exists. */
const hold = async (turn, args) => {
  const [, file, words] = /^(\S*)\s*([\s\S]*)$/.exec(args)
  const folder = path.dirname(path.resolve(file))
  if (!file || !fs.existsSync(folder))
    return complain(turn, `hold: expected a file in a folder that exists, got '${file}'`)
  if (words) turn.echoText = words
  turn.doing = 'text'
  turn.beginText()
  await turn.until((resolve) => onceExists(file, resolve))
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
      turn.beginText()
      await turn.wait(ms)
    },
  },
  hold: { run: hold },
  stream: { run: stream },
  partial: { run: (turn) => (turn.partial = true) },
  'late-result': { run: (turn, args) => (turn.beforeResult = () => turn.wait(takeNumber(args, 0)[0])) },
  retry: { run: retry },
  mode: { run: changeMode },
  tool: { run: tool },
  tools: { run: tools },
  background: { run: background },
  subagent: { run: subagent },
  elicit: { run: elicit },
}

module.exports = { directives, showTool }
