// Options of a session on the real CLI: what reaches the model, what the CLI refuses, what its processes inherit.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { write } from './messages.mjs'
import { createWorld, stopped } from './support.mjs'

const isRoot = process.getuid?.() === 0

test('a system prompt of 200 KiB reaches the model, after a resume and in a fork too', async (t) => {
  const world = await createWorld(t)
  const systemPrompt = `Begin. ${'y'.repeat(200 * 1024)} The end.`
  const { manager } = await world.spawned('a', 'first', { systemPrompt })
  await manager.send('a', 'second')
  await manager.fork('a', 'b', { message: 'in a fork' })
  await manager.send('b', 'later in a fork')
  await stopped(manager, 'a')
  await manager.resume('a', 'after a resume')
  for (const { text, system } of world.api.requests) {
    assert.ok(system.includes(systemPrompt), `the model did not see the system prompt with "${text}"`)
  }
  assert.equal(world.api.requests.length, 5)
})

test('a model that does not exist is an answer with an error', async (t) => {
  const world = await createWorld(t)
  const { manager, response } = await world.spawned('a', 'first', { model: 'no-such-model' })
  assert.equal(response.isError, true)
  assert.match(response.text, /no-such-model/)
  assert.equal(response.cost, 0)
  assert.equal(manager.status('a').status, 'ready')
})

test('an agent that does not exist is overlooked by the CLI', async (t) => {
  const world = await createWorld(t)
  const { manager, response } = await world.spawned('a', 'first', { agent: 'no-such-agent' })
  assert.equal(response.text, 'echo(1): first')
  assert.equal(manager.status('a').agent, 'no-such-agent')
})

test('an option that the CLI refuses fails the session in its words, and the name is free', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const options = { workDir: world.workDir, permissionMode: 'no-such-mode' }
  const refused = { code: 'ERR_PROCESS_EXITED', exitCode: 1, stderr: /no-such-mode/, message: /no-such-mode/ }
  await assert.rejects(manager.spawn('a', { ...options, prompt: 'first' }), refused)
  assert.equal(manager.status('a').status, 'failed')

  await manager.spawn('a', options)
  const session = manager.sessions.get('a')
  const errors = []
  session.on('error', (error) => errors.push(error))
  assert.deepEqual(await session.closed, { code: 1, signal: null })
  assert.equal(manager.status('a').status, 'failed')
  assert.match(errors[0].message, /no-such-mode/)
  assert.equal((await manager.spawn('a', { workDir: world.workDir, prompt: 'first' })).response.text, 'echo(1): first')
})

test('bypassPermissions is refused to root in the words of the CLI, and runs every tool elsewhere', async (t) => {
  const world = await createWorld(t)
  const options = {
    prompt: write(world.file('made')),
    workDir: world.workDir,
    permissionMode: 'bypassPermissions',
  }
  if (isRoot) {
    await assert.rejects(world.manager().spawn('a', options), {
      code: 'ERR_PROCESS_EXITED',
      exitCode: 1,
      stderr: /cannot be used with root/,
    })
    assert.equal(existsSync(world.file('made')), false)
  }
  const { response } = await world.manager({ env: { ...world.env, IS_SANDBOX: '1' } }).spawn('a', options)
  assert.deepEqual(response.permissionDenials, [])
  assert.ok(existsSync(world.file('made')))
})

test('without credentials the CLI answers that nobody is logged in', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ env: { ...world.env, ANTHROPIC_API_KEY: undefined } })
  const { response } = await manager.spawn('a', { prompt: 'first', workDir: world.workDir })
  assert.equal(response.isError, true)
  assert.match(response.text, /Not logged in/)
  assert.equal(response.cost, 0)
  assert.deepEqual(world.api.requests, [])
  assert.deepEqual(await stopped(manager, 'a'), { code: 1, signal: null })
})

test('the CLI gets no mark of an outer Claude Code, and nothing that the environment option removes', async (t) => {
  const world = await createWorld(t)
  const marks = {
    CLAUDECODE: '1',
    CLAUDE_CODE_SESSION_ID: randomUUID(),
    CLAUDE_CODE_CHILD_SESSION: '1',
    ANTHROPIC_LOG: 'debug',
  }
  const saved = { ...process.env }
  t.after(() => {
    for (const name of [...Object.keys(marks), 'CLEARCTX_LEAK']) {
      if (saved[name] === undefined) delete process.env[name]
      else process.env[name] = saved[name]
    }
  })
  process.env.CLEARCTX_LEAK = 'secret'
  const { env } = world
  for (const name of Object.keys(marks)) delete env[name]
  Object.assign(process.env, marks)

  const manager = world.manager({ env })
  const { response } = await manager.spawn('a', { prompt: 'first', workDir: world.workDir })
  assert.equal(response.text, 'echo(1): first')
  if (process.platform === 'linux') {
    const environ = await readFile(`/proc/${manager.sessions.get('a').pid}/environ`, 'utf8')
    const names = environ.split('\0').flatMap((entry) => entry.split('=').slice(0, 1).filter(Boolean))
    const wanted = Object.keys(world.cleanEnv)
    const missing = wanted.filter((name) => !names.includes(name))
    assert.deepEqual(missing, [])
    // The engine may mark its children with variables of its own.
    const leaked = names.filter((name) => !wanted.includes(name) && !isMark(name))
    assert.deepEqual(leaked, [])
  }

  function isMark(name) {
    return name.startsWith('CLEARCTX_') && name !== 'CLEARCTX_LEAK'
  }
})
