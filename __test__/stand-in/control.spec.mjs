/** The control side of the stand-in CLI, run directly: requests of the host, questions to it, faults of answers. */

import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, describe, test } from 'node:test'

import { makeHome, takeLeftovers } from '../support/stand-in-client.mjs'
import { ASKING, answer, answerError, asked, kinds, startCli, toolResults } from '../support/stand-in-host.mjs'
import { OLDER } from '../support/stand-ins.mjs'

const CONCURRENT = { concurrency: 3 }
const UUIDS = ['0000a1', '0000b2', '0000c3'].map((end) => `11111111-1111-4111-8111-111111${end}`)
const touch = (name) => `stand-in: tool Bash {"command":"touch ${name}","description":"d"}`
const until = (cli) => path.join(cli.home.cwd, 'go')
const held = (cli, text = 'one two three four') => `stand-in: hold ${until(cli)}; text ${text}`
const isText = (line) => line.type === 'assistant'

after(() => assert.deepEqual(takeLeftovers(), [], 'every process has ended'))

describe('interrupt', CONCURRENT, () => {
  test('idle: an answer only, and the next turn is normal', async (t) => {
    for (const [env, receipt] of [
      [{}, { still_queued: [] }],
      [OLDER, undefined],
    ]) {
      const cli = startCli(t, { env })
      const { response } = await cli.control({ subtype: 'interrupt' })
      assert.deepEqual(response.response, receipt)
      const { result } = await cli.ask('hello')
      assert.equal(result, 'echo(2): hello')
      await cli.end()
    }
  })

  test('text: the answer, the first half, the words of the interrupt, one result for two requests', async (t) => {
    const cli = startCli(t)
    await cli.ask('warm')
    cli.send(held(cli))
    await cli.init(2)
    const from = cli.lines.length
    cli.control({ subtype: 'interrupt' }, 'i-1')
    cli.control({ subtype: 'interrupt' }, 'i-2')
    const result = await cli.result(2)
    assert.deepEqual(kinds(cli.lines.slice(from)), [
      'control_response',
      'control_response',
      'assistant',
      'user',
      'result/error_during_execution',
    ])
    assert.equal(result.terminal_reason, 'aborted_streaming')
    assert.match((await cli.ask('usable')).result, /usable/)
    await cli.end()
    assert.equal(cli.lines.filter(({ type }) => type === 'result').length, 3)
  })

  test('an open question is taken back before the answer', async (t) => {
    const cli = startCli(t, { args: ASKING })
    cli.send(touch('a'))
    const question = await asked(cli, 'can_use_tool')
    const from = cli.lines.length
    await cli.control({ subtype: 'interrupt' })
    const result = await cli.result()
    assert.deepEqual(kinds(cli.lines.slice(from)), [
      'control_cancel_request',
      'control_response',
      'user',
      'user',
      'result/error_during_execution',
    ])
    assert.equal(cli.lines[from].request_id, question.request_id)
    assert.equal(result.terminal_reason, 'aborted_tools')
    answer(cli, question, { behavior: 'allow', updatedInput: { command: 'touch a' } })
    await cli.ask('next')
    assert.equal(existsSync(path.join(cli.home.cwd, 'a')), false, 'a late answer is ignored')
    await cli.end()
  })

  test('miss: success, the uuid still queued, and the turn runs on until a second interrupt', async (t) => {
    const cli = startCli(t, { env: { CLEARCTX_STAND_IN_CONTROL: 'miss' } })
    cli.send(held(cli), { uuid: UUIDS[0] })
    await cli.init()
    const first = await cli.control({ subtype: 'interrupt' }, 'i-1')
    assert.deepEqual(first.response.response, { still_queued: [UUIDS[0]] })
    const second = await cli.control({ subtype: 'interrupt' }, 'i-2')
    assert.deepEqual(second.response.response, { still_queued: [] })
    assert.equal((await cli.result()).terminal_reason, 'aborted_streaming')
    cli.send(held(cli), { uuid: UUIDS[1] })
    await cli.init(2)
    await cli.control({ subtype: 'interrupt' }, 'i-3')
    writeFileSync(until(cli), '')
    assert.equal((await cli.result(2)).result, 'one two three four')
    await cli.end()
  })

  test('race: a message that waits for its turn is cancelled without a result', async (t) => {
    const cli = startCli(t, { env: { CLEARCTX_STAND_IN_CONTROL: `race` } })
    const message = { type: 'user', message: { role: 'user', content: 'never' }, uuid: UUIDS[0] }
    const request = { subtype: 'interrupt', cancel_queued: true }
    const control = { type: 'control_request', request_id: 'i-1', request }
    cli.write(`${JSON.stringify(message)}\n${JSON.stringify(control)}\n`)
    const { response } = await cli.line(({ type }) => type === 'control_response')
    assert.deepEqual(response.response, { still_queued: [], cancelled: [UUIDS[0]] })
    await cli.end()
    assert.deepEqual(kinds(cli.lines), ['command_lifecycle/queued', 'command_lifecycle/cancelled', 'control_response'])
  })
})

