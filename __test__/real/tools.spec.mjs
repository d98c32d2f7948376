// Tools on the real CLI: what is allowed runs, what is not is refused and reported.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { bash, tools, write } from './messages.mjs'
import { createWorld } from './support.mjs'

test('allowed tools run, others are refused and reported', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', bash('touch allowed'), {
    allowedTools: ['Bash(git log:*)', 'Bash(touch *)', '--model'],
    systemPrompt: 'An option after the tools.',
  })
  assert.deepEqual(manager.lastOutput('a').isError, undefined)
  assert.ok(existsSync(world.file('allowed')))
  assert.ok(world.api.requests[0].system.includes('An option after the tools.'), 'the rules swallowed the next option')

  const file = world.file('denied')
  const denied = await manager.send('a', write(file))
  assert.equal(denied.isError, false)
  assert.deepEqual(
    denied.permissionDenials.map(({ tool_name, tool_input }) => [tool_name, tool_input.file_path]),
    [['Write', file]],
  )
  assert.equal(existsSync(file), false)
  assert.deepEqual((await manager.send('a', bash('touch allowed-too'))).permissionDenials, [])
  assert.ok(existsSync(world.file('allowed-too')))
})

test('a tool rule may hold commas', async (t) => {
  const world = await createWorld(t)
  const { manager, response } = await world.spawned('a', bash('touch a, b'), {
    allowedTools: ['Bash(touch a, b)', 'Write'],
  })
  assert.deepEqual(response.permissionDenials, [])
  assert.ok(existsSync(world.file('a,')) && existsSync(world.file('b')))
  const other = await manager.send('a', bash('touch c'))
  assert.equal(other.permissionDenials.length, 1)
})

test('each of several tools in one answer is judged by itself', async (t) => {
  const world = await createWorld(t)
  const calls = [
    ['Bash', { command: 'touch one' }],
    ['Write', { file_path: world.file('two'), content: 'x' }],
    ['Bash', { command: 'touch three; echo three' }],
  ]
  const { response } = await world.spawned('a', tools(calls), { allowedTools: ['Bash'] })
  assert.equal(response.isError, false)
  assert.match(response.text, /^tools: /)
  assert.match(response.text, /three/)
  assert.deepEqual(
    response.permissionDenials.map(({ tool_name }) => tool_name),
    ['Write'],
  )
  assert.deepEqual(
    ['one', 'two', 'three'].map((name) => existsSync(world.file(name))),
    [true, false, true],
  )
  assert.equal(world.api.requests[1].toolResults.length, 3)
})

test('acceptEdits lets files of the working directory be written, plan mode none', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const spawn = (name, permissionMode) => ({
    name,
    permissionMode,
    prompt: write(world.file(name)),
    workDir: world.workDir,
  })
  const [edits, plans] = await manager.batch([spawn('edits', 'acceptEdits'), spawn('plans', 'plan')])
  assert.deepEqual([edits.initData.permissionMode, plans.initData.permissionMode], ['acceptEdits', 'plan'])
  assert.deepEqual(edits.response.permissionDenials, [])
  assert.ok(existsSync(world.file('edits')))
  assert.equal(existsSync(world.file('plans')), false)
  assert.deepEqual(
    plans.response.permissionDenials.map(({ tool_name }) => tool_name),
    ['Write'],
  )

  const outside = join(world.home, 'outside')
  const { permissionDenials } = await manager.send('edits', write(outside))
  assert.deepEqual(
    permissionDenials.map(({ tool_name }) => tool_name),
    ['Write'],
  )
  assert.equal(existsSync(outside), false)
})

test('a subagent works inside the turn that called it', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first', { allowedTools: ['Bash'] })
  const called = []
  manager.sessions.get('a').on('tool_use', ({ name }) => called.push(name))
  const response = await manager.send('a', `AGENT:${bash('touch by-sub; echo from sub')}`)
  assert.match(response.text, /^tool: [^]*tool: from sub/)
  assert.ok(existsSync(world.file('by-sub')))
  assert.deepEqual(called, ['Agent', 'Bash'])
  assert.equal((await manager.send('a', 'last')).text, 'echo(3): last')
  assert.deepEqual(
    manager.history('a').map(({ type }) => type),
    [undefined, undefined, undefined],
  )
})
