/** What a CLI may write that no one expects: nothing of it is fatal, and no answer is lost or taken for another. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { HABITS, init, near, PLAIN, record, recording, rejection, result, SESSION_ID } from '../support/turns.mjs'

/** A session that replays these lines, and what its messages are answered with. */
async function replay(t, lines, count = 1) {
  const w = world(t)
  const m = w.manager({ env: standInEnv({ transcript: recording(w, 'hostile', lines) }) })
  await m.spawn('a')
  const errors = record(m.sessions.get('a'), 'error')
  const answers = []
  for (let turn = 0; turn < count; turn += 1) answers.push(await m.send('a', 'x', 5000))
  return { w, m, answers, errors }
}

/** A program that answers each line of its input with the next of these lists of lines, byte for byte. */
function program(w, turns) {
  const files = turns.map((lines, at) => recording(w, `turn-${at}`, lines))
  const claudePath = join(w.dir, 'program.sh')
  const script = files.map((file) => `read line && cat '${file}'`).join('\n')
  writeFileSync(claudePath, `#!/bin/sh\n${script}\ncat >/dev/null\n`, { mode: 0o755 })
  return claudePath
}

for (const habit of HABITS) {
  test(`broken and odd lines between the good ones are skipped or passed on (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit }) })
    await m.spawn('a')
    const messages = record(m.sessions.get('a'), 'message')
    const errors = record(m.sessions.get('a'), 'error')
    assert.equal((await m.send('a', 'stand-in: garbage; text fine')).text, 'fine')
    assert.equal((await m.send('a', 'next')).text, 'echo(4): next')
    assert.deepEqual(errors, [])
    const odd = messages.map(([, message]) => message).filter(({ type }) => type === 'no_such_type')
    assert.ok(odd.length >= 2, 'unknown types are passed on')
    assert.ok(messages.some(([, { subtype }]) => subtype === 'no_such_subtype'))
    for (const [, message] of messages) assert.equal(Object.prototype.toString.call(message), '[object Object]')
    assert.equal(m.history('a').length, 2)
  })

  test(`bytes that come one by one make the same answer (${habit} CLI)`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ habit, chunkBytes: 7 }) })
    const { response } = await m.spawn('a', { prompt: 'stand-in: dribble 1 einzeln' })
    assert.equal(response.text, 'echo(2): einzeln 🙂 grüße 日本')
    for (const bytes of [2, 3, 5, 4096]) {
      const { text } = await m.send('a', `stand-in: dribble ${bytes} x`)
      assert.ok(text.endsWith(' x 🙂 grüße 日本'), text)
    }
  })

  test(`lone surrogates lose no line and survive on disk (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit }) })
    await m.spawn('a', { allowedTools: ['Bash'] })
    const events = record(m.sessions.get('a'), 'text', 'tool_result')
    const { text } = await m.send('a', 'stand-in: surrogate')
    assert.equal(text, 'lone \ud83d end')
    assert.deepEqual(
      events.map(([name, value]) => [name, value.content ?? value]),
      [
        ['tool_result', 'cut \ude00 here'],
        ['text', 'lone \ud83d end'],
      ],
    )
    assert.equal(m.history('a')[0].response, 'lone \ud83d end')
    assert.equal(w.readStore().a.interactions[0].response, 'lone \ud83d end')
    assert.match(readFileSync(w.sessionsFile, 'utf8'), /\\ud83d end/)
    m.stop('a')
    await m.close()
    const next = w.manager()
    assert.equal(next.history('a')[0].response, 'lone \ud83d end')
    await next.resume('a', 'a lone \udc00 in the message')
    assert.equal(next.history('a')[1].prompt, 'a lone \udc00 in the message')
    assert.equal(next.history('a')[0].response, 'lone \ud83d end')
    assert.equal(next.store.get('a').interactions[1].prompt, 'a lone \udc00 in the message')
  })

  test(`a second result for the same message answers no later one (${habit} CLI)`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ habit }) })
    await m.spawn('a')
    const messages = ['one', 'two', 'three'].map((word) => m.send('a', `stand-in: two-results; text ${word}`))
    assert.deepEqual(
      (await Promise.all(messages)).map(({ text }) => text),
      ['one', 'two', 'three'],
    )
    assert.match((await m.send('a', 'four')).text, /: four$/)
  })
}

