/** fork: how the CLI is called, what the fork knows and inherits, names, failures, timeouts. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'

import { SessionManager, StreamSession } from '../../index.js'
import { standInEnv, standInPath } from '../../testing/index.js'
import { isAlive, until, world } from '../support/sessions.mjs'
import { gate, HABITS, ISO_TIME, logged, near, PLAIN, rejection, standInLog, UUID, working } from '../support/turns.mjs'

/** A manager with a live session "a" that has had one turn. */
async function source(t, { env, Class, ...options } = {}, spawnOptions = {}) {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ ...options, env: { ...log.env, ...env } }, Class)
  const { session } = await m.spawn('a', { prompt: 'hello', ...spawnOptions })
  return { w, log, m, id: session.id }
}

for (const habit of HABITS) {
  test(`a fork knows what was said, is a live session of its own, and leaves its source alone (${habit} CLI)`, async (t) => {
    const { m, id, w } = await source(t, { env: standInEnv({ habit }) })
    await m.send('a', 'second')
    const { session, response, ...more } = await m.fork('a', 'b', { message: 'recall' })
    assert.deepEqual(more, {})
    assert.equal(response.text, 'hello | second')
    assert.match(response.sessionId, UUID)
    assert.notEqual(response.sessionId, id)
    assert.deepEqual([response.isError, response.subtype, response.turns], [false, 'success', 1])
    assert.deepEqual(Object.keys(response).toSorted(), Object.keys(await m.send('a', 'third')).toSorted())
    assert.equal(session.name, 'b')
    assert.equal(session.id, response.sessionId)
    assert.ok(m.sessions.get('b') instanceof StreamSession)
    assert.equal(m.status('b').status, 'ready')
    assert.equal((await m.send('b', 'recall')).text, 'hello | second | recall')
    assert.equal(m.status('a').id, id)
    assert.equal((await m.send('a', 'recall')).text, 'hello | second | third')
    assert.equal(m.history('a').length, 4)
    assert.equal(w.readStore().a.claudeSessionId, id)
  })
}

test('the first interaction of a fork has type "fork" and is stored when the promise settles', async (t) => {
  const { m, w } = await source(t)
  const { session, response } = await m.fork('a', 'b', { message: 'question' })
  const record = w.readStore().b
  const [interaction] = record.interactions
  assert.deepEqual(interaction, {
    ...{ prompt: 'question', response: 'echo(4): question', cost: interaction.cost, turns: 1 },
    ...{ duration: interaction.duration, timestamp: interaction.timestamp, type: 'fork' },
  })
  assert.match(interaction.timestamp, ISO_TIME)
  near(interaction.cost, PLAIN.newer)
  near(response.cost, PLAIN.newer)
  assert.deepEqual(m.history('b'), record.interactions)
  assert.equal(session.interactionCount, 1)
  assert.equal(session.totalTurns, 1)
  assert.equal(record.parent, 'a')
  assert.equal(session.parent, 'a')
  assert.equal(record.status, 'ready')
  assert.equal(record.claudeSessionId, response.sessionId)
  m.stop('b')
  await m.resume('b', 'more')
  const { parent, interactions } = w.readStore().b
  assert.deepEqual([parent, interactions[0].type, interactions.length], ['a', 'fork', 2])
})

test('a fork is one process, which goes on as its session', async (t) => {
  const { m, id, log } = await source(t)
  const { session } = await m.fork('a', 'b', { message: 'question' })
  await logged(log, 'start', 2)
  const [first, forked] = log.arguments()
  const settings = first.slice(0, first.indexOf('--session-id'))
  assert.deepEqual(forked, [...settings, '--resume', id, '--fork-session', '--session-id', session.id])
  assert.equal((await m.send('b', 'more')).text, 'echo(6): more')
  assert.equal(log.events('start').length, 2)
})

test('a fork in flight is seen by status and list, emits the events of its turn, and can be killed', async (t) => {
  const wired = []
  class Mine extends SessionManager {
    _wireEvents(session) {
      if (session.name === 'b') session.on('tool_use', ({ name }) => wired.push(name))
      super._wireEvents(session)
    }
  }
  const { m } = await source(t, { Class: Mine })
  const message = 'stand-in: tool Bash {"command":"sleep 60"}'
  const failed = rejection(m.fork('a', 'b', { message, allowedTools: ['Bash'] }), 'ERR_FORK_FAILED')
  await until(() => wired.length > 0, 'the tool of the fork')
  assert.equal(m.status('b').status, 'busy')
  assert.deepEqual(
    m.list('busy').map(({ name, parent }) => [name, parent]),
    [['b', 'a']],
  )
  assert.equal(m.sessions.has('b'), false)
  assert.equal(m.store.get('b'), null)
  const { pid } = m.status('b')
  m.kill('b')
  await failed
  assert.equal(isAlive(pid), false)
  assert.equal((await m.fork('a', 'b', { message: 'recall' })).response.text, 'hello')
})

test('without a message a fork is told to continue', async (t) => {
  const { m } = await source(t)
  for (const [name, options] of [
    ['b', undefined],
    ['c', null],
    ['d', { message: '' }],
  ]) {
    const { response } = await m.fork('a', name, options)
    assert.equal(response.text, 'echo(4): Continue from the forked conversation.')
  }
})

const MESSAGES = ['-x is what', '--model evil', '--', '$(touch no) `touch no` %PATH% !! "q" \'q\' \\', 'a\nb\n', '🙂 ü']

