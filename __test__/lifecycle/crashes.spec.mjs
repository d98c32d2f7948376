/** Processes that end unasked: in mid-turn, between turns, before the first turn. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { isAlive, world } from '../support/sessions.mjs'
import { init, near, PLAIN, record, rejection, result, UUID } from '../support/turns.mjs'

test('an exit code of 1 after an error result is no crash', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  const events = record(session, 'error', 'close')
  const { isError } = await m.send('a', 'stand-in: then exit 1; error 400')
  assert.equal(isError, true)
  assert.deepEqual(await session.closed, { code: 1, signal: null })
  assert.deepEqual(events, [['close', 1, null]])
  assert.equal(session.status, 'stopped')
  assert.equal(m.status('a').status, 'stopped')
})

test('an exit without a result but with code 0 between turns is an end in peace', async (t) => {
  const m = world(t).manager()
  const { session } = await m.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
  assert.equal(session.interactionCount, 1)
  const live = m.sessions.get('a')
  const events = live ? record(live, 'error') : []
  await live?.closed
  assert.deepEqual(events, [])
  assert.equal(m.status('a').status, 'stopped')
  assert.equal(m.sessions.has('a'), false)
  assert.equal((await m.resume('a', 'recall')).text, 'stand-in: then exit 0; text bye')
})

test('an exit between turns with another code, or by a signal, is a failure: error, close, failed', async (t) => {
  const m = world(t).manager()
  for (const [directive, code, signal] of [
    ['then exit 9', 9, null],
    ['then crash', null, 'SIGKILL'],
  ]) {
    await m.spawn(directive)
    const session = m.sessions.get(directive)
    const events = record(session, 'error', 'close')
    assert.equal((await m.send(directive, `stand-in: ${directive}; text ok`)).text, 'ok')
    assert.deepEqual(await session.closed, { code, signal })
    assert.deepEqual(
      events.map(([name]) => name),
      ['error', 'close'],
    )
    const { code: errorCode, exitCode, signal: errorSignal } = events[0][1]
    assert.deepEqual([errorCode, exitCode, errorSignal], ['ERR_PROCESS_EXITED', code, signal])
    assert.equal(m.status(directive).status, 'failed')
    assert.equal(m.history(directive).length, 1)
  }
})

const deaths = [
  ['exit 3', 3, null, 'stand-in: leaving with code 3'],
  ['exit-before-init 3', 3, null, 'stand-in: leaving with code 3'],
  ['exit 0', 0, null, 'stand-in: leaving with code 0'],
  ['crash', null, 'SIGKILL', ''],
  ['crash-before-init', null, 'SIGKILL', ''],
  ['half-line', 0, null, ''],
]

for (const [directive, code, signal, words] of deaths) {
  test(`"${directive}" rejects what is in flight and in line with exit code, signal and stderr`, async (t) => {
    const w = world(t)
    const m = w.manager()
    await m.spawn('a', { prompt: 'hello' })
    const session = m.sessions.get('a')
    const close = record(session, 'close')
    const sends = [`stand-in: ${directive}`, 'second', 'third'].map((message) =>
      rejection(m.send('a', message), 'ERR_PROCESS_EXITED'),
    )
    for (const error of await Promise.all(sends)) {
      assert.deepEqual([error.exitCode, error.signal], [code, signal])
      assert.equal(error.stderr.trim(), words)
      assert.match(error.message, /^Session "a" ended before it answered: /)
      assert.ok(error.message.includes(words || signal || 'code 0'), error.message)
    }
    await session.closed
    assert.deepEqual(close, [['close', code, signal]])
    const cut = m.history('a').slice(1)
    const { status, interactions, totalTurns, totalCostUsd, pid } = w.readStore().a
    assert.deepEqual(interactions.slice(1), cut)
    assert.deepEqual([status, totalTurns, pid], ['failed', 1 + cut.length, null])
    // Nothing of the lost turn is invented: what the model was heard to say was paid for.
    assert.equal(cut.length, ['crash', 'half-line'].includes(directive) ? 1 : 0)
    for (const { response, isError, costEstimated } of cut) {
      assert.deepEqual([response, isError, costEstimated], ['', true, true])
    }
    near(
      totalCostUsd,
      cut.reduce((sum, { cost }) => sum + cost, PLAIN.newer),
    )
  })
}

test('after a crash a resume in the catch block works at once', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  for (const round of [1, 2, 3]) {
    await rejection(m.send('a', 'stand-in: exit 5'), 'ERR_PROCESS_EXITED')
    const { text } = await m.resume('a', `again ${round}`)
    assert.match(text, new RegExp(`: again ${round}$`))
  }
  assert.equal(m.history('a').length, 4)
})

test('a send after the end of the process, before anybody heard of it, still settles', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'stand-in: then exit 2; text bye' })
  const { pid } = m.sessions.get('a') ?? {}
  const end = performance.now() + 2000
  while (pid && isAlive(pid) && performance.now() < end);
  const error = await m.send('a', 'too late').then(assert.fail, (reason) => reason)
  assert.ok(['ERR_PROCESS_EXITED', 'ERR_SESSION_NOT_ALIVE'].includes(error.code), error.stack)
})

test('an error result before any init is a failed start, also for the sends behind it', async (t) => {
  const m = world(t).manager({ env: standInEnv({ start: 'error-result:The license has ended' }) })
  await m.spawn('a')
  const session = m.sessions.get('a')
  const events = record(session, 'error')
  const sends = ['one', 'two'].map((message) => m.send('a', message).catch((error) => error))
  for (const error of await Promise.all(sends)) {
    assert.equal(error.code, 'ERR_START_FAILED')
    assert.match(error.message, /The license has ended/)
  }
  await session.closed
  assert.equal(events.length, 1)
  assert.equal(m.status('a').status, 'failed')
  assert.deepEqual(m.history('a'), [])
  assert.equal(m.status('a').totalCostUsd, 0)
})

test('a CLI that cannot start at all rejects the prompt with its words on stderr', async (t) => {
  const m = world(t).manager({ env: standInEnv({ start: 'exit:42:The disk is on fire' }) })
  const error = await rejection(m.spawn('a', { prompt: 'hello' }), 'ERR_PROCESS_EXITED')
  assert.deepEqual([error.exitCode, error.stderr.trim()], [42, 'The disk is on fire'])
  assert.match(error.message, /The disk is on fire/)
  assert.equal(m.store.get('a').status, 'failed')
})

test('the id of a conversation that crashed in its first turn is kept: it can be resumed', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: crash'), 'ERR_PROCESS_EXITED')
  await session.closed
  assert.match(session.id, UUID)
  assert.equal(w.readStore().a.claudeSessionId, session.id)
  const { sessionId, isError } = await m.resume('a', 'hello')
  assert.deepEqual([sessionId, isError], [session.id, false])
})

test('the id of the latest init is kept, also when its turn never came to a result', async (t) => {
  const w = world(t)
  const next = '99999999-2222-4333-8444-555555555555'
  const claudePath = join(w.dir, 'cli.sh')
  const turns = [[init(), result('one', { total_cost_usd: 0 })], [init({ session_id: next })]]
  const steps = turns.map((lines) => ['read line', ...lines.map((line) => `echo '${JSON.stringify(line)}'`)].join('\n'))
  writeFileSync(claudePath, `#!/bin/sh\n${steps.join('\n')}\nexit 3\n`, { mode: 0o755 })
  const m = w.manager({ claudePath })
  const { session } = await m.spawn('a', { prompt: 'x' })
  assert.equal(w.readStore().a.claudeSessionId, session.id)
  const live = m.sessions.get('a')
  await rejection(m.send('a', '/clear'), 'ERR_PROCESS_EXITED')
  await live.closed
  assert.equal(live.id, next)
  assert.equal(w.readStore().a.claudeSessionId, next)
})

test('a descendant that holds the pipes open does not keep an ended session alive', async (t) => {
  const w = world(t)
  const claudePath = join(w.dir, 'cli.sh')
  const lines = [init(), result('answer', { total_cost_usd: 0 })].map((line) => `echo '${JSON.stringify(line)}'`)
  writeFileSync(claudePath, `#!/bin/sh\nread line\nsleep 1.6 &\n${lines.join('\n')}\n`, { mode: 0o755 })
  const m = w.manager({ claudePath })
  await m.spawn('a')
  const { closed } = m.sessions.get('a')
  assert.equal((await m.send('a', 'x')).text, 'answer')
  const before = performance.now()
  assert.deepEqual(await closed, { code: 0, signal: null })
  assert.ok(performance.now() - before < 1200)
})

test('words on standard error just before the end are in the error, whoever holds the pipe', async (t) => {
  const w = world(t)
  const claudePath = join(w.dir, 'cli.sh')
  writeFileSync(claudePath, '#!/bin/sh\nread line\nsleep 1.6 &\necho "last words" >&2\nexit 7\n', { mode: 0o755 })
  const m = w.manager({ claudePath })
  const error = await rejection(m.spawn('a', { prompt: 'x' }), 'ERR_PROCESS_EXITED')
  assert.deepEqual([error.exitCode, error.stderr], [7, 'last words\n'])
})

test('one crash among many sessions touches that one alone', async (t) => {
  const m = world(t).manager()
  const names = Array.from({ length: 10 }, (_, at) => `s${at}`)
  const prompt = (name) => (name === 's4' ? 'stand-in: crash' : `I am ${name}`)
  const results = await m.batch(names.map((name) => ({ name, prompt: prompt(name) })))
  for (const [at, { session, response, error }] of results.entries()) {
    if (at === 4) assert.match(error, /SIGKILL/)
    else assert.equal(response.text, `echo(2): I am ${session.name}`)
  }
  assert.deepEqual(
    [...m.sessions.keys()].toSorted(),
    names.filter((name) => name !== 's4'),
  )
  assert.equal((await m.send('s5', 'more')).text, 'echo(4): more')
})