test('an answer of 100 MiB arrives whole, and the program stays responsive meanwhile', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  let ticks = 0
  const timer = setInterval(() => (ticks += 1), 20)
  const { text } = await m.send('a', 'stand-in: big 100')
  clearInterval(timer)
  assert.equal(text.length, 100 << 20)
  assert.equal(text.at(-1), 'x')
  assert.ok(ticks > 0)
  assert.equal(m.lastOutput('a').response.length, 100 << 20)
})

test('lines of several MiB reach a message listener', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const texts = record(m.sessions.get('a'), 'text', 'message')
  await m.send('a', 'stand-in: big 6')
  const [[, text]] = texts.filter(([name]) => name === 'text')
  assert.equal(text.length, 6 << 20)
  const lengths = texts.filter(([, { type }]) => type === 'result').map(([, message]) => message.result.length)
  assert.deepEqual(lengths, [6 << 20])
})

test('a flood on standard error holds up nothing, with and without a listener', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  assert.equal((await m.send('a', 'stand-in: stderr 16; text quiet')).text, 'quiet')
  let bytes = 0
  m.sessions.get('a').on('stderr', (text) => (bytes += text.length))
  assert.equal((await m.send('a', 'stand-in: stderr 4; text heard')).text, 'heard')
  m.stop('a')
  await m.close()
  assert.equal(bytes, 4 << 20)
})

test('the end of standard error in an exit error is bounded to its last 8 KiB', async (t) => {
  const m = world(t).manager()
  const error = await rejection(m.spawn('a', { prompt: 'stand-in: stderr 2; exit 3' }), 'ERR_PROCESS_EXITED')
  assert.ok(Buffer.byteLength(error.stderr) <= 8 * 1024, `${error.stderr.length}`)
  assert.ok(error.stderr.length > 4 * 1024)
  assert.match(error.stderr, /stand-in: leaving with code 3\n$/)
  assert.ok(error.message.length < 2000)
})

test('the keys of a line may come in any order', async (t) => {
  const reversed = (line) => Object.fromEntries(Object.entries(line).toReversed())
  const lines = [reversed(init({ tools: ['x'] })), reversed(result('answer', { total_cost_usd: 0.25 }))]
  const { m, answers } = await replay(t, lines)
  assert.deepEqual([answers[0].text, answers[0].cost, m.status('a').id], ['answer', 0.25, SESSION_ID])
})

test('a key that stands twice, blanks around a line, CRLF and a BOM do no harm', async (t) => {
  const { answers } = await replay(t, [
    `  ${JSON.stringify(init())}\t\r`,
    '{"type":"assistant","type":"assistant","message":{"content":[]},"message":{"content":[{"type":"text","text":"t"}]}}',
    `\ufeff${JSON.stringify({ type: 'system', subtype: 'noise' })}`,
    '',
    `${JSON.stringify(result('answer', { total_cost_usd: 0 }))}   \r`,
  ])
  assert.equal(answers[0].text, 'answer')
})

const wrong = [null, 7, 'text', true, [], {}, [[]], -1, 1e300]

test('fields of a wrong type spoil only themselves', async (t) => {
  // A text is the right type there, and would name another message.
  const uuid = (value) => (value === 'text' ? undefined : value)
  const turns = wrong.map((value) => [
    init({ tools: value, model: value, user_message_uuids: uuid(value), user_message_uuid: uuid(value) }),
    { type: 'assistant', message: value, uuid: value },
    { type: 'user', message: { content: value } },
    { type: 'assistant', message: { content: [value, { type: value }, { type: 'text', text: value }] } },
    { type: value, subtype: value },
    { type: 'system', subtype: value },
    result('answer', {
      ...{ usage: value, modelUsage: value, permission_denials: value, stop_reason: value, errors: value },
      ...{ duration_ms: value, num_turns: value, total_cost_usd: 0, user_message_uuids: uuid(value), origin: value },
      ...{ model_usage_since_last_result: value, user_message_uuid: uuid(value), subtype: value },
    }),
  ])
  const w = world(t)
  const m = w.manager({ claudePath: program(w, turns) })
  await m.spawn('a')
  const errors = record(m.sessions.get('a'), 'error')
  for (const value of wrong) {
    const answer = await m.send('a', 'x', 3000)
    assert.deepEqual([answer.text, answer.isError, answer.cost], ['answer', false, 0], JSON.stringify(value))
    for (const field of ['turns', 'duration']) {
      assert.ok(Number.isFinite(answer[field]), `${field} ${answer[field]}`)
    }
    for (const field of ['permissionDenials', 'errors']) {
      assert.ok(Array.isArray(answer[field]), `${field} ${JSON.stringify(answer[field])}`)
    }
    assert.ok(answer.subtype === null || typeof answer.subtype === 'string')
  }
  assert.deepEqual(errors, [])
  assert.equal(m.history('a').length, wrong.length)
  const { totalTurns } = m.status('a')
  assert.equal(totalTurns, w.readStore().a.totalTurns)
})

