/** The stand-in CLI and a host that controls it: settings, hooks, MCP servers of the host, dialogs, stream events. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, describe, test } from 'node:test'

import { makeHome, takeLeftovers } from '../support/stand-in-client.mjs'
import { ASKING, answer, answerError, asked, kinds, startCli, toolResults } from '../support/stand-in-host.mjs'
import { OLDER, oneShot } from '../support/stand-ins.mjs'

const CONCURRENT = { concurrency: 3 }
const UUIDS = ['0000a1', '0000b2', '0000c3'].map((end) => `11111111-1111-4111-8111-111111${end}`)
const BASH = ['--allowedTools', 'Bash']
const touch = (name) => `stand-in: tool Bash {"command":"touch ${name}"}`
const exists = (cli, name) => existsSync(path.join(cli.home.cwd, name))
const never = (cli) => path.join(cli.home.cwd, 'never')
const success = async (cli, request, id) => {
  const { response } = await cli.control(request, id ?? `c-${Math.random()}`)
  assert.equal(response.subtype, 'success', response.error)
  return response.response
}

after(() => assert.deepEqual(takeLeftovers(), [], 'every process has ended'))

describe('initialize', CONCURRENT, () => {
  test('counts as the first line only', async (t) => {
    const request = { subtype: 'initialize', appendSystemPrompt: 'Be brief.', agents: { helper: { description: 'h' } } }
    const first = startCli(t)
    const { agents, models, account, pid, claude_code_version: version } = await success(first, request)
    assert.ok(agents.some(({ name }) => name === 'helper'))
    assert.ok(models.length > 0 && account.tokenSource)
    assert.deepEqual([pid, version], [first.child.pid, '2.1.330'])
    assert.equal((await first.ask('stand-in: system-prompt')).result, '9 Be brief.')
    await first.end()
    const late = startCli(t)
    await late.ask('hello')
    const answered = await success(late, request)
    assert.equal(
      answered.agents.some(({ name }) => name === 'helper'),
      false,
    )
    assert.equal((await late.ask('stand-in: system-prompt')).result, '0 ')
    await late.end()
  })

  test('repeated: the newer CLI takes the new hooks, the older one keeps its own', async (t) => {
    for (const [env, expected] of [
      [{}, 'second'],
      [OLDER, 'first'],
    ]) {
      const cli = startCli(t, { env })
      for (const id of ['first', 'second']) {
        await success(cli, { subtype: 'initialize', hooks: { Stop: [{ hookCallbackIds: [id] }] } })
      }
      cli.send('hello')
      const call = await asked(cli, 'hook_callback')
      assert.equal(call.request.callback_id, expected)
      answer(cli, call, {})
      await cli.result()
      await cli.end()
    }
  })

  test('gives back the open questions', async (t) => {
    const cli = startCli(t, { args: ASKING })
    cli.send(touch('a'))
    const question = await asked(cli, 'can_use_tool')
    const { response } = await cli.control({ subtype: 'initialize' }, 'again')
    assert.deepEqual(response.pending_permission_requests, [question])
    answer(cli, question, { behavior: 'allow', updatedInput: question.request.input })
    await cli.result()
    await cli.end()
  })
})

describe('settings and the queue', CONCURRENT, () => {
  test('a model holds from the next call, in the older CLI from the next turn', async (t) => {
    for (const [env, now] of [
      [{}, /haiku/],
      [OLDER, /opus/],
    ]) {
      const cli = startCli(t, { env })
      const go = path.join(cli.home.cwd, 'go')
      cli.send(`stand-in: hold ${go}; model`)
      await cli.init()
      await success(cli, { subtype: 'set_model', model: 'haiku' })
      writeFileSync(go, '')
      assert.match((await cli.result()).result, now)
      assert.match((await cli.ask('stand-in: model')).result, /haiku/)
      await cli.end()
    }
  })

  test('modes: told with a status line; refused with a code', async (t) => {
    const cli = startCli(t)
    assert.deepEqual(await success(cli, { subtype: 'set_permission_mode', mode: 'acceptEdits' }), {
      mode: 'acceptEdits',
    })
    await cli.line(({ subtype, permissionMode }) => subtype === 'status' && permissionMode === 'acceptEdits')
    for (const [mode, code] of [
      ['bogus', 'invalid_mode'],
      ['bypassPermissions', 'bypass_not_launched'],
    ]) {
      const { response } = await cli.control({ subtype: 'set_permission_mode', mode }, mode)
      assert.deepEqual([response.subtype, response.error_code], ['error', code])
    }
    await cli.end()
    const older = startCli(t, { env: OLDER })
    const { response } = await older.control({ subtype: 'nonsense' })
    assert.deepEqual([response.subtype, 'error_code' in response], ['error', false])
    await older.end()
  })

  test('flag settings allow a tool, and null clears them', async (t) => {
    const cli = startCli(t)
    await success(cli, { subtype: 'apply_flag_settings', settings: { permissions: { allow: ['Bash(touch *)'] } } })
    await cli.ask(touch('a'))
    await success(cli, { subtype: 'apply_flag_settings', settings: { permissions: null } })
    await cli.ask(touch('b'))
    await cli.end()
    assert.deepEqual([exists(cli, 'a'), exists(cli, 'b')], [true, false])
  })

  test('cancel_async_message: true while the message waits', async (t) => {
    const cli = startCli(t)
    cli.send(`stand-in: hold ${never(cli)}`, { uuid: UUIDS[0] })
    await cli.init()
    cli.send('queued', { uuid: UUIDS[1] })
    const cancel = (uuid) => success(cli, { subtype: 'cancel_async_message', message_uuid: uuid })
    assert.deepEqual(await cancel(UUIDS[1]), { cancelled: true })
    assert.deepEqual([await cancel(UUIDS[0]), await cancel(UUIDS[2])], [{ cancelled: false }, { cancelled: false }])
    await cli.control({ subtype: 'interrupt' })
    await cli.result()
    await cli.end()
    assert.equal(cli.lines.filter(({ type }) => type === 'result').length, 1)
  })

  test('stop_task kills the task, without a turn of its own', async (t) => {
    const cli = startCli(t)
    await cli.ask('stand-in: background 100000')
    const { task_id: id } = await cli.line(({ subtype }) => subtype === 'task_started')
    await success(cli, { subtype: 'stop_task', task_id: id })
    const told = cli.lines.find(({ subtype }) => subtype === 'task_notification')
    assert.equal(told.status, 'stopped')
    await success(cli, { subtype: 'stop_task', task_id: 'unknown' })
    await cli.end()
    assert.equal(cli.lines.filter(({ type }) => type === 'result').length, 1)
  })

  test('rewind_files restores what was before the turn of a message', async (t) => {
    const env = { CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING: 'true' }
    const cli = startCli(t, { env, args: ['--permission-mode', 'acceptEdits'] })
    const file = path.join(cli.home.cwd, 'f.txt')
    const write = (content, uuid) =>
      cli.ask(`stand-in: tool Write ${JSON.stringify({ file_path: file, content })}`, { uuid })
    await write('one\n', UUIDS[0])
    await write('two\n', UUIDS[1])
    const rewind = (uuid, dry) => success(cli, { subtype: 'rewind_files', user_message_id: uuid, dry_run: dry })
    const dry = await rewind(UUIDS[1], true)
    assert.deepEqual(dry, { canRewind: true, filesChanged: [file], insertions: 1, deletions: 1 })
    assert.equal(readFileSync(file, 'utf8'), 'two\n')
    await rewind(UUIDS[1], false)
    assert.equal(readFileSync(file, 'utf8'), 'one\n')
    await rewind(UUIDS[0], false)
    assert.equal(existsSync(file), false)
    await cli.end()
  })

  test('side_question: beside the conversation, and taken back while it is open', async (t) => {
    const cli = startCli(t)
    assert.deepEqual(await success(cli, { subtype: 'side_question', question: 'why?' }), {
      response: 'side: why?',
      synthetic: false,
    })
    await cli.ask(`stand-in: control late side_question ${never(cli)}; text ok`)
    const open = cli.control({ subtype: 'side_question', question: 'and?' }, 'q')
    cli.write({ type: 'control_cancel_request', request_id: 'q' })
    assert.equal((await open).response.error, 'Side question cancelled')
    assert.equal((await cli.ask('recall')).result, 'stand-in: control late side_question ' + never(cli) + '; text ok')
    await cli.end()
  })
})

describe('hooks', CONCURRENT, () => {
  const withHooks = async (t, hooks, { env = {}, args = BASH } = {}) => {
    const cli = startCli(t, { args, env })
    await success(cli, { subtype: 'initialize', hooks })
    return cli
  }
  const callback = (event, extra) => ({ [event]: [{ hookCallbackIds: [event], ...extra }] })
  const decision = (permissionDecision, extra) => ({
    hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision, ...extra },
  })

  const preToolUse = async (t, respond, options = {}) => {
    const cli = await withHooks(t, callback('PreToolUse', options.hook), options)
    cli.send(touch('made'))
    respond(cli, await asked(cli, 'hook_callback'))
    return cli
  }

  test('the order of events in a turn', async (t) => {
    const events = ['UserPromptSubmit', 'PreToolUse', 'PostToolUse', 'PostToolBatch', 'MessageDisplay', 'Stop']
    const cli = await withHooks(t, Object.assign({}, ...events.map((event) => callback(event))))
    cli.send(touch('a'))
    for (const [i, event] of events.entries()) {
      const call = await asked(cli, 'hook_callback', i + 1)
      assert.equal(call.request.input.hook_event_name, event)
      answer(cli, call, {})
    }
    await cli.result()
    await cli.end()
    const call = 'control_request/hook_callback'
    assert.deepEqual(kinds(cli.lines).slice(1), [
      call,
      'system/init',
      'assistant',
      ...[call, call],
      'user',
      ...[call, call],
      'assistant',
      call,
      'result/success',
    ])
  })

  test('deny, changed input, and an answer that is an error: the tool runs', async (t) => {
    const denied = await preToolUse(t, (cli, call) =>
      answer(cli, call, decision('deny', { permissionDecisionReason: 'no' })),
    )
    assert.equal((await denied.result()).permission_denials.length, 1)
    assert.equal(toolResults(denied)[0].content, 'PreToolUse:Bash hook error: no')
    const updatedInput = { command: 'touch other' }
    const changed = await preToolUse(t, (cli, call) => answer(cli, call, decision('allow', { updatedInput })), {
      args: [],
    })
    await changed.result()
    assert.deepEqual([exists(changed, 'made'), exists(changed, 'other')], [false, true])
    const broken = await preToolUse(t, (cli, call) => answerError(cli, call, 'broke'))
    await broken.result()
    assert.equal(exists(broken, 'made'), true)
    assert.ok(broken.lines.some(({ tag }) => tag === 'hook_callback_failed'))
    for (const cli of [denied, changed, broken]) await cli.end()
  })

  test('onFailure block refuses after an error', async (t) => {
    const cli = await preToolUse(t, (host, call) => answerError(host, call, 'broke'), { hook: { onFailure: 'block' } })
    await cli.result()
    assert.equal(exists(cli, 'made'), false)
    await cli.end()
  })

  test('ask goes to the host, defer ends the turn, continue false ends it after the tool', async (t) => {
    const options = { args: [...BASH, ...ASKING] }
    const asks = await preToolUse(t, (cli, call) => answer(cli, call, decision('ask')), options)
    const question = await asked(asks, 'can_use_tool')
    assert.equal(question.request.decision_reason_type, 'hook')
    answer(asks, question, { behavior: 'deny', message: 'no' })
    await asks.result()
    assert.equal(exists(asks, 'made'), false)
    const defers = await preToolUse(t, (cli, call) => answer(cli, call, decision('defer')))
    const deferred = await defers.result()
    assert.deepEqual(
      [deferred.stop_reason, deferred.result, deferred.deferred_tool_use.name],
      ['tool_deferred', '', 'Bash'],
    )
    assert.equal(exists(defers, 'made'), false)
    const stops = await preToolUse(t, (cli, call) => answer(cli, call, { continue: false, stopReason: 'x' }))
    assert.equal((await stops.result()).terminal_reason, 'hook_stopped')
    assert.equal(exists(stops, 'made'), true)
    for (const cli of [asks, defers, stops]) await cli.end()
  })

  test('PermissionRequest and can_use_tool are asked at once; the first answer wins', async (t) => {
    const deny = { hookSpecificOutput: { decision: { behavior: 'deny', message: 'hook says no' } } }
    for (const hookFirst of [true, false]) {
      const cli = await withHooks(t, callback('PermissionRequest'), { args: ASKING })
      cli.send(touch('made'))
      const [question, hook] = [await asked(cli, 'can_use_tool'), await asked(cli, 'hook_callback')]
      const answers = [
        () => answer(cli, hook, deny),
        () => answer(cli, question, { behavior: 'allow', updatedInput: question.request.input }),
      ]
      for (const say of hookFirst ? answers : answers.toReversed()) say()
      await cli.result()
      await cli.end()
      assert.equal(exists(cli, 'made'), !hookFirst)
    }
  })

  test('a prompt gets context, or is blocked', async (t) => {
    const cli = await withHooks(t, callback('UserPromptSubmit'))
    cli.send('stand-in: contexts')
    const hookSpecificOutput = { hookEventName: 'UserPromptSubmit', additionalContext: 'Tuesday' }
    answer(cli, await asked(cli, 'hook_callback'), { hookSpecificOutput })
    assert.equal((await cli.result()).result, '["Tuesday"]')
    cli.send('bad words')
    answer(cli, await asked(cli, 'hook_callback', 2), { decision: 'block', reason: 'r' })
    const result = await cli.result(2)
    assert.deepEqual([result.subtype, result.is_error, result.num_turns], ['success', false, 0])
    assert.match(result.result, /^UserPromptSubmit operation blocked by hook:\nr/)
    await cli.end()
  })

  test('an interrupt takes an open hook back', async (t) => {
    const cli = await withHooks(t, callback('PreToolUse'))
    cli.send(touch('a'))
    const call = await asked(cli, 'hook_callback')
    await cli.control({ subtype: 'interrupt' }, 'i')
    assert.equal((await cli.result()).terminal_reason, 'aborted_tools')
    const cancel = cli.lines.find(({ type }) => type === 'control_cancel_request')
    assert.equal(cancel.request_id, call.request_id)
    await cli.end()
  })
})

describe('MCP servers of the host', CONCURRENT, () => {
  const RESULTS = {
    initialize: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'calc', version: '1' } },
    'tools/list': { tools: [{ name: 'add', inputSchema: { type: 'object' } }] },
  }
  const messageOf = ({ request }) => request?.message ?? {}
  const method = (cli, name, count = 1) => cli.line((line) => messageOf(line).method === name, count)
  const reply = (cli, request, result) =>
    answer(cli, request, { mcp_response: { jsonrpc: '2.0', id: messageOf(request).id, result } })

  const connected = async (t, args = ['--allowedTools', 'mcp__calc']) => {
    const cli = startCli(t, { args })
    const initialized = cli.control({ subtype: 'initialize', sdkMcpServers: ['calc'] })
    reply(cli, await method(cli, 'initialize'), RESULTS.initialize)
    await initialized
    return cli
  }
  const list = async (cli) => reply(cli, await method(cli, 'tools/list'), RESULTS['tools/list'])

  test('handshake, call, an error, structured content', async (t) => {
    const cli = await connected(t)
    cli.send('stand-in: tool mcp__calc__add {"a":1}')
    await list(cli)
    const call = await method(cli, 'tools/call')
    assert.deepEqual(call.request.message.params.arguments, { a: 1 })
    reply(cli, call, { content: [{ type: 'text', text: '42' }] })
    assert.equal((await cli.result()).result, 'after tool: ["42"]')
    const init = await cli.init()
    assert.deepEqual(init.mcp_servers, [{ name: 'calc', status: 'connected', source: 'sdk' }])
    assert.ok(init.tools.includes('mcp__calc__add'))
    cli.send('stand-in: tool mcp__calc__add {}')
    reply(cli, await method(cli, 'tools/call', 2), { content: [{ type: 'text', text: 'bad' }], isError: true })
    await cli.result(2)
    cli.send('stand-in: tool mcp__calc__add {}')
    answerError(cli, await method(cli, 'tools/call', 3), 'host broke')
    await cli.result(3)
    cli.send('stand-in: tool mcp__calc__add {}')
    reply(cli, await method(cli, 'tools/call', 4), { content: [], structuredContent: { sum: 3 } })
    await cli.result(4)
    await cli.end()
    const [, bad, broke, structured] = toolResults(cli)
    assert.deepEqual([bad.content, bad.is_error, broke.content, broke.is_error], ['bad', true, 'host broke', true])
    assert.equal(structured.content, '{"sum":3}')
  })

  test('a call asks for permission where no rule allows it', async (t) => {
    const cli = await connected(t, ASKING)
    cli.send('stand-in: tool mcp__calc__add {"a":1}')
    await list(cli)
    const question = await asked(cli, 'can_use_tool')
    assert.deepEqual(question.request.mcp_server, { name: 'calc', source: 'sdk' })
    answer(cli, question, { behavior: 'deny', message: 'no' })
    await cli.result()
    await cli.end()
    assert.equal(
      cli.lines.some((line) => messageOf(line).method === 'tools/call'),
      false,
    )
  })

  test('an interrupt cancels the call with a notification', async (t) => {
    const cli = await connected(t)
    cli.send('stand-in: tool mcp__calc__add {}')
    await list(cli)
    const call = await method(cli, 'tools/call')
    await cli.control({ subtype: 'interrupt' }, 'i')
    const notified = await method(cli, 'notifications/cancelled')
    assert.equal(notified.request.message.params.requestId, call.request.message.id)
    assert.equal((await cli.result()).terminal_reason, 'aborted_tools')
    assert.equal(
      cli.lines.some(({ type }) => type === 'control_cancel_request'),
      false,
    )
    await cli.end()
  })

  test('a host that does not answer the handshake holds up the turn, and the server has failed', async (t) => {
    const cli = startCli(t, { env: { CLEARCTX_STAND_IN_MCP_TIMEOUT_MS: '20' } })
    await cli.control({ subtype: 'initialize', sdkMcpServers: ['calc'] })
    const { result } = await cli.ask('hello')
    assert.equal(result, 'echo(2): hello')
    assert.equal((await cli.init()).mcp_servers[0].status, 'failed')
    await cli.end()
  })

  test('elicitation: an answer, and an error that counts as cancel', async (t) => {
    const cli = startCli(t)
    cli.send('stand-in: elicit {"message":"Who?"}')
    const first = await asked(cli, 'elicitation')
    assert.equal(first.request.message, 'Who?')
    answer(cli, first, { action: 'accept', content: { name: 'Bob' } })
    await cli.result()
    cli.send('stand-in: elicit {}')
    answerError(cli, await asked(cli, 'elicitation', 2), 'no')
    await cli.result(2)
    await cli.end()
    assert.deepEqual(
      toolResults(cli).map(({ content }) => content[0].text),
      ['elicited {"action":"accept","content":{"name":"Bob"}}', 'elicited {"action":"cancel"}'],
    )
  })
})

describe('dialogs', CONCURRENT, () => {
  test('questions and plans exist only with a host that can be asked', async (t) => {
    const cli = startCli(t)
    const result = await cli.ask('stand-in: tool AskUserQuestion {"questions":[]}')
    assert.match(result.result, /No such tool available/)
    assert.equal((await cli.init()).tools.includes('AskUserQuestion'), false)
    await cli.end()
  })

  test('a plan that is approved ends plan mode, one that is denied does not', async (t) => {
    const cli = startCli(t, { args: [...ASKING, '--permission-mode', 'default'] })
    await cli.ask('stand-in: tool EnterPlanMode {}')
    await cli.line(({ subtype, permissionMode }) => subtype === 'status' && permissionMode === 'plan')
    const file = path.join(cli.home.config, 'plans', 'x.md')
    await cli.ask(`stand-in: tool Write ${JSON.stringify({ file_path: file, content: '# Plan' })}`)
    cli.send('stand-in: tool ExitPlanMode {}; permission-mode')
    const first = await asked(cli, 'can_use_tool')
    assert.deepEqual(first.request.input, { plan: '# Plan', planFilePath: file })
    answer(cli, first, { behavior: 'deny', message: 'not yet' })
    assert.equal((await cli.result(3)).result, 'plan')
    cli.send('stand-in: tool ExitPlanMode {}; permission-mode')
    const second = await asked(cli, 'can_use_tool', 2)
    answer(cli, second, { behavior: 'allow', updatedInput: second.request.input })
    assert.equal((await cli.result(4)).result, 'default')
    await cli.end()
  })

  test('a message of priority now takes an open question back', async (t) => {
    const cli = startCli(t, { args: ASKING })
    cli.send(touch('a'))
    await asked(cli, 'can_use_tool')
    cli.send('urgent', { priority: 'now' })
    const first = await cli.result()
    assert.deepEqual([first.subtype, first.terminal_reason], ['success', 'aborted_tools'])
    await cli.result(2)
    await cli.end()
    assert.equal(toolResults(cli)[0].content, 'Tool permission request aborted')
    assert.ok(cli.lines.some(({ type }) => type === 'control_cancel_request'))
  })
})

describe('stream events', CONCURRENT, () => {
  test('thinking and a tool call are blocks of one message', async (t) => {
    const cli = startCli(t, { args: [...BASH, '--include-partial-messages'] })
    await cli.ask('stand-in: think hm; tool Bash {"command":"true"}; text done')
    await cli.end()
    const events = cli.lines.filter(({ type }) => type === 'stream_event').map(({ event }) => event)
    const deltas = events.filter(({ delta }) => delta?.type).map(({ delta, index }) => `${delta.type} ${index}`)
    assert.deepEqual(deltas, ['thinking_delta 0', 'signature_delta 0', 'input_json_delta 1', 'text_delta 0'])
    assert.equal(events.filter(({ type }) => type === 'message_start').length, 2)
    assert.deepEqual(
      events.filter(({ type }) => type === 'message_delta').map(({ delta }) => delta.stop_reason),
      ['tool_use', 'end_turn'],
    )
  })

  test('a held answer shows its first half, which is all that a cut leaves', async (t) => {
    const cli = startCli(t, { args: ['--include-partial-messages'] })
    cli.send(`stand-in: hold ${never(cli)}; text one two three four`)
    await cli.line(({ event }) => event?.delta?.text === 'two ')
    const from = cli.lines.length
    await cli.control({ subtype: 'interrupt' })
    await cli.result()
    await cli.end()
    const rest = cli.lines.slice(from)
    assert.deepEqual(kinds(rest), ['control_response', 'assistant', 'user', 'result/error_during_execution'])
    assert.equal(rest[1].message.content[0].text, 'one two ')
  })

  test('need stream-json', async (t) => {
    const args = ['--output-format', 'json', '--include-partial-messages', 'hi']
    const { code, text, stderr } = await oneShot(makeHome(t), args)
    assert.deepEqual([code, text], [1, ''])
    assert.match(stderr, /--include-partial-messages requires/)
  })
})