describe('a message that has not started', CONCURRENT, () => {
  test('race FILE: it is still queued for the first interrupt, and the second one cuts it', async (t) => {
    const home = makeHome(t)
    const start = path.join(home.cwd, 'start')
    const cli = startCli(t, { home, env: { CLEARCTX_STAND_IN_CONTROL: `race ${start}` } })
    cli.send(held(cli), { uuid: UUIDS[0] })
    const first = await cli.control({ subtype: 'interrupt' }, 'i-1')
    assert.deepEqual(first.response.response, { still_queued: [UUIDS[0]] })
    writeFileSync(start, '')
    await cli.init()
    await cli.control({ subtype: 'interrupt' }, 'i-2')
    assert.equal((await cli.result()).terminal_reason, 'aborted_streaming')
    await cli.end()
  })

  test('an interrupt before the first call of the model costs nothing', async (t) => {
    const cli = startCli(t)
    const message = { type: 'user', message: { role: 'user', content: held(cli) } }
    const control = { type: 'control_request', request_id: 'i', request: { subtype: 'interrupt' } }
    cli.write(`${JSON.stringify(message)}\n${JSON.stringify(control)}\n`)
    const result = await cli.result()
    assert.deepEqual([result.terminal_reason, result.total_cost_usd], ['aborted_streaming', 0])
    await cli.end()
    assert.deepEqual(kinds(cli.lines), ['control_response', 'system/init', 'user', 'result/error_during_execution'])
  })

  test('hold needs a folder that exists', async (t) => {
    const cli = startCli(t)
    const result = await cli.ask('stand-in: hold /no-such-folder/file')
    assert.match(result.result, /hold: expected a file in a folder that exists/)
    await cli.end()
  })
})