test('a result whose text is no string, or is missing, is an empty answer', async (t) => {
  const values = [undefined, ...wrong.filter((value) => typeof value !== 'string')]
  const lines = values.flatMap((value) => [init(), result(value, { total_cost_usd: 0 })])
  const { answers, m } = await replay(t, lines, values.length)
  assert.deepEqual(
    answers.map(({ text }) => text),
    values.map(() => ''),
  )
  assert.deepEqual(
    m.history('a').map(({ response }) => response),
    values.map(() => ''),
  )
})

test('a session_id of a wrong type does not take the id away', async (t) => {
  const lines = [init(), result('one', { total_cost_usd: 0 })]
  for (const value of [null, 7, {}, '']) {
    lines.push(init({ session_id: value }), result('more', { session_id: value, total_cost_usd: 0 }))
  }
  const { m, w } = await replay(t, lines, 5)
  assert.equal(m.status('a').id, SESSION_ID)
  assert.equal(w.readStore().a.claudeSessionId, SESSION_ID)
})

test('deeply nested lines and very many short ones are no danger', async (t) => {
  const deep = `{"type":"deep","x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`
  const many = Array.from({ length: 20_000 }, (_, at) => ({ type: 'tick', at }))
  const lines = [init(), deep, ...many, result('answer', { total_cost_usd: 0 })]
  const { answers, errors } = await replay(t, lines)
  assert.equal(answers[0].text, 'answer')
  assert.deepEqual(errors, [])
})

test('many messages reach a listener in their order, none lost, none twice', async (t) => {
  const w = world(t)
  const many = Array.from({ length: 20_000 }, (_, at) => ({ type: 'tick', at }))
  const lines = [init(), ...many, result('answer', { total_cost_usd: 0 })]
  const m = w.manager({ env: standInEnv({ transcript: recording(w, 'many', lines) }) })
  await m.spawn('a')
  const seen = []
  m.sessions.get('a').on('message', ({ type, at }) => type === 'tick' && seen.push(at))
  await m.send('a', 'x')
  assert.equal(seen.length, 20_000)
  assert.ok(seen.every((at, index) => at === index))
})

test('a last line without its end of line counts', async (t) => {
  const w = world(t)
  const claudePath = join(w.dir, 'cli.sh')
  const [first, last] = [init(), result('the end', { total_cost_usd: 0 })].map((line) => JSON.stringify(line))
  writeFileSync(claudePath, `#!/bin/sh\nread line\nprintf '%s\\n' '${first}'\nprintf '%s' '${last}'\n`, { mode: 0o755 })
  const m = w.manager({ claudePath })
  const { response } = await m.spawn('a', { prompt: 'x' })
  assert.equal(response.text, 'the end')
})

test('half a result line is no answer', async (t) => {
  const m = world(t).manager()
  const error = await rejection(m.spawn('a', { prompt: 'stand-in: half-line' }), 'ERR_PROCESS_EXITED')
  assert.deepEqual([error.exitCode, error.signal], [0, null])
  // What was seen of the turn is booked, as an estimate.
  const [{ response, isError, costEstimated, cost }, ...others] = m.history('a')
  assert.deepEqual([response, isError, costEstimated, others], ['', true, true, []])
  near(m.status('a').totalCostUsd, cost)
})

test('a turn without an init is answered all the same', async (t) => {
  const m = world(t).manager()
  const { response } = await m.spawn('a', { prompt: 'stand-in: no-init; text fine' })
  assert.equal(response.text, 'fine')
  near(response.cost, PLAIN.newer)
  assert.equal(m.status('a').id, response.sessionId)
  await m.send('a', 'with an init')
  assert.equal((await m.send('a', 'stand-in: no-init; text again', 3000)).text, 'again')
})

test('lines before the first init, of hooks and others, are events and no answers', async (t) => {
  const m = world(t).manager({ env: standInEnv({ start: 'hook-lines' }) })
  await m.spawn('a')
  const messages = record(m.sessions.get('a'), 'message')
  assert.equal((await m.send('a', 'hello')).text, 'echo(2): hello')
  assert.ok(messages.length > 2)
})
