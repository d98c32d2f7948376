/** Turns: one message in flight, each send settled exactly once, errors of the CLI, crashes, pause. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { isAlive, world } from '../support/sessions.mjs'
import { gate, HABITS, near, PLAIN, record, rejection, standInLog, UUID, working } from '../support/turns.mjs'

for (const habit of HABITS) {
  test(`sends in parallel are answered one by one, in order, never merged (${habit} CLI)`, async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: { ...log.env, ...standInEnv({ habit }) } })
    const order = []
    const first = m.spawn('a', { prompt: 'stand-in: slow 50; echo m0' }).then(({ response }) => response)
    const rest = ['m1', 'm2', 'm3', 'm4'].map((message) => m.send('a', message))
    const sends = [first, ...rest].map((send, at) => send.then((response) => (order.push(at), response)))
    const answers = await Promise.all(sends)
    assert.deepEqual(order, [0, 1, 2, 3, 4])
    assert.deepEqual(
      answers.map(({ text }) => text),
      [0, 1, 2, 3, 4].map((at) => `echo(${2 * at + 2}): m${at}`),
    )
    const messages = log.messages()
    assert.equal(messages.length, 5)
    assert.equal(new Set(messages.map(({ uuid }) => uuid)).size, 5)
    for (const { uuid, priority, type, message } of messages) {
      assert.match(uuid, UUID)
      assert.equal(priority, 'later')
      assert.deepEqual([type, message.role], ['user', 'user'])
    }
    const ends = m.history('a').map(({ timestamp }) => Date.parse(timestamp))
    for (const at of [1, 2, 3, 4]) assert.ok(messages[at].at >= ends[at - 1], `message ${at} was written too early`)
  })
}

test('sessions run side by side: a turn of one does not hold up another', async (t) => {
  const w = world(t)
  const m = w.manager()
  const opened = gate(w)
  await m.batch([{ name: 'slow', allowedTools: ['Bash'] }, { name: 'quick' }])
  const tool = working(m.sessions.get('slow'))
  const slow = m.send('slow', opened.message)
  await tool
  assert.equal((await m.send('quick', 'hello')).text, 'echo(2): hello')
  assert.equal(m.status('slow').status, 'busy')
  opened.open()
  assert.equal((await slow).text, 'done')
})

test('a message may be an array of content blocks; the history shows its text', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }
  const blocks = [image, { type: 'text', text: 'what is\nthis?', extra: 1 }]
  await m.spawn('a', { prompt: blocks })
  await m.send('a', [{ type: 'text', text: 'one' }])
  await m.resume('a', [{ type: 'text', text: 'two' }])
  assert.deepEqual(log.messages()[0].text, blocks)
  assert.deepEqual(
    m.history('a').map(({ prompt }) => prompt),
    ['[image]\nwhat is\nthis?', 'one', 'two'],
  )
})

test('any text arrives as it was given', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const texts = [
    '"quoted" \\ \n\r\n\t',
    '\u2028 \u2029 \u0085 \u0000',
    'grüße 🙂 日本',
    '{"type":"user"}',
    ' \u001b[0m',
    '--nope',
  ]
  await m.spawn('a')
  for (const text of texts) await m.send('a', text)
  assert.deepEqual(
    log.messages().map(({ text }) => text),
    texts,
  )
  assert.deepEqual(
    m.history('a').map(({ prompt }) => prompt),
    texts,
  )
  assert.deepEqual(
    w.readStore().a.interactions.map(({ prompt }) => prompt),
    texts,
  )
})

test('a message of 8 MiB arrives, and its answer comes back', async (t) => {
  const m = world(t).manager()
  const long = 'x'.repeat(8 << 20)
  await m.spawn('a')
  const { text } = await m.send('a', long)
  assert.ok(text === `echo(2): ${long}`)
  assert.ok(m.history('a')[0].prompt === long)
})

test('each turn has an init: id and initData are the latest', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  const inits = record(session, 'init')
  for (const message of ['one', '/context', 'two']) {
    await m.send('a', message)
    assert.equal(session.initData, inits.at(-1)[1])
  }
  assert.equal(inits.length, 3)
  assert.equal(new Set(inits.map(([, { uuid }]) => uuid)).size, 3)
})

for (const habit of HABITS) {
  test(`/clear changes the id, in the record too, and a local command counts no turns (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit }) })
    const { session } = await m.spawn('a', { prompt: 'hello' })
    const cleared = await m.send('a', '/clear')
    assert.deepEqual([cleared.text, cleared.turns, cleared.cost, cleared.isError], ['', 0, 0, false])
    const { id } = m.status('a')
    assert.notEqual(id, session.id)
    assert.match(id, UUID)
    assert.equal(cleared.sessionId, id)
    assert.equal(w.readStore().a.claudeSessionId, id)
    const after = await m.send('a', 'after')
    assert.equal(after.text, 'echo(2): after')
    assert.equal(after.sessionId, id)
    assert.equal(m.status('a').totalTurns, 2)
    assert.equal(m.history('a').length, 3)
    near(m.status('a').totalCostUsd, 2 * PLAIN[habit])
  })
}

const errors = [
  ['error 400', 'success', /stand-in error 400/, 0],
  ['error 529', 'success', /Overloaded/, 0],
  ['error login', 'success', /Not logged in/, 0],
  ['refusal', 'success', /unable to respond/, PLAIN.newer],
  ['error execution it broke', 'error_during_execution', /^$/, PLAIN.newer],
  ['error max-turns', 'error_max_turns', /^$/, PLAIN.newer],
]

for (const [directive, subtype, text, cost] of errors) {
  test(`a turn that the CLI ends with "${directive}" resolves with isError and is in the history`, async (t) => {
    const w = world(t)
    const m = w.manager()
    const { response } = await m.spawn('a', { prompt: `stand-in: ${directive}` })
    assert.equal(response.isError, true)
    assert.equal(response.subtype, subtype)
    assert.match(response.text, text)
    if (subtype !== 'success') assert.equal(response.errors.length, 1)
    if (directive.endsWith('broke')) assert.deepEqual(response.errors, ['it broke'])
    if (directive === 'refusal') assert.equal(response.stopReason, 'refusal')
    near(response.cost, cost)
    const [turn] = w.readStore().a.interactions
    assert.equal(turn.isError, true)
    assert.equal(turn.response, response.text)
    near(m.status('a').totalCostUsd, cost)
    assert.equal(m.status('a').status, 'ready')
    const next = await m.send('a', 'next')
    assert.equal(next.isError, false)
    assert.equal('isError' in m.lastOutput('a'), false)
  })
}

test('a refused tool call is in permissionDenials, and the turn goes on', async (t) => {
  const m = world(t).manager()
  const { response } = await m.spawn('a', { prompt: 'stand-in: tool Write {"file_path":"x"}; text went on' })
  assert.deepEqual([response.text, response.isError, response.turns], ['went on', false, 2])
  const [{ tool_name: name, tool_input: input, tool_use_id: id }] = response.permissionDenials
  assert.deepEqual([name, input], ['Write', { file_path: 'x' }])
  assert.equal(typeof id, 'string')
  near(response.cost, 2 * PLAIN.newer)
})

test('pause marks: a turn in flight finishes, what waits stays, resume goes on', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const tool = working(session)
  const first = m.send('a', opened.message)
  const second = m.send('a', 'second')
  await tool
  assert.equal(m.pause('a'), undefined)
  assert.equal(m.status('a').status, 'paused')
  assert.equal(w.readStore().a.status, 'paused')
  opened.open()
  assert.equal((await first).text, 'done')
  assert.equal(m.status('a').status, 'paused')
  assert.ok(isAlive(session.pid))
  await m.spawn('b', { prompt: 'time enough for a message that does not wait' })
  const resumedAt = Date.now()
  assert.equal(await m.resume('a'), null)
  assert.equal((await second).text, 'echo(6): second')
  assert.ok(log.messages().find(({ text }) => text === 'second').at >= resumedAt, 'it was written before the resume')
  assert.equal(m.status('a').status, 'ready')
})

test('the next send resumes a paused session, and what waited before goes first', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const tool = working(m.sessions.get('a'))
  const sends = [m.send('a', opened.message), m.send('a', 'second')]
  await tool
  m.pause('a')
  sends.push(m.send('a', 'third'))
  assert.equal(m.status('a').status, 'busy')
  opened.open()
  await Promise.all(sends)
  assert.deepEqual(
    log.messages().map(({ text }) => text),
    [opened.message, 'second', 'third'],
  )
})

test('a paused session holds its name and can be stopped', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  m.pause('a')
  m.pause('a')
  await rejection(m.spawn('a'), 'ERR_SESSION_EXISTS')
  const { closed } = m.sessions.get('a')
  m.stop('a')
  assert.deepEqual(await closed, { code: 0, signal: null })
  assert.equal((await m.resume('a', 'recall')).text, 'hello')
})

test('retries, thinking, tools and subagents on the way are events, not answers', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const events = record(session, 'text', 'tool_use', 'tool_result', 'result')
  const message = 'stand-in: retry 2 10; subagent; tool Bash {"command":"printf hi"}; text the end'
  const answer = once(session, 'init').then(() => session.status)
  const response = await m.send('a', message)
  assert.equal(await answer, 'busy')
  assert.equal(response.text, 'the end')
  assert.deepEqual(
    events.map(([name]) => name),
    ['tool_use', 'tool_use', 'tool_result', 'tool_result', 'tool_use', 'tool_result', 'text', 'result'],
  )
  assert.deepEqual(events.at(-3)[1].content, 'hi')
  assert.equal(m.history('a').length, 1)
})
