// Interrupts, answers as they grow, permissions, hooks and settings of live sessions on the real CLI.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { test } from 'node:test'

import { bash, write } from './messages.mjs'
import { createWorld } from './support.mjs'

const DRIP = 'DRIP:200:20'

test('an interrupted turn answers with its text so far, and the session goes on', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', { includePartialMessages: true })
  const session = manager.sessions.get('a')
  const sent = manager.send('a', DRIP)
  const next = manager.send('a', 'next')
  await once(session, 'delta')
  await once(session, 'delta')
  assert.deepEqual(await manager.interrupt('a'), { interrupted: true })
  const response = await sent
  assert.deepEqual([response.interrupted, response.failure], [true, null])
  assert.match(response.text, /^w0 w1/)
  assert.doesNotMatch(response.text, /w199/)
  assert.match((await next).text, /next/)
  assert.equal(manager.history('a').length, 3)
})

test('an interrupt right behind a message always cuts that message', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi')
  for (let i = 0; i < 8; i += 1) {
    const sent = manager.send('a', DRIP)
    assert.deepEqual(await manager.interrupt('a'), { interrupted: true })
    assert.equal((await sent).interrupted, true, `try ${i}`)
  }
  assert.match((await manager.send('a', 'alive')).text, /alive/)
})

test('an interrupt before the first process is up cuts the first message', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  await manager.spawn('a', { workDir: world.workDir })
  const sent = manager.send('a', DRIP)
  assert.deepEqual(await manager.interrupt('a'), { interrupted: true })
  assert.equal((await sent).interrupted, true)
  assert.match((await manager.send('a', 'alive')).text, /alive/)
})

test('an interrupt ends a tool', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', { allowedTools: ['Bash'] })
  const called = once(manager.sessions.get('a'), 'tool_use')
  const sent = manager.send('a', bash('sleep 20'))
  await called
  assert.deepEqual(await manager.interrupt('a'), { interrupted: true })
  assert.equal((await sent).interrupted, true)
  assert.match((await manager.send('a', 'alive')).text, /alive/)
})

test('an idle session is not interrupted, and its next turn is whole', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi')
  assert.deepEqual(await manager.interrupt('a'), { interrupted: false })
  assert.match((await manager.send('a', 'whole')).text, /whole/)
})

test('a signal withdraws a message that waits and cuts one that runs', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', { includePartialMessages: true })
  const [running, waiting] = [new AbortController(), new AbortController()]
  const delta = once(manager.sessions.get('a'), 'delta')
  const first = manager.send('a', DRIP, { signal: running.signal })
  const second = manager.send('a', 'never', { signal: waiting.signal })
  waiting.abort()
  await assert.rejects(second, { code: 'ERR_ABORTED', sent: false })
  await delta
  running.abort()
  await assert.rejects(first, { name: 'AbortError', code: 'ERR_ABORTED', sent: true })
  assert.doesNotMatch((await manager.send('a', 'RECALL')).text, /never/)
})

test('an answer is streamed, in a fork, too', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', { includePartialMessages: true })
  await manager.fork('a', 'b', { message: 'forked' })
  for (const name of ['a', 'b']) {
    let text = ''
    let response
    for await (const item of manager.stream(name, 'LONG:50')) {
      if (item.type === 'delta' && item.kind === 'text') text += item.text
      if (item.type === 'response') response = item.response
    }
    assert.match(text, /^w0 .*w49/)
    assert.equal(response.text.trim(), text.trim())
  }
})

test('a program allows, changes and denies calls of tools', async (t) => {
  const world = await createWorld(t)
  const asked = []
  const { manager } = await world.spawned('a', 'hi', {
    canUseTool: async (toolName, input, { signal, name }) => {
      asked.push([toolName, name, signal.aborted])
      if (toolName === 'Bash') return { behavior: 'allow', updatedInput: { ...input, command: 'touch changed' } }
      return { behavior: 'deny', message: 'not this file' }
    },
  })
  await manager.send('a', bash('touch asked-for'))
  assert.deepEqual([existsSync(world.file('changed')), existsSync(world.file('asked-for'))], [true, false])
  const denied = await manager.send('a', write(world.file('written')))
  assert.equal(existsSync(world.file('written')), false)
  assert.equal(denied.permissionDenials.length, 1)
  assert.match(denied.text, /not this file/)
  assert.deepEqual(asked, [
    ['Bash', 'a', false],
    ['Write', 'a', false],
  ])
})

