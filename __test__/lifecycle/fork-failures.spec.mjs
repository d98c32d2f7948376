/** Forks that cannot be: names that are taken or unknown, errors of the CLI, timeouts, the end of the manager. */

import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv, standInPath } from '../../testing/index.js'
import { isAlive, until, world } from '../support/sessions.mjs'
import { logged, near, PLAIN, rejection, standInLog, thrown } from '../support/turns.mjs'

const alive = (name) => `Session "${name}" already exists and is alive. Kill it first or use a different name.`

/** A manager with a live session "a" that has had one turn. */
async function source(t, options = {}, spawnOptions = {}) {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ ...options, env: { ...log.env, ...options.env } })
  await m.spawn('a', spawnOptions)
  await m.send('a', 'hello', 20_000)
  return { w, log, m }
}

/** The name is as if the fork had never been asked for. */
function nothingLeft(m, name = 'b') {
  assert.equal(m.sessions.has(name), false)
  assert.equal(m.store.get(name), null)
  thrown(() => m.status(name), 'ERR_SESSION_NOT_FOUND')
}

/** Resolves when the process of a fork has started; its pid. */
async function forking(log) {
  const found = () => log.events('start').find(({ argv }) => argv.includes('--fork-session'))
  await until(found, 'the start of the fork')
  return found().pid
}

test('an unknown source, or one that never had a turn, rejects with the words of the original', async (t) => {
  const { m, log } = await source(t)
  const unknown = await rejection(m.fork('nobody', 'b'), 'ERR_SESSION_NOT_FOUND')
  assert.equal(unknown.message, 'Source session "nobody" not found.')
  await m.spawn('new')
  m.store.set('stored', { name: 'stored', status: 'stopped', claudeSessionId: null })
  for (const name of ['new', 'stored']) {
    const error = await rejection(m.fork(name, 'b'), 'ERR_NO_SESSION_ID')
    assert.equal(error.message, `Source session "${name}" has no session ID.`)
  }
  nothingLeft(m)
  await logged(log, 'start', 2)
  assert.equal(log.events('start').length, 2)
})

test('newName is checked like that of a spawn', async (t) => {
  const { m, log } = await source(t)
  await m.spawn('live')
  m.store.set('foreign', { name: 'foreign', status: 'busy' })
  const itself = await rejection(m.fork('a', 'a'), 'ERR_SESSION_EXISTS')
  assert.equal(itself.message, alive('a'))
  assert.equal((await rejection(m.fork('a', 'live'), 'ERR_SESSION_EXISTS')).message, alive('live'))
  const stored = await rejection(m.fork('a', 'foreign'), 'ERR_SESSION_EXISTS')
  assert.equal(stored.message, 'Session "foreign" exists in store with status "busy". Kill or delete it first.')
  await rejection(m.fork('a', ''), 'ERR_INVALID_ARG_VALUE')
  await rejection(m.fork('a'), 'ERR_INVALID_ARG_TYPE')
  await m.send('live', 'hello')
  assert.equal(log.events('start').length, 2, 'nothing was started for a fork')
  m.kill('foreign')
  assert.equal((await m.fork('a', 'foreign', { message: 'recall' })).response.text, 'hello')
})

test('newName is reserved at once, for spawn, resume and other forks', async (t) => {
  const { m } = await source(t)
  const fork = m.fork('a', 'b', { message: 'stand-in: slow 100; text forked' })
  assert.equal(m.sessions.has('b'), false)
  assert.equal((await rejection(m.spawn('b'), 'ERR_SESSION_EXISTS')).message, alive('b'))
  await rejection(m.fork('a', 'b'), 'ERR_SESSION_EXISTS')
  await rejection(m.resume('b'), 'ERR_SESSION_EXISTS')
  await rejection(m.resume('b', 'x'), 'ERR_SESSION_EXISTS')
  assert.equal((await fork).response.text, 'forked')
  assert.equal((await m.send('b', 'hello')).isError, false)
})

test('an error result rejects with the words of the CLI, cost and sessionId; the name is free again', async (t) => {
  const { m, w } = await source(t)
  for (const [directive, words, cost] of [
    ['error 400', 'API Error: 400 stand-in error 400', 0],
    ['error execution the tool broke', 'the tool broke', PLAIN.newer],
    ['error max-turns', 'Reached maximum number of turns', PLAIN.newer],
  ]) {
    const error = await rejection(m.fork('a', 'b', { message: `stand-in: ${directive}` }), 'ERR_FORK_FAILED')
    assert.equal(error.message, `Fork failed: ${words}`)
    near(error.cost, cost)
    assert.match(error.sessionId, /^[0-9a-f-]{36}$/)
    assert.notEqual(error.sessionId, m.status('a').id)
    nothingLeft(m)
  }
  assert.equal('b' in w.readStore(), false)
  assert.equal((await m.fork('a', 'b', { message: 'recall' })).response.text, 'hello')
})

test('a fork over budget says what it cost', async (t) => {
  const { m } = await source(t)
  const fork = m.fork('a', 'b', { message: 'usage:100,50', maxBudget: 0.0001 })
  const error = await rejection(fork, 'ERR_FORK_FAILED')
  assert.match(error.message, /^Fork failed: Reached maximum budget/)
  near(error.cost, (100 * 4 + 50 * 20) / 1e6)
  assert.equal(typeof error.sessionId, 'string')
  nothingLeft(m)
})

