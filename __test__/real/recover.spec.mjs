// What is told of sessions on the real CLI whose host was killed, how they go on, and that a conversation has one writer.

import assert from 'node:assert/strict'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { createWorld, until } from './support.mjs'

/** A host with a session `a` that was asked `one` and is asked `message`; killed once `moment()` holds. */
async function lose(world, message, moment, first = 'one') {
  const options = { prompt: first, workDir: world.workDir }
  const calls = [...(first === null ? [] : [['spawn', 'a', options]]), ...message]
  const host = world.startHost(calls)
  await until(moment, 'the moment of the kill')
  host.kill('SIGKILL')
  await host.ended
}

/** Everything that the CLI keeps of conversations. */
async function transcripts(world) {
  const projects = join(world.home, '.claude', 'projects')
  const files = await readdir(projects, { recursive: true }).catch(() => [])
  const wanted = files.filter((file) => file.endsWith('.jsonl'))
  return (await Promise.all(wanted.map((file) => readFile(join(projects, file), 'utf8')))).join('\n')
}

const has = (world, text) => async () => (await transcripts(world)).includes(text)

const asked = (world, text) => () => world.api.requests.some((request) => request.text === text)

test('idle: the session goes on with all it knew', async (t) => {
  const world = await createWorld(t)
  const { child } = await world.host([['spawn', 'a', { prompt: 'one', workDir: world.workDir }]], { keep: true })
  await until(has(world, 'echo(1): one'), 'the transcript has the turn')
  child.kill('SIGKILL')
  await child.ended
  const manager = world.manager()
  const [lost] = await manager.recover()
  const { claudeSessionId } = manager.status('a')
  assert.deepEqual(lost, { name: 'a', verdict: 'idle', lastPrompt: 'one', claudeSessionId, messages: [] })
  await manager.recover({ resume: true })
  assert.equal((await manager.send('a', 'RECALL')).text, 'one')
})

test('unanswered: the CLI has the message and drops it when it comes again', async (t) => {
  const world = await createWorld(t)
  await lose(
    world,
    [['send', 'a', 'HOLD:two']],
    async () => (await has(world, 'HOLD:two')()) && asked(world, 'HOLD:two')(),
  )
  const manager = world.manager()
  const [lost] = await manager.recover()
  assert.deepEqual([lost.verdict, lost.lastPrompt], ['unanswered', 'HOLD:two'])
  const [resumed] = await manager.recover({ resume: true, resend: true })
  assert.equal(resumed.error.code, 'ERR_NOT_RESENT')
  // What ends an abandoned CLI is an interruption; the newer one tells the model of it.
  assert.match((await manager.send('a', 'RECALL')).text, /^one \| HOLD:two( \| \[Request interrupted by user\])?$/)
})

test('unsent: a message that the conversation does not have is sent again, once', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  await manager.spawn('a', { prompt: 'one', workDir: world.workDir })
  manager.stop('a')
  await manager.close()
  const calls = [
    ['resume', 'a'],
    ['send', 'a', 'two'],
  ]
  // A process that was just started has not read its input.
  await lose(world, calls, async () => (await journal(world)).includes('"prompt":"two"'), null)
  const next = world.manager()
  const [lost] = await next.recover()
  assert.deepEqual([lost.verdict, lost.lastPrompt], ['unsent', 'two'])
  const [resumed] = await next.recover({ resume: true, resend: true })
  assert.equal(resumed.response.text, 'echo(2): two')
  await until(has(world, lost.messages[0].uuid), 'the transcript has it under its old uuid')
  assert.equal((await next.send('a', 'RECALL')).text, 'one | two')
})

const journal = (world) => readFile(join(world.dataDir, 'sessions.journal'), 'utf8').catch(() => '')

test('answered: a tool-using turn that ended while nobody listened is in the history', async (t) => {
  const world = await createWorld(t)
  const told = `TOOL:Bash:{"command":"echo from-the-tool"}`
  const calls = [
    ['spawn', 'a', { prompt: 'one', workDir: world.workDir }],
    ['send', 'a', told],
  ]
  // Stopped, a host hears nothing of the answer; its CLI works on.
  const host = world.startHost(calls)
  await until(has(world, 'echo(1): one'), 'the first turn')
  await until(asked(world, told), 'the second turn has begun')
  host.kill('SIGSTOP')
  await until(has(world, 'tool: from-the-tool'), 'its answer is in the transcript')
  host.kill('SIGKILL')
  await host.ended
  const manager = world.manager()
  const [lost] = await manager.recover()
  if (lost.verdict === 'idle') return t.skip('the host was faster: the turn was recorded')
  assert.deepEqual([lost.verdict, lost.lastPrompt, lost.response.text], ['answered', told, 'tool: from-the-tool'])
  const [resumed] = await manager.recover({ resume: true, resend: true })
  assert.equal(resumed.response.text, 'tool: from-the-tool')
  assert.equal(manager.lastOutput('a').response, 'tool: from-the-tool')
  assert.equal((await manager.send('a', 'RECALL')).text, `one | ${told}`)
})

test('a host killed in the first turn of a session loses neither its id nor its message', async (t) => {
  const world = await createWorld(t)
  const spawn = ['spawn', 'a', { prompt: 'HOLD:first', workDir: world.workDir }]
  await lose(world, [spawn], async () => (await has(world, 'HOLD:first')()) && asked(world, 'HOLD:first')(), null)
  const manager = world.manager()
  const [lost] = await manager.recover()
  assert.equal(lost.verdict, 'unanswered')
  await manager.recover({ resume: true })
  // An older CLI adds `Continue from where you left off.`
  assert.match((await manager.send('a', 'RECALL')).text, /^HOLD:first/)
  assert.equal(manager.sessions.get('a').id, lost.claudeSessionId)
})

test('a second host on the conversation of a live one is refused, and of a dead one not', async (t) => {
  const world = await createWorld(t)
  const { child } = await world.host([['spawn', 'a', { prompt: 'one', workDir: world.workDir }]], { keep: true })
  const manager = world.manager()
  const { claudeSessionId: id } = manager.status('a')
  const held = { code: 'ERR_SESSION_HELD', holderPid: child.pid, sessionId: id }
  await assert.rejects(manager.resume('a', 'two'), held)
  assert.throws(() => world.session({ sessionId: id }).start(), held)
  await until(has(world, 'echo(1): one'), 'the transcript has the turn')
  child.kill('SIGKILL')
  await child.ended
  assert.equal((await manager.resume('a', 'RECALL')).text, 'one')
})