describe('questions for a permission', CONCURRENT, () => {
  const once = async (t, respond, { args = ASKING, env = {}, message = touch('made') } = {}) => {
    const cli = startCli(t, { args, env })
    cli.send(message)
    const question = await asked(cli, 'can_use_tool')
    respond(cli, question)
    const result = await cli.result()
    await cli.end()
    return { cli, question, result, made: existsSync(path.join(cli.home.cwd, 'made')) }
  }

  test('allow runs the tool with the input of the answer', async (t) => {
    const updatedInput = { command: 'echo changed' }
    const { made, result } = await once(t, (cli, ask) => answer(cli, ask, { behavior: 'allow', updatedInput }))
    assert.equal(made, false)
    assert.equal(result.result, 'after tool: ["changed"]')
    assert.deepEqual(result.permission_denials, [])
  })

  test('deny gives the model the message and is a denial', async (t) => {
    const { cli, made, result } = await once(t, (host, ask) => answer(host, ask, { behavior: 'deny', message: 'no!' }))
    assert.equal(made, false)
    assert.deepEqual([toolResults(cli)[0].content, toolResults(cli)[0].is_error], ['no!', true])
    assert.equal(result.subtype, 'success')
    assert.deepEqual(
      result.permission_denials.map(({ tool_name: name }) => name),
      ['Bash'],
    )
  })

  test('deny with interrupt ends the turn without the message', async (t) => {
    const said = { behavior: 'deny', message: 'secret', interrupt: true }
    const { cli, result } = await once(t, (host, ask) => answer(host, ask, said))
    assert.equal(result.terminal_reason, 'aborted_tools')
    assert.equal(result.permission_denials.length, 1)
    assert.doesNotMatch(cli.bytes().toString(), /secret/)
  })

  test('an error refuses the call', async (t) => {
    const { cli, made } = await once(t, (host, ask) => answerError(host, ask, 'host broke'))
    assert.equal(made, false)
    assert.equal(toolResults(cli)[0].content, 'Tool permission request failed: Error: host broke')
  })

  test('only the older CLI wants the input back', async (t) => {
    const allow = (host, ask) => answer(host, ask, { behavior: 'allow' })
    assert.equal((await once(t, allow)).made, true)
    const { cli, made } = await once(t, allow, { env: OLDER })
    assert.equal(made, false)
    assert.match(toolResults(cli)[0].content, /^Tool permission request failed: ZodError/)
  })

  test('several ask at once and are answered in any order', async (t) => {
    const cli = startCli(t, { args: ASKING })
    const calls = ['a', 'b'].map((name) => ({ name: 'Bash', input: { command: `touch ${name}` } }))
    cli.send(`stand-in: tools ${JSON.stringify(calls)}`)
    const [first, second] = [await asked(cli, 'can_use_tool'), await asked(cli, 'can_use_tool', 2)]
    answer(cli, second, { behavior: 'deny', message: 'not b' })
    answer(cli, first, { behavior: 'allow', updatedInput: first.request.input })
    await cli.result()
    await cli.end()
    assert.deepEqual(
      ['a', 'b'].map((name) => existsSync(path.join(cli.home.cwd, name))),
      [true, false],
    )
  })
})

describe('faults of answers', CONCURRENT, () => {
  const request = { subtype: 'mcp_status' }
  const responses = (cli) => cli.lines.filter(({ type }) => type === 'control_response')

  test('mute, deaf, double, wrong-id, fail', async (t) => {
    const cli = startCli(t, {
      env: {
        CLEARCTX_STAND_IN_CONTROL: 'mute set_model | deaf end_session | double mcp_status | wrong-id get_settings',
      },
    })
    cli.control({ subtype: 'set_model', model: 'haiku' }, 'm').catch(() => {})
    cli.control({ subtype: 'end_session' }, 'e').catch(() => {})
    cli.control({ subtype: 'get_settings' }, 'w').catch(() => {})
    await cli.control(request, 'd')
    assert.match((await cli.ask('stand-in: control fail mcp_status no way; model')).result, /haiku/)
    assert.deepEqual(
      responses(cli).map(({ response }) => response.request_id === 'd'),
      [false, true, true],
    )
    await cli.ask('stand-in: control off; control fail mcp_status no way; text ok')
    const { response } = await cli.control(request, 'f')
    assert.deepEqual([response.subtype, response.error], ['error', 'no way'])
    await cli.end()
  })

  test('late: when a file exists', async (t) => {
    const cli = startCli(t)
    await cli.ask(`stand-in: control late mcp_status ${until(cli)}; text ok`)
    const late = cli.control(request, 'l')
    await cli.control({ subtype: 'get_settings' }, 'g')
    assert.equal(responses(cli).length, 1)
    writeFileSync(until(cli), '')
    await late
    await cli.end()
  })

  test('requests of unknown subtype, out of turn, and a cancel that fits nothing', async (t) => {
    const cli = startCli(t)
    cli.send('stand-in: cancel-unknown; request {"subtype":"strange"}; then request {"subtype":"after"}')
    const strange = await asked(cli, 'strange')
    answer(cli, strange, { odd: 1 })
    assert.match((await cli.result()).result, /"odd":1/)
    await asked(cli, 'after')
    assert.ok(cli.lines.some(({ type }) => type === 'control_cancel_request'))
    await cli.end()
    assert.ok(cli.lines.some(isText))
  })
})
