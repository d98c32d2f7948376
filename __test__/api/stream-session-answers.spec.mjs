/** What a StreamSession answers: responses and interactions, and a CLI that writes oddly. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { record } from '../support/events.mjs'
import { world } from '../support/sessions.mjs'
import { PRICE, assertMoney, started } from '../support/solo-sessions.mjs'

const RESPONSE_FIELDS = [
  'text',
  'cost',
  'turns',
  'duration',
  'sessionId',
  'isError',
  'failure',
  'subtype',
  'usage',
  'permissionDenials',
  'stopReason',
  'errors',
]

const INTERACTION_FIELDS = ['prompt', 'response', 'cost', 'turns', 'duration', 'timestamp']

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
      failure: null,
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
