// kill() on the real CLI: no process is left, whatever the CLI was doing.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'

import { ENDLESS, background, bash } from './messages.mjs'
import { createWorld, lives, until } from './support.mjs'

/** Processes of a world while `ENDLESS` runs: the CLI, its shell and that one's children. */
const WITH_CHILDREN = 4

test('kill() leaves nothing of a session whose tool runs', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first', { allowedTools: ['Bash'] })
  const sending = assert.rejects(manager.send('a', ENDLESS), { code: 'ERR_SESSION_KILLED' })
  await until(() => existsSync(world.file('started')), 'the tool runs')
  if (process.platform === 'linux') {
    await until(async () => (await world.processes()).size >= WITH_CHILDREN, 'the tool has its children')
  }
  const live = manager.sessions.get('a')
  manager.kill('a')
  assert.equal(manager.sessions.has('a'), false)
  await sending
  assert.deepEqual(await live.closed, { code: null, signal: 'SIGKILL' })
  await world.noProcessLeft()
  assert.equal(manager.status('a').status, 'killed')
  assert.equal((await manager.spawn('a', { prompt: 'again', workDir: world.workDir })).response.text, 'echo(1): again')
})

test('kill() leaves nothing of a subagent and of what it runs', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first', { allowedTools: ['Bash'] })
  const sending = assert.rejects(manager.send('a', `AGENT:${ENDLESS}`), { code: 'ERR_SESSION_KILLED' })
  await until(() => existsSync(world.file('started')), 'the tool of the subagent runs')
  if (process.platform === 'linux') {
    await until(async () => (await world.processes()).size >= WITH_CHILDREN, 'the tool has its children')
  }
  manager.kill('a')
  await sending
  await world.noProcessLeft()
})

test('kill() leaves nothing of a command in the background, nor of one in a session of its own', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', bash('setsid sleep 300 > /dev/null 2>&1 & echo left'), {
    allowedTools: ['Bash'],
  })
  await manager.send('a', background(world.file('gate')))
  if (process.platform === 'linux') {
    await until(async () => {
      const commands = [...(await world.processes()).values()]
      return commands.includes('sleep 300') && commands.length >= 3
    }, 'both commands run')
  }
  manager.kill('a')
  await world.noProcessLeft()
})

test('kill() ends a session that another host on this machine owns', async (t) => {
  const world = await createWorld(t)
  const { results } = await world.host([['spawn', 'a', { prompt: 'first', workDir: world.workDir }]], { keep: true })
  const { pid } = results[0].value.session
  assert.ok(await lives(pid))
  const manager = world.manager()
  manager.kill('a')
  await until(async () => !(await lives(pid)), 'the process has ended')
  assert.equal(manager.status('a').status, 'killed')
})

test('kill() ends what a host without a keeper left behind that was killed in mid-turn', async (t) => {
  const world = await createWorld(t)
  const calls = [
    ['spawn', 'a', { prompt: 'first', workDir: world.workDir, allowedTools: ['Bash'] }],
    ['send', 'a', ENDLESS],
  ]
  const host = world.startHost(calls, { keeper: false })
  // Made while the host lives: a manager made later would end by itself what the host left.
  const manager = world.manager()
  await until(() => existsSync(world.file('started')), 'the tool runs')
  host.kill('SIGKILL')
  await host.ended
  assert.equal(manager.status('a').status, 'stopped')
  assert.ok(await lives(manager.status('a').pid), 'the CLI waits for its tool')
  manager.kill('a')
  await world.noProcessLeft()
  assert.equal(manager.status('a').status, 'killed')
})