test('a process that ends without an answer fails the fork with its words', async (t) => {
  const { m } = await source(t)
  for (const [message, words] of [
    ['stand-in: exit 3', /stand-in: leaving with code 3/],
    ['stand-in: crash', /SIGKILL/],
    ['stand-in: half-line', /./],
  ]) {
    const error = await rejection(m.fork('a', 'b', { message }), 'ERR_FORK_FAILED')
    assert.match(error.message, /^Fork failed: /)
    assert.match(error.message, words)
    nothingLeft(m)
  }
  m.store.set('lost', { ...m.store.get('a'), name: 'lost', status: 'stopped', claudeSessionId: 'gone' })
  const lost = await rejection(m.fork('lost', 'b'), 'ERR_FORK_FAILED')
  assert.match(lost.message, /gone/)
  assert.equal(m.store.get('lost').status, 'stopped')
})

test('the message is not in the error: it may hold anything', async (t) => {
  const { m } = await source(t)
  const error = await rejection(m.fork('a', 'b', { message: 'stand-in: exit 3; text hush-hush' }), 'ERR_FORK_FAILED')
  assert.equal(error.message.includes('hush-hush'), false)
})

test('output that is not JSON, or no result, fails the fork', async (t) => {
  const { w, m } = await source(t)
  m.stop('a')
  for (const output of ['Hello!', '{"type":"assistant"}', '[]', '', 'null']) {
    const claudePath = join(w.dir, 'odd.sh')
    writeFileSync(claudePath, `#!/bin/sh\nprintf '%s' '${output}'\n`)
    chmodSync(claudePath, 0o755)
    const odd = w.manager({ claudePath })
    const error = await rejection(odd.fork('a', 'b'), 'ERR_FORK_FAILED')
    assert.match(error.message, /^Fork failed: ./)
    nothingLeft(odd)
  }
})

test('an answer among log lines is understood', async (t) => {
  const { w, m } = await source(t)
  m.stop('a')
  await m.close()
  const claudePath = join(w.dir, 'filter.sh')
  writeFileSync(claudePath, `#!/bin/sh\n${standInPath} "$@" | (echo "some log text"; cat; echo trailing)\n`)
  chmodSync(claudePath, 0o755)
  const odd = w.manager({ claudePath })
  assert.equal((await odd.fork('a', 'b', { message: 'recall' })).response.text, 'hello')
})

test('a fork that cannot be started fails with the cause; nothing is left', async (t) => {
  const { w, m } = await source(t)
  m.stop('a')
  await m.close()
  const nowhere = w.manager({ claudePath: join(w.dir, 'missing') })
  const noProgram = await rejection(nowhere.fork('a', 'b'), 'ERR_FORK_FAILED')
  assert.match(noProgram.message, /^Fork failed: Cannot run /)
  assert.equal(noProgram.cause.code, 'ERR_CLI_NOT_FOUND')
  const noDirectory = await rejection(m.fork('a', 'b', { workDir: join(w.dir, 'missing') }), 'ERR_FORK_FAILED')
  assert.match(noDirectory.message, /^Fork failed: Working directory /)
  assert.equal(noDirectory.cause.code, 'ERR_WORKDIR')
  for (const manager of [m, nowhere]) nothingLeft(manager)
  assert.equal((await m.fork('a', 'b', { message: 'recall' })).response.text, 'hello')
})

test('the timeout of the call ends the fork, its process and the processes below it', async (t) => {
  const { m, log } = await source(t)
  const message = 'stand-in: tool Bash {"command":"sleep 60 & sleep 61"}'
  const fork = m.fork('a', 'b', { message, timeout: 2000, allowedTools: ['Bash'] })
  const pid = await forking(log)
  const error = await rejection(fork, 'ERR_FORK_FAILED')
  assert.match(error.message, /^Fork failed: .*2000 ms/)
  assert.equal(isAlive(pid), false)
  nothingLeft(m)
  assert.equal((await m.fork('a', 'b', { message: 'x', timeout: 5000 })).session.timeout, 5000)
})

test('the timeout of the source does not end a fork, nor the default', async (t) => {
  const { m } = await source(t, {}, { timeout: 150 })
  const { response, session } = await m.fork('a', 'b', { message: 'stand-in: slow 400; text forked' })
  assert.equal(response.text, 'forked')
  assert.equal(session.timeout, 150)
})

test('close during a fork ends it and leaves nothing', async (t) => {
  const { m, log } = await source(t)
  const fork = rejection(m.fork('a', 'b', { message: 'stand-in: silent' }), 'ERR_FORK_FAILED')
  const pid = await forking(log)
  await m.close({ timeout: 3000 })
  assert.equal(isAlive(pid), false)
  await fork
  nothingLeft(m)
})

test('an answer of several MiB comes through', async (t) => {
  const { m } = await source(t)
  const { response } = await m.fork('a', 'b', { message: 'stand-in: big 5' })
  assert.equal(response.text.length, 5 << 20)
  assert.equal(m.history('b')[0].response.length, 5 << 20)
})

test('noise on standard error does not hold up a fork', async (t) => {
  const { m } = await source(t, { env: standInEnv({ start: 'slow:1' }) })
  const { response } = await m.fork('a', 'b', { message: 'stand-in: stderr 4; text fine' })
  assert.equal(response.text, 'fine')
})
