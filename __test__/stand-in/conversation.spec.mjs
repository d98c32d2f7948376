/** The stand-in CLI, run directly: its lines against recorded ones, arguments, memory, messages and control requests. */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { after, describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { Client, STREAMING, makeHome, readTranscript, takeLeftovers } from '../support/stand-in-client.mjs'
import { SCENARIOS, kindOf } from '../support/stand-in-scenarios.mjs'
import { OLDER, askOnce, close, oneShot, plainCost } from '../support/stand-ins.mjs'

const CONCURRENT = { concurrency: 3 }

after(() => assert.deepEqual(takeLeftovers(), [], 'every process has ended'))

describe('lines like the recorded ones', CONCURRENT, () => {
  for (const [name, args, drive, env] of SCENARIOS) {
    test(name, async (t) => {
      const habit = name.startsWith('v330-') ? {} : OLDER
      const cli = new Client(makeHome(t), [...STREAMING, ...args], { ...habit, ...env })
      await drive(cli)
      await cli.end()
      const recorded = readTranscript(name)
      assert.deepEqual(cli.lines.map(kindOf), recorded.map(kindOf))
      for (const [i, line] of cli.lines.entries()) {
        const keys = [Object.keys(line), Object.keys(recorded[i])]
        if (line.type === 'result') assert.deepEqual(...keys)
        else assert.deepEqual(...keys.map((names) => names.toSorted()))
      }
    })
  }

  test('money and counts of the plain transcripts are met', async (t) => {
    for (const [name, env] of [
      ['plain-three-turns', OLDER],
      ['v330-plain', {}],
    ]) {
      const recorded = readTranscript(name).filter(({ type }) => type === 'result')
      const cli = new Client(makeHome(t), STREAMING, env)
      for (const { result } of recorded) await cli.ask(result.replace(/^echo\(\d+\): /, ''))
      await cli.end()
      const results = cli.lines.filter(({ type }) => type === 'result')
      for (const key of [
        'result',
        'total_cost_usd',
        'usage',
        'modelUsage',
        'num_turns',
        'model_usage_since_last_result',
      ]) {
        assert.deepEqual(
          results.map((line) => line[key]),
          recorded.map((line) => line[key]),
          key,
        )
      }
    }
  })
})

describe('start and arguments', CONCURRENT, () => {
  test('writes nothing before the first message and exits 0 at the end of input', async (t) => {
    const cli = new Client(makeHome(t))
    assert.deepEqual(await cli.end(), { code: 0, signal: null })
    assert.equal(cli.bytes().length, 0)
  })

  test('rejects unknown options and bad choices like the CLI', async (t) => {
    const home = makeHome(t)
    for (const [args, words] of [
      [['--nope'], "error: unknown option '--nope'\n"],
      [['-x is what'], "error: unknown option '-x is what'\n"],
      [['--permission-mode', 'bad', 'x'], /^error: option '--permission-mode <.*argument 'bad' is invalid/],
      [['--output-format', 'stream-json', 'x'], /requires --verbose/],
    ]) {
      const { code, stderr, text } = await oneShot(home, args)
      assert.equal(code, 1)
      assert.equal(text, '')
      if (typeof words === 'string') assert.equal(stderr, words)
      else assert.match(stderr, words)
    }
  })

  test('--version names the stand-in', async (t) => {
    assert.match((await oneShot(makeHome(t), ['--version'])).text, /^2\.1\.330 \(Claude Code\).*stand-in/)
  })

  test('--allowedTools is variadic, `=` and `--` end it', async (t) => {
    const home = makeHome(t)
    const format = ['--output-format', 'json']
    const swallowed = await oneShot(home, [...format, '--allowedTools', 'Bash', 'the prompt'])
    assert.match(swallowed.stderr, /Input must be provided/)
    assert.equal((await oneShot(home, [...format, '--allowedTools=Bash', 'hi'])).result.result, 'echo(2): hi')
    assert.equal(
      (await oneShot(home, [...format, '--allowedTools', 'Bash', '--', '-hi'])).result.result,
      'echo(2): -hi',
    )
  })

  test('answers about itself', async (t) => {
    const home = makeHome(t)
    const args = [...STREAMING, '--append-system-prompt', '-be brief', '--model=haiku', '--agent', 'unknown']
    const cli = new Client(home, args, { SOME_NAME: 'value' })
    assert.deepEqual(JSON.parse((await cli.ask('stand-in: argv')).result), args)
    assert.equal((await cli.ask('stand-in: cwd')).result, home.cwd)
    assert.equal((await cli.ask('stand-in: pid')).result, String(cli.child.pid))
    assert.equal((await cli.ask('stand-in: model')).result, 'claude-haiku-4-5-20251001')
    assert.equal((await cli.ask('stand-in: system-prompt')).result, '9 -be brief')
    assert.deepEqual(JSON.parse((await cli.ask('stand-in: env SOME_NAME, NONE')).result), {
      SOME_NAME: 'value',
      NONE: null,
    })
    const { result } = await cli.ask('stand-in: received', { uuid: 'u-1', priority: 'later' })
    const message = { role: 'user', content: 'stand-in: received' }
    assert.deepEqual(JSON.parse(result), { type: 'user', message, uuid: 'u-1', priority: 'later' })
    await cli.end()
  })

  test('start faults', async (t) => {
    const home = makeHome(t)
    const started = async (start) => {
      const cli = new Client(home, STREAMING, { CLEARCTX_STAND_IN_START: start })
      return { cli, ...(await cli.closed) }
    }
    const exit = await started('exit:3:some: words')
    assert.deepEqual([exit.code, exit.cli.stderr], [3, 'some: words\n'])
    const failed = await started('slow:20 | error-result:no luck')
    assert.deepEqual([failed.code, failed.cli.lines[0].errors, failed.cli.lines[0].num_turns], [1, ['no luck'], 0])
  })
})

describe('memory, resume and fork', CONCURRENT, () => {
  test('a resumed conversation keeps its id, its memory and its ids of messages', async (t) => {
    const { home, result } = await askOnce(t, 'first')
    const cli = new Client(home, [...STREAMING, '--resume', result.session_id])
    const second = await cli.ask('second', { uuid: 'u-2' })
    assert.equal(second.result, 'echo(4): second')
    assert.equal(second.session_id, result.session_id)
    assert.equal((await cli.ask('recall')).result, 'first | second')
    await cli.end()
    const again = new Client(home, [...STREAMING, '--resume', result.session_id])
    again.send('second', { uuid: 'u-2' })
    assert.equal((await again.ask('third')).result, 'echo(8): third')
    await again.end()
  })

  test('totals go on after a resume in the newer habit and start at 0 in the older', async (t) => {
    for (const [env, expected] of [
      [{}, 2 * plainCost],
      [OLDER, 0.000175],
    ]) {
      const { home, result } = await askOnce(t, 'first', { env })
      const resumed = await askOnce(t, 'second', { env, home, args: ['--resume', result.session_id] })
      close(resumed.result.total_cost_usd, expected)
      const fork = await askOnce(t, 'second', { env, home, args: ['--resume', result.session_id, '--fork-session'] })
      if (env === OLDER) close(fork.result.total_cost_usd, expected)
      else close(fork.result.total_cost_usd, 3 * plainCost)
    }
  })

  test('a fork has a new id and the history, and leaves its base alone', async (t) => {
    const { home, result } = await askOnce(t, 'first')
    const base = result.session_id
    const args = ['--output-format', 'json', '--resume', base, '--fork-session', '--', 'recall']
    const fork = await oneShot(home, args)
    assert.equal(fork.code, 0)
    assert.equal(fork.result.result, 'first')
    assert.notEqual(fork.result.session_id, base)
    const resumed = await askOnce(t, 'next', { home, args: ['--resume', fork.result.session_id] })
    assert.equal(resumed.result.result, 'echo(6): next')
    assert.equal((await askOnce(t, 'recall', { home, args: ['--resume', base] })).result.result, 'first')
  })

  test('the older habit resumes only from the same directory', async (t) => {
    const { home, result } = await askOnce(t, 'first')
    const other = path.join(home.root, 'other')
    mkdirSync(other)
    const args = ['--output-format', 'json', '--resume', result.session_id, 'second']
    const newer = await oneShot(home, args, { env: { cwd: other } })
    assert.equal(newer.result.result, 'echo(4): second')
    const older = await oneShot(home, args, { env: { cwd: other, ...OLDER } })
    const words = `No conversation found with session ID: ${result.session_id}\n`
    assert.deepEqual([older.code, older.text, older.stderr], [1, '', words])
  })

  test('conversations lie where the CLI keeps them', async (t) => {
    const { home, result } = await askOnce(t, 'first')
    const folder = home.cwd.replace(/[^a-zA-Z0-9]/g, '-')
    assert.deepEqual(readdirSync(path.join(home.config, 'projects', folder)), [`${result.session_id}.jsonl`])
  })

  test('a crash in mid-turn keeps the user message', async (t) => {
    const home = makeHome(t)
    const cli = new Client(home)
    cli.send('stand-in: crash')
    const init = await cli.init()
    assert.deepEqual(await cli.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(cli.lines.at(-1).type, 'assistant')
    const { result } = await askOnce(t, 'recall', { home, args: ['--resume', init.session_id] })
    assert.equal(result.result, 'stand-in: crash')
  })

  test('the older habit saves late, and a kill loses the turn', async (t) => {
    const home = makeHome(t)
    const cli = new Client(home, STREAMING, { ...OLDER, CLEARCTX_STAND_IN_SAVE_DELAY_MS: '60000' })
    await cli.ask('first')
    await cli.signal('SIGKILL')
    assert.equal(existsSync(path.join(home.config, 'projects')), false)
  })

  test('--session-id is taken once', async (t) => {
    const args = ['--session-id', '00000000-0000-4000-8000-000000000009', '--output-format', 'json', 'hi']
    const home = makeHome(t)
    assert.equal((await oneShot(home, args)).result.session_id, args[1])
    assert.match((await oneShot(home, args)).stderr, /is already in use/)
  })
})

describe('one-shot use', CONCURRENT, () => {
  test('takes its prompt from the arguments, from standard input, or both', async (t) => {
    const home = makeHome(t)
    const json = ['--output-format', 'json']
    assert.equal((await oneShot(home, [...json, 'a'])).result.result, 'echo(2): a')
    assert.equal((await oneShot(home, json, { input: '-b' })).result.result, 'echo(2): -b')
    assert.equal((await oneShot(home, [...json, 'a'], { input: 'b' })).result.result, 'echo(2): a\nb')
    assert.equal((await oneShot(home, ['a'])).text, 'echo(2): a\n')
    const none = await oneShot(home, json)
    assert.deepEqual([none.code, none.text], [1, ''])
  })

  test('exits 1 with an error result, and for an unknown agent', async (t) => {
    const home = makeHome(t)
    const failed = await oneShot(home, ['--output-format', 'json', 'stand-in: error 400'])
    assert.deepEqual([failed.code, failed.result.is_error, failed.result.api_error_status], [1, true, 400])
    const agent = await oneShot(home, ['--output-format', 'json', '--agent', 'nobody', 'hi'])
    assert.match(agent.stderr, /--agent 'nobody' not found/)
  })
})

describe('messages that meet a turn', CONCURRENT, () => {
  test('a later message that meets an own turn gets a result of its own', async (t) => {
    const cli = new Client(makeHome(t), [...STREAMING, '--allowedTools', 'Bash'])
    await cli.ask('stand-in: background 20 turn 100 trap own words')
    await cli.init(2)
    cli.send('mine', { uuid: 'u-1', priority: 'later' })
    const [own, mine] = [await cli.result(2), await cli.result(3)]
    assert.deepEqual([own.result, own.origin.kind], ['own words', 'task-notification'])
    assert.deepEqual([mine.origin, mine.user_message_uuids], [undefined, ['u-1']])
    await cli.end()
  })

  test('a next message that meets an own turn with the trap gets none', async (t) => {
    const cli = new Client(makeHome(t), [...STREAMING, '--allowedTools', 'Bash'])
    await cli.ask('stand-in: background 20 turn 100 trap own words')
    await cli.init(2)
    cli.send('caught', { uuid: 'u-1' })
    assert.equal((await cli.result(2)).user_message_uuids, undefined)
    await cli.end()
    assert.equal(cli.lines.filter((line) => line.type === 'result').length, 2)
  })

  test('the end of input waits for the turn, the queue and background work', async (t) => {
    const cli = new Client(makeHome(t), [...STREAMING, '--allowedTools', 'Bash'])
    cli.send('stand-in: background 50; slow 50')
    await cli.init()
    cli.send('queued')
    assert.equal((await cli.end()).code, 0)
    assert.equal(cli.lines.filter((line) => line.type === 'result').length, 3)
  })

  test('bad input ends the process as measured', async (t) => {
    const user = (message) => JSON.stringify({ type: 'user', message }) + '\n'
    for (const [line, words] of [
      ['not json\n', /Error parsing streaming input line/],
      ['{"a":1}{"b":2}\n', /Error parsing streaming input line/],
      ['null\n', /null/],
      ['{"type":"user"}\n', /message/],
      [user({ content: 'x' }), /Expected message role 'user', got 'undefined'/],
    ]) {
      const cli = new Client(makeHome(t))
      cli.write(line)
      assert.equal((await cli.closed).code, 1, line)
      assert.match(cli.stderr, words)
      assert.equal(cli.bytes().length, 0)
    }
  })

  test('other odd input is ignored', async (t) => {
    const cli = new Client(makeHome(t))
    cli.write('\n[]\n42\n{"type":"system"}\n{"prompt":"x"}\n{"type":"control_response","response":{}}\n')
    cli.write('{"type":"user","message":{"role":"user","content":[{"type":"text","text":"a"}]}}\r\n')
    assert.equal((await cli.result()).result, 'echo(2): a')
    await cli.end()
  })
})

describe('control requests', CONCURRENT, () => {
  test('are answered, also in mid-turn', async (t) => {
    const cli = new Client(makeHome(t))
    const first = await cli.control({ subtype: 'initialize', appendSystemPrompt: 'by request' }, 'a')
    assert.equal(first.response.response.pid, cli.child.pid)
    cli.send('stand-in: slow 50')
    await cli.init()
    assert.deepEqual((await cli.control({ subtype: 'mcp_status' }, 'b')).response.response, { mcpServers: [] })
    await cli.control({ subtype: 'set_model', model: 'haiku' }, 'c')
    await cli.control({ subtype: 'set_permission_mode', mode: 'plan' }, 'd')
    await cli.result()
    const error = await cli.control({ subtype: 'no_such' }, 'e')
    assert.equal(error.response.error, 'Unsupported control request subtype: no_such')
    assert.equal((await cli.ask('stand-in: system-prompt')).result, '10 by request')
    const { model, permissionMode } = await cli.init(2)
    assert.deepEqual([model, permissionMode], ['claude-haiku-4-5-20251001', 'plan'])
    await cli.end()
  })
})

describe('the permission mode', CONCURRENT, () => {
  const settings = standInEnv({ settingsMode: 'acceptEdits' })

  test('is the one passed, else that of the settings; a forced one is stronger, and may be unsaid', async (t) => {
    for (const [mode, passed, env] of [
      ['default', [], {}],
      ['acceptEdits', [], settings],
      ['default', ['--permission-mode', 'default'], settings],
      ['auto', ['--permission-mode', 'default'], standInEnv({ forcedMode: 'auto' })],
      [undefined, [], standInEnv({ forcedMode: 'none' })],
    ]) {
      const cli = new Client(makeHome(t), [...STREAMING, ...passed], env)
      cli.send('x')
      assert.equal((await cli.init()).permissionMode, mode)
      await cli.end()
    }
  })

  test('changes in a turn with a status line, or without one', async (t) => {
    const cli = new Client(makeHome(t))
    await cli.ask('stand-in: mode plan; text x')
    await cli.ask('stand-in: mode auto silent; text x')
    await cli.ask('x')
    const told = cli.lines.filter(({ type, permissionMode }) => type === 'system' && permissionMode !== undefined)
    assert.deepEqual(
      told.map(({ subtype, permissionMode }) => [subtype, permissionMode]),
      [
        ['init', 'default'],
        ['status', 'plan'],
        ['init', 'plan'],
        ['init', 'auto'],
      ],
    )
    await cli.end()
  })
})