test('a call that nobody decides on is denied in time', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', {
    canUseTool: () => new Promise(() => {}),
    permissionTimeout: 300,
  })
  const response = await manager.send('a', bash('touch never'))
  assert.equal(response.isError, false)
  assert.equal(existsSync(world.file('never')), false)
  assert.match((await manager.send('a', 'alive')).text, /alive/)
})

test('a permission is asked for by an event, and a question has an answer', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', { permissions: 'event' })
  manager.once('permission', ({ request }) => {
    assert.deepEqual([request.kind, request.toolName], ['tool', 'Bash'])
    assert.equal(manager.status('a').pendingPermissions.length, 1)
    request.allow()
  })
  await manager.send('a', bash('touch allowed'))
  assert.ok(existsSync(world.file('allowed')))
  const option = (label) => ({ label, description: label })
  const question = { question: 'Which?', header: 'h', options: [option('one'), option('two')], multiSelect: false }
  manager.once('permission', ({ request }) => {
    assert.equal(request.kind, 'question')
    request.allow({ answers: { 'Which?': 'two' } })
  })
  const call = `TOOL:AskUserQuestion:${JSON.stringify({ questions: [question] })}`
  assert.match((await manager.send('a', call)).text, /Which\?.*two/)
})

test('hooks hear a turn and deny a tool; one that gives no answer denies, too', async (t) => {
  const world = await createWorld(t)
  const heard = []
  let answer = async () => ({
    hookSpecificOutput: {
      hookEventName: 'PreToolUse',
      permissionDecision: 'deny',
      permissionDecisionReason: 'the hook said no',
    },
  })
  const hear = async (input) => {
    heard.push(input.hook_event_name)
    return {}
  }
  const { manager } = await world.spawned('a', 'first', {
    allowedTools: ['Bash'],
    hooks: {
      UserPromptSubmit: [{ hooks: [hear] }],
      PreToolUse: [{ matcher: 'Bash', hooks: [(input) => answer(input)], timeout: 500 }],
      Stop: [{ hooks: [hear] }],
    },
  })
  assert.deepEqual(heard, ['UserPromptSubmit', 'Stop'])
  assert.match((await manager.send('a', bash('touch denied'))).text, /the hook said no/)
  answer = () => new Promise(() => {})
  assert.match((await manager.send('a', bash('touch silent'))).text, /gave no answer/)
  assert.deepEqual([existsSync(world.file('denied')), existsSync(world.file('silent'))], [false, false])
  answer = async () => ({})
  await manager.send('a', bash('touch allowed'))
  assert.ok(existsSync(world.file('allowed')))
})

test('a session with callbacks is not resumed without them, and with them it has them', async (t) => {
  const world = await createWorld(t)
  const canUseTool = async () => ({ behavior: 'deny', message: 'never' })
  const { manager } = await world.spawned('a', 'hi', { canUseTool })
  const { closed } = manager.sessions.get('a')
  manager.stop('a')
  await closed
  await assert.rejects(manager.resume('a'), { code: 'ERR_OPTIONS_MISSING', missing: ['canUseTool'] })
  await manager.resume('a', bash('touch never'), { canUseTool })
  assert.equal(existsSync(world.file('never')), false)
})

test('the settings of a live session change, and a raw request is answered', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi')
  await manager.setModel('a', 'opus')
  await manager.setPermissionMode('a', 'acceptEdits')
  await manager.setThinking('a', 1024)
  await manager.setEffort('a', 'low')
  const written = await manager.send('a', write(world.file('edited')))
  assert.deepEqual(written.permissionDenials, [])
  assert.match(world.api.requests.at(-1).body.model, /opus/)
  const { model, permissionMode } = manager.status('a')
  assert.deepEqual([model, permissionMode], ['opus', 'acceptEdits'])
  assert.ok((await manager.contextUsage('a')).totalTokens > 0)
  assert.ok(Array.isArray((await manager.control('a', { subtype: 'mcp_status' })).mcpServers))
  await assert.rejects(manager.control('a', { subtype: 'of_tomorrow' }), { code: 'ERR_CONTROL' })
  assert.match((await manager.send('a', 'alive')).text, /alive/)
})

test('a failure that nobody waits for ends the turn at its first retry', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'hi', { failFast: ['auth', 'overloaded'] })
  for (const [status, kind] of [
    [401, 'auth'],
    [529, 'overloaded'],
  ]) {
    const response = await manager.send('a', `ERROR:${status}`)
    assert.deepEqual([response.isError, response.failure.kind, response.failure.status], [true, kind, status])
  }
  assert.match((await manager.send('a', 'alive')).text, /alive/)
})
