/** StreamSession used by itself: properties, methods, events and their order, statuses, the ends. */

import assert from 'node:assert/strict'
import { EventEmitter, on, once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { StreamSession } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { block, messagesIn, namesOf, readLog, record } from '../support/events.mjs'
import { isAlive, reached, until, world } from '../support/sessions.mjs'

const RESPONSE_FIELDS = [
  'text',
  'cost',
  'turns',
  'duration',
  'sessionId',
  'isError',
  'subtype',
  'usage',
  'permissionDenials',
  'stopReason',
  'errors',
]

const INTERACTION_FIELDS = ['prompt', 'response', 'cost', 'turns', 'duration', 'timestamp']

/** A session that was started. */
const started = (w, options) => {
  const session = w.session(options)
  session.start()
  return session
}

/** The options of a session whose stand-in keeps a log, and the log. */
const logged = (w, env = {}) => {
  const log = join(w.dir, 'stand-in.log')
  return { options: { env: { ...standInEnv({ log }), ...env } }, log: () => readLog(log) }
}

const PRICE = 0.00014
const assertMoney = (actual, expected) => assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`)

describe('a session without a manager', () => {
  test('starts, answers, stops, and is stored nowhere', async (t) => {
    const w = world(t)
    const session = w.session()
    assert.equal(session.status, 'starting')
    assert.equal(session.pid, null)
    session.start()
    assert.equal(session.status, 'ready')
    assert.ok(isAlive(session.pid))
    const response = await session.send('hello')
    assert.equal(response.text, 'echo(2): hello')
    session.stop()
    assert.equal(session.status, 'stopped')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    assert.ok(!isAlive(session.pid))
    assert.ok(!existsSync(w.dataDir))
  })

  test('has the defaults of a manager without options', () => {
    const session = new StreamSession({ name: 'plain' })
    const { name, id, status, model, workDir, permissionMode, allowedTools, systemPrompt, maxBudget, agent } = session
    assert.deepEqual(
      { name, id, status, model, workDir, permissionMode, allowedTools, systemPrompt, maxBudget, agent },
      {
        name: 'plain',
        id: null,
        status: 'starting',
        model: 'sonnet',
        workDir: process.cwd(),
        permissionMode: 'default',
        allowedTools: [],
        systemPrompt: '',
        maxBudget: null,
        agent: null,
      },
    )
    const { timeout, tags, initData, interactions, totalCostUsd, totalTurns, pid } = session
    assert.deepEqual(
      { timeout, tags, initData, interactions, totalCostUsd, totalTurns, pid },
      { timeout: 600_000, tags: [], initData: null, interactions: [], totalCostUsd: 0, totalTurns: 0, pid: null },
    )
    assert.ok(session instanceof EventEmitter)
    assert.ok(session.closed instanceof Promise)
    assert.equal(session.closed, session.closed)
  })

  test('takes all its options over as properties', () => {
    const options = {
      name: 'full',
      model: 'haiku',
      workDir: tmpdir(),
      permissionMode: 'plan',
      allowedTools: ['Read', 'Bash(git log *)'],
      systemPrompt: 'Be short.',
      maxBudget: 1.5,
      agent: 'Explore',
      timeout: 1234,
      tags: ['a', 'b'],
    }
    const session = new StreamSession({ ...options, sessionId: '11111111-2222-4333-8444-555555555555' })
    assert.deepEqual(Object.fromEntries(Object.keys(options).map((key) => [key, session[key]])), options)
    assert.equal(session.id, '11111111-2222-4333-8444-555555555555')
    assert.notEqual(session.allowedTools, options.allowedTools, 'a later change of the caller’s array changes nothing')
  })

  test('passes its properties to the program as they are at start()', async (t) => {
    const w = world(t)
    const session = w.session({ model: 'opus' })
    Object.assign(session, {
      model: 'haiku',
      workDir: w.dir,
      permissionMode: 'acceptEdits',
      allowedTools: ['Read', 'Bash(git log *)'],
      systemPrompt: '--be short',
      maxBudget: 2.5,
      agent: 'Explore',
    })
    session.start()
    const { text } = await session.send('stand-in: argv')
    const argv = JSON.parse(text)
    const pairs = argv.flatMap((arg, index) => [arg, `${arg}=${argv[index + 1]}`])
    for (const wanted of [
      '--model=haiku',
      '--permission-mode=acceptEdits',
      '--append-system-prompt=--be short',
      '--max-budget-usd=2.5',
      '--agent=Explore',
    ]) {
      assert.ok(pairs.includes(wanted), `${wanted} in ${text}`)
    }
    assert.equal((await session.send('stand-in: cwd')).text, realpathSync(w.dir))
    assert.equal((await session.send('stand-in: system-prompt')).text, '10 --be short')
    assert.equal((await session.send('stand-in: permission-mode')).text, 'acceptEdits')
  })

  test('goes on with the conversation of its sessionId', async (t) => {
    const w = world(t)
    const first = started(w)
    await first.send('the word is plum')
    first.stop()
    await first.closed
    const second = w.session({ name: 'again', sessionId: first.id })
    assert.equal(second.id, first.id)
    second.start()
    assert.equal((await second.send('recall')).text, 'the word is plum')
    assert.equal(second.id, first.id)
    assertMoney(second.totalCostUsd, PRICE)
  })
})

describe('start()', () => {
  test('a second start throws ERR_SESSION_EXISTS and disturbs nothing, also after the end', async (t) => {
    const session = started(world(t))
    const { pid } = session
    const expected = { code: 'ERR_SESSION_EXISTS', message: 'Session "solo" was already started.' }
    assert.throws(() => session.start(), expected)
    assert.equal(session.pid, pid)
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
    session.stop()
    await session.closed
    assert.throws(() => session.start(), expected)
    assert.equal(session.status, 'stopped')
  })

  for (const [what, options, code] of [
    ['a program that does not exist', { claudePath: '/no/such/claude' }, 'ERR_CLI_NOT_FOUND'],
    ['a name that is not on the PATH', { claudePath: 'no-such-claude' }, 'ERR_CLI_NOT_FOUND'],
    ['a working directory that does not exist', { workDir: '/no/such/directory' }, 'ERR_WORKDIR'],
    ['a working directory that is a file', { workDir: process.execPath }, 'ERR_WORKDIR'],
  ]) {
    test(`throws ${code} for ${what}; nothing happened, no event came`, (t) => {
      const session = world(t).session(options)
      const seen = record(session)
      assert.throws(() => session.start(), { code, name: 'Error' })
      assert.equal(session.pid, null)
      assert.deepEqual(seen, [])
      assert.throws(() => session.pause(), { code: 'ERR_SESSION_NOT_ALIVE' })
    })
  }

  test('works after a failed one, once the reason is gone', async (t) => {
    const w = world(t)
    const session = w.session({ workDir: join(w.dir, 'later') })
    assert.throws(() => session.start(), { code: 'ERR_WORKDIR' })
    mkdirSync(session.workDir)
    session.start()
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
  })

  test('runs a program with blanks in its path, through a symbolic link', async (t) => {
    const w = world(t)
    const dir = mkdtempSync(join(tmpdir(), 'a b '))
    t.after(() => rmSync(dir, { recursive: true }))
    const link = join(dir, 'my claude')
    symlinkSync(new URL('../../testing/claude-stand-in.js', import.meta.url).pathname, link)
    assert.equal((await started(w, { claudePath: link }).send('hi')).text, 'echo(2): hi')
  })

  test('finds a name on the PATH of the child’s environment', async (t) => {
    const w = world(t)
    const bin = join(w.dir, 'bin')
    mkdirSync(bin)
    symlinkSync(new URL('../../testing/claude-stand-in.js', import.meta.url).pathname, join(bin, 'my-claude'))
    const session = started(w, { claudePath: 'my-claude', env: { PATH: `${bin}:${process.env.PATH}` } })
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
  })
})

describe('responses and interactions', () => {
  test('have exactly the documented fields', async (t) => {
    const session = started(world(t))
    const before = Date.now()
    const response = await session.send('hello')
    assert.deepEqual(Object.keys(response).toSorted(), RESPONSE_FIELDS.toSorted())
    const { duration, usage, cost, ...rest } = response
    assert.deepEqual(rest, {
      text: 'echo(2): hello',
      turns: 1,
      sessionId: session.id,
      isError: false,
      subtype: 'success',
      permissionDenials: [],
      stopReason: 'end_turn',
      errors: [],
    })
    assertMoney(cost, PRICE)
    assert.equal(typeof duration, 'number')
    assert.deepEqual([usage.input_tokens, usage.output_tokens], [10, 5])

    const [interaction] = session.interactions
    assert.deepEqual(Object.keys(interaction).toSorted(), INTERACTION_FIELDS.toSorted())
    const { timestamp, ...turn } = interaction
    assert.deepEqual(turn, { prompt: 'hello', response: 'echo(2): hello', cost, turns: 1, duration })
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.ok(Date.parse(timestamp) >= before && Date.parse(timestamp) <= Date.now())
  })

  test('cost is the turn’s own, the totals add up', async (t) => {
    const session = started(world(t))
    const first = await session.send('one usage:1000,100')
    const second = await session.send('two')
    assertMoney(first.cost, 0.006)
    assertMoney(second.cost, PRICE)
    assertMoney(session.totalCostUsd, 0.006 + PRICE)
    assert.equal(session.totalTurns, 2)
  })

  test('a turn that the CLI ends with an error resolves, with isError and subtype', async (t) => {
    const session = started(world(t))
    const execution = await session.send('stand-in: error execution no luck')
    assert.deepEqual(
      [execution.isError, execution.subtype, execution.errors],
      [true, 'error_during_execution', ['no luck']],
    )
    assert.equal(session.interactions[0].isError, true)
    const api = await session.send('stand-in: error 400')
    assert.deepEqual([api.isError, api.subtype], [true, 'success'])
    assert.match(api.text, /API Error: 400/)
    assert.equal((await session.send('on')).isError, false)
    assert.ok(!('isError' in session.interactions[2]))
    assert.equal(session.interactions.length, 3)
  })

  test('refused tools are in permissionDenials', async (t) => {
    const session = started(world(t))
    const { permissionDenials, turns } = await session.send('stand-in: tool Bash {"command":"touch x"}; text refused')
    assert.deepEqual(
      permissionDenials.map(({ tool_name, tool_input }) => ({ tool_name, tool_input })),
      [{ tool_name: 'Bash', tool_input: { command: 'touch x' } }],
    )
    assert.equal(turns, 2)
  })

  test('messages are answered one after the other, in the order of the calls', async (t) => {
    const session = started(world(t))
    const order = []
    const texts = await Promise.all(
      ['slow 40 first', 'echo second', 'text third'].map((words, index) =>
        session.send(`stand-in: ${words}`).then(({ text }) => {
          order.push(index)
          return text
        }),
      ),
    )
    assert.deepEqual(texts, ['echo(2): first', 'echo(4): second', 'third'])
    assert.deepEqual(order, [0, 1, 2])
    assert.deepEqual(
      session.interactions.map(({ response }) => response),
      texts,
    )
  })

  test('content blocks reach the CLI unchanged; the history shows their text', async (t) => {
    const session = started(world(t))
    const content = [
      { type: 'text', text: 'stand-in: received' },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' } },
      { type: 'other', extra: { deep: ['ünïcode', '\u2028', null] } },
    ]
    const { text } = await session.send(content)
    const { message, uuid, priority } = JSON.parse(text)
    assert.deepEqual(message, { role: 'user', content })
    assert.match(uuid, /^[0-9a-f]{8}-/)
    assert.equal(priority, 'later')
    assert.equal(session.interactions[0].prompt, 'stand-in: received\n[image]\n[other]')
  })

  test('a message may be changed after the call: what was given is what is sent', async (t) => {
    const session = started(world(t))
    const blocks = [{ type: 'text', text: 'before' }]
    const answer = session.send(blocks)
    blocks[0].text = 'after'
    blocks.push({ type: 'text', text: 'more' })
    assert.equal((await answer).text, 'echo(2): before')
  })

  test('long, odd and hostile texts go both ways unharmed', async (t) => {
    const session = started(world(t))
    const odd = 'quote " backslash \\ newline \n tab \t nul \0 line \u2028 emoji 🙂 日本 \ud83d end'
    // The CLI reads a lone surrogate as U+FFFD; the history has what was sent.
    assert.equal((await session.send(odd)).text, `echo(2): ${odd.toWellFormed()}`)
    assert.equal((await session.send('x'.repeat(300_000))).text.length, 'echo(4): '.length + 300_000)
    assert.equal((await session.send('stand-in: surrogate')).text, 'lone \ud83d end')
    assert.match((await session.send('stand-in: dribble 3')).text, /: stand-in: dribble 3 🙂 grüße 日本$/)
    assert.equal((await session.send('stand-in: big 3')).text.length, 3 * 1024 * 1024)
    assert.equal(session.interactions[0].prompt, odd)
  })

  test('broken lines, unknown messages, a missing init and a doubled result harm no turn', async (t) => {
    const session = started(world(t))
    assert.equal((await session.send('stand-in: garbage; text fine')).text, 'fine')
    assert.equal((await session.send('stand-in: no-init; text without')).text, 'without')
    assert.equal((await session.send('stand-in: two-results; text twice')).text, 'twice')
    assert.equal((await session.send('stand-in: text next')).text, 'next')
    assert.equal((await session.send('stand-in: text last')).text, 'last')
  })
})

describe('a CLI that writes oddly', () => {
  const id = '11111111-2222-4333-8444-555555555555'
  const deep = `${'['.repeat(1500)}${']'.repeat(1500)}`
  const init = (more = '') => `{"type":"system","subtype":"init","session_id":"${id}"${more}}`
  const result = (more = '', text = '"ok"') =>
    `{"type":"result","subtype":"success","is_error":false,"num_turns":1,"result":${text},"session_id":"${id}"${more}}`
  // One turn each; the answer is "ok" where none is named.
  const turns = [
    [
      'any order of keys',
      [init(), `{"result":"ok","session_id":"${id}","is_error":false,"num_turns":1,"type":"result"}`],
    ],
    [
      'escapes in keys',
      [init(), result().replace('"type"', '"t\\u0079pe"').replace('"result":"ok"', '"resul\\u0074":"ok"')],
    ],
    ['blanks and carriage returns', [`  ${init()} \r`, `\t${result()}\r`]],
    ['blanks between tokens', [init(), result().replaceAll(':', ' : ').replaceAll(',', ' ,\t')]],
    ['repeated keys', [init(), result(',"result":"first","type":"result","result":"ok"')]],
    ['a deep unknown field', [init(), result(`,"later":${deep}`)]],
    ['a deep known field', [init(), result(`,"usage":{"deep":${deep}}`)]],
    ['a deep init', [init(`,"tools":${deep}`), result()]],
    [
      'a deep tool call',
      [init(), assistant(`{"type":"tool_use","id":"t","name":"X","input":{"deep":${deep}}}`), result()],
    ],
    ['lone surrogates', [init(), result('', '"\\ud83d ok \\ude00"')], '\ud83d ok \ude00'],
    ['numbers out of range', [init(), result(',"total_cost_usd":1e400,"duration_ms":-5')]],
    ['fields of wrong types', [init(), result(',"usage":[],"permission_denials":{},"errors":"x","stop_reason":[]')]],
    ['nulls', [init(), result(',"usage":null,"permission_denials":null,"errors":null,"total_cost_usd":null')]],
    ['a result that is no text', [init(), result('', '{"a":1}')], ''],
    ['an assistant without a message', [init(), '{"type":"assistant"}', '{"type":"user","message":5}', result()]],
    ['content that is no list', [init(), '{"type":"assistant","message":{"content":"text"}}', result()]],
    ['blocks that are none', [init(), assistant('null,5,"x",{},{"type":5},{"type":"text"}'), result()]],
    ['an init without an id', ['{"type":"system","subtype":"init"}', result()]],
    ['unknown types with all known fields', [init(), result().replace('"result"', '"resultat"'), result()]],
  ]

  function assistant(blocks) {
    return `{"type":"assistant","message":{"content":[${blocks}]},"session_id":"${id}"}`
  }

  test('is understood all the same, or costs one event, never a turn', async (t) => {
    const w = world(t)
    const transcript = join(w.dir, 'odd.ndjson')
    writeFileSync(transcript, turns.flatMap(([, lines]) => lines.map((line) => `${line}\n`)).join(''))
    const session = w.session({ env: standInEnv({ transcript }) })
    const seen = record(session, ['message', 'text', 'tool_use', 'tool_result', 'result'])
    session.start()
    for (const [what, , text = 'ok'] of turns) {
      const response = await session.send(what, 5000).catch(({ message }) => ({ text: message }))
      assert.equal(response.text, text, what)
      assert.deepEqual([typeof response.cost, typeof response.turns, typeof response.duration], Array(3).fill('number'))
      assert.ok(Array.isArray(response.permissionDenials) && Array.isArray(response.errors), what)
      assert.ok(response.cost >= 0 && response.duration >= 0, what)
    }
    assert.equal(session.interactions.length, turns.length)
    assert.ok(Number.isFinite(session.totalCostUsd))
    assert.equal(session.id, id)
    assert.equal(seen.filter(([name]) => name === 'result').length, turns.length)
    assert.ok(
      seen.every(([name, value]) => name !== 'text' || typeof value === 'string'),
      'text is text',
    )
  })
})

describe('events', () => {
  test('of a plain session come in this order, with these arguments', async (t) => {
    const session = world(t).session()
    const seen = record(session)
    session.start()
    const response = await session.send('hello')
    session.stop()
    await session.closed
    const statuses = seen.filter(([name]) => name === 'status').map(([, now, before]) => `${before} ${now}`)
    assert.deepEqual(statuses, ['starting ready', 'ready busy', 'busy ready', 'ready stopped'])
    const others = seen.filter(([name]) => name !== 'status')
    assert.deepEqual(namesOf(others), ['init', 'text', 'result', 'close'])
    assert.deepEqual(others[0], ['init', session.initData])
    assert.deepEqual([session.initData.type, session.initData.session_id], ['system', session.id])
    assert.deepEqual(others[1], ['text', 'echo(2): hello'])
    assert.deepEqual(others[2], ['result', response, session.interactions[0]])
    assert.deepEqual(others[3], ['close', 0, null])
    assert.equal(seen.at(-1)[0], 'close')
    assert.ok(
      seen.findIndex(([name]) => name === 'init') >
        seen.findIndex(([name, now]) => name === 'status' && now === 'busy'),
    )
  })

  test('tool calls, tool results and texts come block by block, in their order', async (t) => {
    const session = world(t).session({ allowedTools: ['Bash'] })
    const seen = record(session, ['init', 'text', 'tool_use', 'tool_result', 'result'])
    session.start()
    await session.send('stand-in: tool Bash {"command":"echo hi"}; tool Read {"file_path":"/no/file"}; text done')
    assert.deepEqual(namesOf(seen), ['init', 'tool_use', 'tool_result', 'tool_use', 'tool_result', 'text', 'result'])
    const [, [, use], [, result], , [, failed]] = seen
    assert.deepEqual([use.type, use.name, use.input], ['tool_use', 'Bash', { command: 'echo hi' }])
    assert.deepEqual([result.type, result.tool_use_id, result.content], ['tool_result', use.id, 'hi'])
    assert.ok(!result.is_error)
    assert.equal(failed.is_error, true)
    assert.deepEqual(seen[5], ['text', 'done'])
  })

  test('text comes for each block, the response has the final one', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['text'])
    const { text } = await session.send('stand-in: stream 4 part')
    assert.deepEqual(seen, [
      ['text', 'part 1'],
      ['text', 'part 2'],
      ['text', 'part 3'],
      ['text', 'part 4'],
    ])
    assert.equal(text, 'part 4')
  })

  test('message brings every message of the CLI in order, also those that clearctx does not know', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['message', 'text'])
    await session.send('stand-in: garbage; text fine')
    const messages = seen.filter(([name]) => name === 'message').map(([, message]) => message)
    assert.ok(messages.every((message) => typeof message === 'object' && message !== null))
    const types = messages.map(({ type }) => type)
    assert.ok(types.includes('no_such_type'), types.join())
    const kinds = types.filter((type) => ['system', 'assistant', 'result'].includes(type))
    assert.deepEqual(kinds, ['system', 'system', 'assistant', 'assistant', 'result'])
    const text = seen.findIndex(([name]) => name === 'text')
    assert.equal(seen[text - 1][1].type, 'assistant', 'message comes before the events made of it')
  })

  test('listeners may come and go in mid-session', async (t) => {
    const session = started(world(t))
    await session.send('one')
    const messages = []
    const texts = []
    const listen = (message) => messages.push(message)
    session.on('message', listen)
    await session.send('two')
    const heard = messages.length
    assert.ok(heard >= 3, 'init, assistant and result at least')
    session.off('message', listen)
    session.once('text', (text) => texts.push(text))
    await session.send('stand-in: stream 3 x')
    assert.equal(messages.length, heard)
    assert.deepEqual(texts, ['x 1'])
    await session.send('nobody listens')
    assert.deepEqual(texts, ['x 1'])
  })

  test('a listener added right after the call of send, or in an init listener, hears the turn', async (t) => {
    const session = started(world(t))
    const texts = []
    const first = session.send('stand-in: text first')
    session.on('text', (text) => texts.push(text))
    await first
    session.removeAllListeners('text')
    session.once('init', () => session.prependListener('text', (text) => texts.push(`then ${text}`)))
    await session.send('stand-in: slow 30; text second')
    assert.deepEqual(texts, ['first', 'then second'])
  })

  test('a listener added in the same synchronous code as the send hears the turn, however quick the CLI is', async (t) => {
    const session = started(world(t))
    await session.send('warm')
    const answer = session.send('stand-in: stream 2 x')
    block(300)
    const seen = record(session, ['init', 'text', 'result'])
    await answer
    assert.deepEqual(namesOf(seen), ['init', 'text', 'text', 'result'])
  })

  test('listeners added after removeAllListeners() hear what comes', async (t) => {
    const session = started(world(t))
    session.on('text', () => assert.fail('removed'))
    session.removeAllListeners()
    await session.send('not heard')
    const seen = record(session, ['text', 'result', 'close'])
    await session.send('stand-in: text heard')
    session.stop()
    await session.closed
    assert.deepEqual(namesOf(seen), ['text', 'result', 'close'])
  })

  test('a new session has no listeners that its user did not add', () => {
    assert.deepEqual(new StreamSession({ name: 'quiet' }).eventNames(), [])
  })

  test('async iteration and once of node:events work', async (t) => {
    const session = started(world(t))
    const texts = []
    const abort = new AbortController()
    const reading = (async () => {
      for await (const [text] of on(session, 'text', { signal: abort.signal })) if (texts.push(text) === 3) return
    })()
    await session.send('stand-in: stream 3 n')
    await reading
    assert.deepEqual(texts, ['n 1', 'n 2', 'n 3'])
    session.stop()
    assert.deepEqual(await once(session, 'close'), [0, null])
  })

  test('bookkeeping is done before the listeners run', async (t) => {
    const session = world(t).session()
    const looks = []
    const look = (event) => {
      const { status, id, interactions, totalTurns, initData } = session
      looks.push([event, status, id !== null, interactions.length, totalTurns, initData !== null])
    }
    for (const event of ['init', 'result', 'close']) session.on(event, () => look(event))
    session.start()
    await session.send('hello')
    session.stop()
    await session.closed
    assert.deepEqual(looks, [
      ['init', 'busy', true, 0, 0, true],
      ['result', 'ready', true, 1, 1, true],
      ['close', 'stopped', true, 1, 1, true],
    ])
  })

  test('the promise of a send settles after the listeners of its result, and sees what they did', async (t) => {
    const session = started(world(t))
    const order = []
    session.on('result', () => order.push('result'))
    await session.send('hello').then(() => order.push('promise'))
    assert.deepEqual(order, ['result', 'promise'])
  })

  test('what a result listener sends is answered, after what waited before it', async (t) => {
    const session = started(world(t))
    let third
    session.once('result', () => (third = session.send('three')))
    const [first, second] = await Promise.all([session.send('one'), session.send('two')])
    assert.deepEqual([first.text, second.text, (await third).text], ['echo(2): one', 'echo(4): two', 'echo(6): three'])
  })

  test('stderr brings the text, characters whole', async (t) => {
    const w = world(t)
    const words = 'grüße 日本 🙂\n'
    // Every chunk ends within a character.
    const program = join(w.dir, 'noisy.cjs')
    writeFileSync(
      program,
      `#!${process.execPath}
      const bytes = Buffer.from(${JSON.stringify(words.repeat(20))})
      const { writeSync } = require('node:fs')
      let at = 0
      const next = () => (at < bytes.length ? (writeSync(2, bytes.subarray(at, (at += 5))), setImmediate(next)) : 0)
      next()
      process.stdin.resume()`,
      { mode: 0o755 },
    )
    const session = w.session({ claudePath: program })
    let text = ''
    session.on('stderr', (part) => (text += part))
    session.start()
    while (text.length < words.length * 20) await once(session, 'stderr')
    assert.equal(text, words.repeat(20))
    session.stop()
    await session.closed
  })

  test('a megabyte on stderr stops nobody, heard or not', async (t) => {
    const session = started(world(t))
    assert.equal((await session.send('stand-in: stderr 1; text on')).text, 'on')
    let length = 0
    session.on('stderr', (part) => (length += part.length))
    assert.equal((await session.send('stand-in: stderr 1; text again')).text, 'again')
    session.stop()
    await session.closed
    assert.equal(length, 1024 * 1024)
  })

  test('a turn that the CLI starts by itself is an event and history, and nobody’s answer', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['init', 'result'])
    await session.send('stand-in: background 40 turn 30 it is done; text started')
    const [[response, interaction]] = await Promise.all([once(session, 'result'), once(session, 'init')])
    assert.equal(response.text, 'it is done')
    assert.deepEqual([interaction.type, interaction.prompt], ['background', ''])
    assert.equal(session.interactions.at(-1), interaction)
    assert.deepEqual(namesOf(seen), ['init', 'result', 'init', 'result'])
    assert.equal((await session.send('stand-in: text mine')).text, 'mine')
    assert.equal(session.interactions.length, 3)
    assert.equal(session.totalTurns, 2 + 1 + 1)
  })

  test('in the init listener of such a turn the session is busy, in its result listener ready', async (t) => {
    const session = started(world(t))
    await session.send('stand-in: background 20 turn 20 its own; text started')
    const statuses = []
    session.on('init', () => statuses.push(session.status))
    session.on('status', (status) => statuses.push(`now ${status}`))
    session.on('result', () => statuses.push(session.status))
    await once(session, 'result')
    assert.deepEqual(statuses, ['now busy', 'busy', 'now ready', 'ready'])
  })

  test('a message sent during such a turn waits for its end', async (t) => {
    const session = started(world(t))
    await session.send('stand-in: background 20 turn 60 trap its own; text started')
    await once(session, 'init')
    const { text } = await session.send('stand-in: echo mine')
    assert.match(text, /^echo\(\d+\): mine$/)
    assert.deepEqual(
      session.interactions.map(({ type, response }) => type ?? response),
      ['started', 'background', text],
    )
  })
})

describe('what is visible', () => {
  test('initData and id follow every init, also a /clear', async (t) => {
    const session = started(world(t))
    assert.equal(session.initData, null)
    const first = await session.send('one')
    const { initData, id } = session
    assert.equal(first.sessionId, id)
    assert.equal(initData.session_id, id)
    await session.send('/clear')
    assert.notEqual(session.id, id)
    assert.equal(session.initData.session_id, session.id)
    assert.notEqual(session.initData.uuid, initData.uuid)
    assert.equal((await session.send('two')).sessionId, session.id)
  })

  test('interactions is the same array for ever, and it grows', async (t) => {
    const session = started(world(t))
    const { interactions } = session
    await session.send('one')
    await session.send('two')
    session.stop()
    await session.closed
    assert.equal(session.interactions, interactions)
    assert.deepEqual(
      interactions.map(({ prompt }) => prompt),
      ['one', 'two'],
    )
  })

  test('interactions, totalCostUsd and totalTurns can be assigned; later turns go on from there', async (t) => {
    const session = started(world(t))
    const history = [{ prompt: 'old', response: 'older', cost: 1, turns: 2, duration: 3, timestamp: 'x' }]
    session.interactions = history
    session.totalCostUsd = 1
    session.totalTurns = 2
    await session.send('new')
    assert.equal(session.interactions, history)
    assert.deepEqual(
      history.map(({ prompt }) => prompt),
      ['old', 'new'],
    )
    assertMoney(session.totalCostUsd, 1 + PRICE)
    assert.equal(session.totalTurns, 3)
  })

  test('toJSON() is a snapshot of its own', async (t) => {
    const w = world(t)
    const session = started(w, { tags: ['x'], allowedTools: ['Read'], model: 'haiku', maxBudget: 3, timeout: 5000 })
    await session.send('one')
    const snapshot = session.toJSON()
    const { interactions, pid, totalCostUsd, created, ...rest } = snapshot
    assert.deepEqual(rest, {
      name: 'solo',
      id: session.id,
      claudeSessionId: session.id,
      status: 'ready',
      model: 'haiku',
      workDir: process.cwd(),
      permissionMode: 'default',
      allowedTools: ['Read'],
      systemPrompt: '',
      maxBudget: 3,
      agent: null,
      totalTurns: 1,
      interactionCount: 1,
      timeout: 5000,
      tags: ['x'],
    })
    assert.equal(pid, session.pid)
    assertMoney(totalCostUsd, PRICE)
    assert.equal(new Date(created).toISOString(), created)
    assert.deepEqual(interactions, session.interactions)
    assert.deepEqual(JSON.parse(JSON.stringify(session)), JSON.parse(JSON.stringify(snapshot)))
    // Neither follows the other.
    snapshot.allowedTools.push('Bash')
    snapshot.tags.length = 0
    snapshot.interactions[0].prompt = 'changed'
    snapshot.interactions.push('more')
    assert.deepEqual([session.allowedTools, session.tags, session.interactions.length], [['Read'], ['x'], 1])
    assert.equal(session.interactions[0].prompt, 'one')
    const second = session.toJSON()
    await session.send('two')
    assert.deepEqual([second.interactionCount, second.interactions.length, second.totalTurns], [1, 1, 1])
  })

  test('nothing changes between two statements of synchronous code', async (t) => {
    const session = started(world(t))
    await session.send('warm')
    const answer = session.send('stand-in: then exit 3; text bye')
    const seen = record(session)
    const before = JSON.stringify(session)
    block(300)
    assert.equal(session.status, 'busy')
    assert.equal(JSON.stringify(session), before)
    assert.deepEqual(seen, [])
    assert.equal((await answer).text, 'bye')
    assert.deepEqual(await session.closed, { code: 3, signal: null })
    assert.equal(session.status, 'failed')
  })
})

describe('pause and resume', () => {
  test('mark an idle session; send takes the mark away', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status'])
    session.pause()
    assert.equal(session.status, 'paused')
    assert.ok(isAlive(session.pid))
    session.pause()
    session.resume()
    assert.equal(session.status, 'ready')
    session.resume()
    session.pause()
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
    assert.equal(session.status, 'ready')
    assert.deepEqual(
      seen.map(([, now, before]) => `${before} ${now}`),
      ['ready paused', 'paused ready', 'ready paused', 'paused busy', 'busy ready'],
    )
  })

  test('a turn in flight finishes, what waits stays until resume()', async (t) => {
    const w = world(t)
    const { options, log } = logged(w)
    const session = started(w, options)
    const first = session.send('stand-in: slow 40 first')
    const second = session.send('second')
    session.pause()
    assert.equal((await first).text, 'echo(2): first')
    assert.equal(session.status, 'paused')
    assert.deepEqual(messagesIn(log()), ['stand-in: slow 40 first'])
    const resumedAt = Date.now()
    session.resume()
    assert.equal(session.status, 'busy')
    assert.equal((await second).text, 'echo(4): second')
    assert.ok(log().findLast(({ event }) => event === 'message').at >= resumedAt)
  })

  test('a send to a paused session is answered after what waited before', async (t) => {
    const session = started(world(t))
    const first = session.send('stand-in: slow 30 a')
    const second = session.send('b')
    session.pause()
    await first
    const third = session.send('c')
    assert.deepEqual([(await second).text, (await third).text], ['echo(4): b', 'echo(6): c'])
  })

  test('messages that wait in a paused session still have their timeout', async (t) => {
    const session = started(world(t))
    const first = session.send('stand-in: slow 20 a')
    const second = assert.rejects(session.send('b', 150), {
      code: 'ERR_TURN_TIMEOUT',
      sent: false,
      stillRunning: false,
    })
    session.pause()
    await first
    await second
    assert.equal(session.status, 'paused')
  })
})

describe('timeouts', () => {
  test('a message that was sent goes on: its late answer is history and event, and nobody’s promise', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['result'])
    await assert.rejects(session.send('stand-in: slow 200 late one', 40), {
      code: 'ERR_TURN_TIMEOUT',
      message: 'Session "solo" did not answer within 40 ms',
      sent: true,
      stillRunning: true,
    })
    assert.equal(session.status, 'busy')
    const next = await session.send('next')
    assert.equal(next.text, 'echo(4): next')
    assert.equal(session.interactions.length, 2)
    const [late, own] = session.interactions
    assert.deepEqual(
      [late.response, late.prompt, late.late],
      ['echo(2): late one', 'stand-in: slow 200 late one', true],
    )
    assert.ok(!('late' in own))
    assert.equal(seen.length, 2)
    assert.equal(seen[0][2], late)
    assertMoney(session.totalCostUsd, 2 * PRICE)
  })

  test('a message in line is withdrawn and never reaches the CLI', async (t) => {
    const w = world(t)
    const { options, log } = logged(w)
    const session = started(w, options)
    const first = session.send('stand-in: slow 150 first')
    await assert.rejects(session.send('never', 30), { code: 'ERR_TURN_TIMEOUT', sent: false, stillRunning: false })
    await first
    await session.send('after')
    assert.deepEqual(messagesIn(log()), ['stand-in: slow 150 first', 'after'])
    assert.equal(session.interactions.length, 2)
  })

  test('the session’s timeout counts where the call gives none, and can be changed', async (t) => {
    const session = started(world(t), { timeout: 30 })
    await assert.rejects(session.send('stand-in: slow 100'), { code: 'ERR_TURN_TIMEOUT', message: /within 30 ms$/ })
    assert.equal((await session.send('stand-in: slow 60 enough', 5000)).text, 'echo(4): enough')
    session.timeout = 5000
    assert.equal((await session.send('stand-in: slow 60 now')).text, 'echo(6): now')
  })
})

describe('stop()', () => {
  test('lets the turn in flight finish, rejects what waits, and is done once', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status', 'error', 'close'])
    const first = session.send('stand-in: slow 60 still')
    const second = session.send('never')
    session.stop()
    assert.equal(session.status, 'stopped')
    await assert.rejects(second, {
      code: 'ERR_SESSION_STOPPED',
      message: 'Session "solo" was stopped before this message was sent',
    })
    session.stop()
    assert.equal((await first).text, 'echo(2): still')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    session.stop()
    assert.equal(session.interactions.length, 1)
    assert.deepEqual(
      seen.map((event) => event.join(' ')),
      ['status busy ready', 'status stopped busy', 'close 0 '],
    )
  })

  test('rejects what waits in a paused session', async (t) => {
    const session = started(world(t))
    session.pause()
    session.send('stand-in: slow 20').catch(() => {})
    session.pause()
    const waiting = assert.rejects(session.send('in line'), { code: 'ERR_SESSION_STOPPED' })
    session.pause()
    session.stop()
    await waiting
    await session.closed
    assert.equal(session.status, 'stopped')
  })

  test('climbs from end of input to SIGINT to SIGKILL, in the times given', async (t) => {
    const w = world(t)
    const { options, log } = logged(w)
    const session = started(w, { ...options, stopTimeout: 60, killTimeout: 60 })
    await session.send('stand-in: ignore-signals; text deaf')
    session.stop()
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(session.status, 'stopped')
    const [eof, signal] = log().filter(({ event }) => event === 'eof' || event === 'signal')
    assert.deepEqual([eof.event, signal.signal], ['eof', 'SIGINT'])
    assert.ok(signal.at - eof.at >= 30, `${signal.at - eof.at} ms from end of input to SIGINT`)
  })

  test('an exit code 1 after an error result is no failure', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['error'])
    await session.send('stand-in: error execution')
    session.stop()
    assert.deepEqual(await session.closed, { code: 1, signal: null })
    assert.equal(session.status, 'stopped')
    assert.deepEqual(seen, [])
  })
})

describe('kill()', () => {
  test('in a listener: close is the last event all the same, and comes once', async (t) => {
    const session = started(world(t))
    const seen = record(session)
    session.once('text', () => session.kill())
    await assert.rejects(session.send('stand-in: stream 5 x; silent'), { code: 'ERR_SESSION_KILLED' })
    await session.closed
    assert.equal(seen.at(-1)[0], 'close')
    assert.equal(namesOf(seen).filter((name) => name === 'close').length, 1)
    assert.equal(session.status, 'killed')
  })

  test('ends the process at once and rejects what was in flight and in line', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status', 'error', 'close'])
    const waiting = [session.send('stand-in: silent'), session.send('in line')]
    const rejected = Promise.all(
      waiting.map((answer) =>
        assert.rejects(answer, {
          code: 'ERR_SESSION_KILLED',
          message: 'Session "solo" was killed before this message was answered',
        }),
      ),
    )
    await reached(session, 'busy')
    session.kill()
    assert.equal(session.status, 'killed')
    await rejected
    session.kill()
    session.stop()
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(session.status, 'killed')
    assert.equal(session.interactions.length, 0)
    assert.deepEqual(
      seen.map((event) => event.join(' ')),
      ['status busy ready', 'status killed busy', 'close  SIGKILL'],
    )
  })

  test('ends all that the process has started, also what is no child of it any more', async (t) => {
    const session = started(world(t))
    const pids = [
      ...JSON.parse((await session.send('stand-in: spawn-children 2')).text),
      ...JSON.parse((await session.send('stand-in: spawn-orphans 2')).text),
    ]
    assert.equal(pids.filter(isAlive).length, 4)
    session.kill()
    await session.closed
    await until(() => !pids.some(isAlive), 'no descendant left')
  })

  test('ends a session that is being stopped', async (t) => {
    const session = started(world(t))
    const answer = session.send('stand-in: silent')
    await once(session, 'init')
    session.stop()
    session.kill()
    assert.equal(session.status, 'killed')
    await assert.rejects(answer, { code: 'ERR_SESSION_KILLED' })
    assert.equal((await session.closed).signal, 'SIGKILL')
  })
})

describe('ends that nobody asked for', () => {
  for (const [what, message, end] of [
    ['exits in mid-turn', 'stand-in: exit 3', { code: 3, signal: null }],
    ['is killed in mid-turn', 'stand-in: crash', { code: null, signal: 'SIGKILL' }],
    ['is killed before its init', 'stand-in: crash-before-init', { code: null, signal: 'SIGKILL' }],
    ['leaves half a result behind', 'stand-in: half-line', { code: 0, signal: null }],
  ]) {
    test(`a process that ${what} rejects the turn and tells of it as error, then close`, async (t) => {
      const session = started(world(t))
      const seen = record(session, ['status', 'error', 'close'])
      const expected = { code: 'ERR_PROCESS_EXITED', exitCode: end.code, signal: end.signal, name: 'Error' }
      await Promise.all([message, 'in line'].map((words) => assert.rejects(session.send(words), expected)))
      assert.deepEqual(await session.closed, end)
      assert.equal(session.status, 'failed')
      assert.deepEqual(namesOf(seen), ['status', 'status', 'error', 'close'])
      assert.deepEqual(seen[1].slice(1), ['failed', 'busy'])
      assert.equal(seen[2][1].code, 'ERR_PROCESS_EXITED')
      assert.deepEqual(seen[3].slice(1), [end.code, end.signal])
      assert.equal(session.interactions.length, 0, 'nothing of the turn is invented')
    })
  }

  test('the error carries the last 8 KiB of stderr, the message its last line', async (t) => {
    const session = started(world(t))
    const error = await session.send('stand-in: stderr 0.125; exit 4').catch((reason) => reason)
    assert.equal(error.exitCode, 4)
    assert.match(error.stderr, /stand-in: leaving with code 4\n?$/)
    assert.ok(Buffer.byteLength(error.stderr) <= 8192 && Buffer.byteLength(error.stderr) > 7000)
    assert.equal(
      error.message,
      'Session "solo" ended before it answered: its process exited with code 4: stand-in: leaving with code 4',
    )
  })

  test('an error without a listener does not end the program', async (t) => {
    const session = started(world(t))
    process.kill(session.pid, 'SIGKILL')
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(session.status, 'failed')
  })

  test('an idle process that ends by itself with code 0 is stopped, no error', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status', 'error', 'close'])
    await session.send('stand-in: then exit 0; text bye')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    assert.deepEqual(
      seen.slice(-2).map(([name, first]) => `${name} ${first}`),
      ['status stopped', 'close 0'],
    )
  })

  test('a conversation that the CLI does not know fails the start', async (t) => {
    const w = world(t)
    const session = w.session({ sessionId: '00000000-0000-4000-8000-000000000000' })
    const seen = record(session, ['error', 'close'])
    session.start()
    const answer = session.send('hello')
    await assert.rejects(answer, {
      code: 'ERR_START_FAILED',
      message: /^Session "solo" failed to start: .*No conversation found/,
    })
    assert.deepEqual(await session.closed, { code: 1, signal: null })
    assert.equal(session.status, 'failed')
    assert.deepEqual(namesOf(seen), ['error', 'close'])
    assert.equal(seen[0][1].code, 'ERR_START_FAILED')
    assert.deepEqual(session.interactions, [])
  })

  test('a CLI that closes its output and lives on is ended, and the turn rejected', async (t) => {
    const session = started(world(t), { stopTimeout: 100, killTimeout: 100 })
    await assert.rejects(session.send('stand-in: close-stdout; silent', 20_000), { code: 'ERR_PROCESS_EXITED' })
    await session.closed
    assert.equal(session.status, 'failed')
  })

  test('a CLI that reads no more does not hold up a timeout or a kill', async (t) => {
    const session = started(world(t))
    await session.send('stand-in: no-read; text deaf')
    // More than a pipe holds.
    const big = session.send('x'.repeat(1_000_000), 200)
    await assert.rejects(big, { code: 'ERR_TURN_TIMEOUT' })
    const next = assert.rejects(session.send('more'), { code: 'ERR_SESSION_KILLED' })
    session.kill()
    await next
    assert.equal((await session.closed).signal, 'SIGKILL')
  })

  test('a process whose child holds the pipe still closes', async (t) => {
    const session = started(world(t), { allowedTools: ['Bash'] })
    // The sleep has no pipe of the stand-in's, but the stand-in is gone while it lives.
    const [pid] = JSON.parse((await session.send('stand-in: spawn-orphans 1')).text)
    process.kill(session.pid, 'SIGKILL')
    await session.closed
    process.kill(pid, 'SIGKILL')
  })
})

describe('methods out of season', () => {
  const notAlive = {
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "solo" is not alive. Use resume() to restore it.',
  }

  const assertDead = async (session) => {
    const answer = session.send('hello')
    assert.ok(answer instanceof Promise)
    await assert.rejects(answer, notAlive)
    assert.throws(() => session.pause(), notAlive)
    assert.throws(() => session.resume(), notAlive)
    assert.equal(session.stop(), undefined)
    assert.equal(session.kill(), undefined)
  }

  test('before the start: send rejects, pause and resume throw, stop and kill do nothing', async (t) => {
    const session = world(t).session()
    await assertDead(session)
    assert.equal(session.toJSON().status, session.status)
    assert.deepEqual(session.toJSON().interactions, [])
  })

  test('after the end: the same, and the status stays', async (t) => {
    const session = started(world(t))
    await session.send('hello')
    session.stop()
    await session.closed
    await assertDead(session)
    assert.equal(session.status, 'stopped')
    assert.equal(session.toJSON().interactionCount, 1)
    assert.deepEqual(await session.closed, { code: 0, signal: null })
  })

  test('while a stop is under way: the same', async (t) => {
    const session = started(world(t))
    const answer = session.send('stand-in: slow 50 last')
    session.stop()
    await assert.rejects(session.send('more'), notAlive)
    assert.throws(() => session.pause(), notAlive)
    assert.throws(() => session.resume(), notAlive)
    assert.equal((await answer).text, 'echo(2): last')
    assert.equal(session.status, 'stopped')
  })

  test('in a close listener the session is over', async (t) => {
    const session = started(world(t))
    const tried = new Promise((resolve) => {
      session.on('close', () => resolve(assertDead(session)))
    })
    session.kill()
    await tried
  })
})