for (const message of [...MESSAGES, `-${'long '.repeat(30_000)}`, 'ü'.repeat(60_000)]) {
  test(`a message arrives as it is: ${JSON.stringify(message.slice(0, 20))}, ${message.length} characters`, async (t) => {
    const { m, log } = await source(t)
    const { response } = await m.fork('a', 'b', { message })
    assert.ok(response.text === `echo(4): ${message}`)
    assert.ok(log.messages()[1].text === message)
    assert.ok(m.history('b')[0].prompt === message)
    assert.equal(log.arguments()[1].includes(message), false)
  })
}

test('a fork inherits what its source runs with; permission mode default is not passed', async (t) => {
  const options = {
    ...{ model: 'haiku', permissionMode: 'acceptEdits', allowedTools: ['Read', 'Bash(git *)'] },
    ...{ systemPrompt: 'be brief', maxBudget: 1.5, agent: 'Explore', timeout: 9000 },
  }
  const { m, log, w, id } = await source(t, {}, { ...options, tags: ['of the source'] })
  await m.fork('a', 'b', { message: 'x' })
  await logged(log, 'start', 2)
  const [first, forked] = log.arguments()
  const id2 = ['--session-id', m.status('b').id]
  assert.deepEqual(forked, [...first.slice(0, -2), '--resume', id, '--fork-session', ...id2])
  for (const [field, value] of Object.entries(options)) assert.deepEqual(w.readStore().b[field], value, field)
})

test('a fork of a stored session inherits the same from its record', async (t) => {
  const options = { model: 'haiku', allowedTools: ['Read'], systemPrompt: 'be brief', agent: 'Explore', timeout: 9000 }
  const { m, log, w } = await source(t, {}, options)
  m.stop('a')
  await m.close()
  Object.assign(m, { defaultModel: 'opus', defaultTimeout: 50 })
  assert.equal((await m.fork('a', 'b', { message: 'recall' })).response.text, 'hello')
  for (const [field, value] of Object.entries(options)) assert.deepEqual(w.readStore().b[field], value, field)
  assert.ok(log.arguments()[1].includes('be brief'))
  assert.equal(m.sessions.has('a'), false)
  assert.equal(w.readStore().a.status, 'stopped')
})

test('options of the call come before what is inherited', async (t) => {
  const before = { model: 'haiku', permissionMode: 'plan', allowedTools: ['Read'], systemPrompt: 'be brief' }
  const { m, w } = await source(t, {}, { ...before, maxBudget: 1, agent: 'Explore', timeout: 9000 })
  const project = join(w.dir, 'project')
  mkdirSync(project)
  const options = {
    ...{ model: 'opus', permissionMode: 'acceptEdits', allowedTools: ['Bash'], systemPrompt: 'be long', maxBudget: 2 },
    ...{ agent: 'general-purpose', timeout: 8000, workDir: project, tags: ['fork'] },
  }
  const { session } = await m.fork('a', 'b', { ...options, message: 'stand-in: cwd' })
  for (const [field, value] of Object.entries(options)) assert.deepEqual(session[field], value, field)
  assert.equal(m.history('b')[0].response, project)
  assert.equal((await m.send('b', 'stand-in: system-prompt')).text, '7 be long')
  assert.equal((await m.send('b', 'stand-in: permission-mode')).text, 'acceptEdits')
  assert.deepEqual(m.status('a').tags, [])
})

test('a fork does not block: the program goes on, and the source works meanwhile', async (t) => {
  const { m } = await source(t)
  let forked = false
  const fork = m.fork('a', 'b', { message: 'stand-in: slow 300; text forked' }).finally(() => (forked = true))
  assert.equal((await m.send('a', 'meanwhile')).text, 'echo(4): meanwhile')
  assert.equal(forked, false)
  assert.equal((await fork).response.text, 'forked')
})

test('a source may be forked in the middle of a turn', async (t) => {
  const { m, w } = await source(t, {}, { allowedTools: ['Bash'] })
  const opened = gate(w)
  const tool = working(m.sessions.get('a'))
  const turn = m.send('a', opened.message)
  await tool
  const { response } = await m.fork('a', 'b', { message: 'meanwhile' })
  assert.match(response.text, /: meanwhile$/)
  assert.equal(m.status('a').status, 'busy')
  opened.open()
  assert.equal((await turn).text, 'done')
})

test('a fork right after an answer contains it: the CLI may still be writing its transcript', async (t) => {
  const w = world(t)
  const starts = join(w.dir, 'starts')
  const claudePath = join(w.dir, 'cli.sh')
  const note = `case "$*" in *--fork-session*) date +%s%3N >> '${starts}';; esac`
  writeFileSync(claudePath, `#!/bin/sh\n${note}\nexec ${standInPath} "$@"\n`, { mode: 0o755 })
  const m = w.manager({ claudePath, env: standInEnv({ habit: 'older', saveDelay: 80 }) })
  await m.spawn('a')
  for (const round of [0, 1, 2]) {
    await m.send('a', `word ${round}`)
    const { response } = await m.fork('a', `b${round}`, { message: 'recall' })
    assert.ok(response.text.endsWith(`word ${round}`), response.text)
    const started = Number(readFileSync(starts, 'utf8').trim().split('\n').at(-1))
    const waited = started - Date.parse(m.lastOutput('a').timestamp)
    assert.ok(waited >= 99, `started ${waited} ms after the result`)
  }
})

test('several forks of one source at once are independent', async (t) => {
  const { m } = await source(t)
  const names = ['b', 'c', 'd']
  const forks = await Promise.all(names.map((name) => m.fork('a', name, { message: `for ${name}` })))
  assert.equal(new Set(forks.map(({ response }) => response.sessionId)).size, 3)
  for (const name of names) assert.equal((await m.send(name, 'recall')).text, `hello | for ${name}`)
})
