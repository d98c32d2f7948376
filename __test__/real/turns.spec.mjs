// Turns on the real CLI: one message after the other, in order, each with its own answer; errors of the API; time limits.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'

import { bash, waitFor } from './messages.mjs'
import { createWorld, isSince, lives, stopped, version } from './support.mjs'

/** A picture of one pixel. */
const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

test(`a session answers its prompt and remembers three more messages (${version})`, async (t) => {
  const world = await createWorld(t)
  const { manager, session, initData, response } = await world.spawned('a', 'first')
  assert.equal(response.text, 'echo(1): first')
  assert.equal(response.isError, false)
  assert.equal(response.subtype, 'success')
  assert.equal(response.turns, 1)
  assert.equal(response.stopReason, 'end_turn')
  assert.equal(session.id, response.sessionId)
  assert.equal(initData.session_id, response.sessionId)
  assert.equal(initData.claude_code_version, version)
  assert.equal(initData.cwd, world.workDir)

  const pid = manager.sessions.get('a').pid
  assert.equal((await manager.send('a', 'second')).text, 'echo(2): second')
  assert.equal((await manager.send('a', 'third')).text, 'echo(3): third')
  assert.equal((await manager.send('a', 'RECALL')).text, 'first | second | third')
  assert.equal(manager.sessions.get('a').pid, pid)
  assert.equal(manager.status('a').status, 'ready')
  assert.deepEqual(
    manager.history('a').map(({ prompt, response: text }) => [prompt, text]),
    [
      ['first', 'echo(1): first'],
      ['second', 'echo(2): second'],
      ['third', 'echo(3): third'],
      ['RECALL', 'first | second | third'],
    ],
  )
})

test('a paused session keeps its process, finishes its turn, and the next send() resumes it', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const { pid } = manager.sessions.get('a')
  manager.pause('a')
  assert.equal(manager.status('a').status, 'paused')
  assert.ok(await lives(pid))
  assert.equal((await manager.send('a', 'second')).text, 'echo(2): second')
  assert.equal(manager.status('a').status, 'ready')

  const sending = manager.send('a', 'SLOW:400:third')
  await world.api.waitFor((request) => request.text === 'SLOW:400:third')
  manager.pause('a')
  assert.equal((await sending).text, 'slow: third')
  assert.equal(manager.status('a').status, 'paused')
  assert.equal(await manager.resume('a'), null)
  assert.equal((await manager.send('a', 'RECALL')).text, 'first | second | SLOW:400:third')
  assert.equal(manager.sessions.get('a').pid, pid)
})

test('parallel sends reach the model one by one, in order, and each gets its own answer', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const messages = Array.from({ length: 6 }, (_, index) => `SLOW:60:m${index}`)
  const answers = await Promise.all(messages.map((message) => manager.send('a', message)))
  assert.deepEqual(
    answers.map(({ text }) => text),
    messages.map((message) => message.replace('SLOW:60:', 'slow: ')),
  )
  const asked = world.api.requests.slice(1)
  assert.deepEqual(
    asked.map(({ userTexts }) => userTexts),
    messages.map((_, index) => ['first', ...messages.slice(0, index + 1)]),
  )
  assert.equal(manager.history('a').length, 7)
})

test('sessions of a batch run side by side and never mix, and one that fails fails alone', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const names = ['a', 'b', 'c', 'd']
  const specs = names.map((name) => ({ name, prompt: `I am ${name}`, workDir: world.workDir }))
  const [failed, ...spawned] = await manager.batch([{ name: 'x', prompt: 'no', workDir: world.file('none') }, ...specs])
  assert.deepEqual(failed.session, { name: 'x', status: 'failed' })
  assert.match(failed.error, /^Working directory .* does not exist/)
  assert.deepEqual(
    spawned.map(({ error, response }) => error ?? response.text),
    names.map((name) => `echo(1): I am ${name}`),
  )
  const recalled = await Promise.all(names.map((name) => manager.send(name, 'RECALL')))
  assert.deepEqual(
    recalled.map(({ text }) => text),
    names.map((name) => `I am ${name}`),
  )
  assert.equal(new Set(spawned.map(({ session }) => session.id)).size, names.length)
})

test('a message over its time goes on, its late answer goes to the history; what waits behind it may be withdrawn', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first', { allowedTools: ['Bash'] })
  const gate = world.file('gate')
  const over = assert.rejects(manager.send('a', bash(`${waitFor(gate)}; echo over`), 400), {
    code: 'ERR_TURN_TIMEOUT',
    sent: true,
    stillRunning: true,
  })
  await assert.rejects(manager.send('a', 'withdrawn', 200), { code: 'ERR_TURN_TIMEOUT', sent: false })
  await over
  const next = manager.send('a', 'next')
  await writeFile(gate, '')
  assert.equal((await next).text, 'echo(3): next')
  assert.deepEqual(
    manager.history('a').map(({ response, late }) => [response, late]),
    [
      ['echo(1): first', undefined],
      ['tool: over', true],
      ['echo(3): next', undefined],
    ],
  )
  assert.deepEqual(world.api.asked('withdrawn'), [])
})

test('errors of the API are answers, its retries are events, and the session goes on', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ env: { ...world.env, CLAUDE_CODE_MAX_RETRIES: '2' } })
  await manager.spawn('a', { prompt: 'first', workDir: world.workDir })
  const session = manager.sessions.get('a')
  const retried = []
  session.on('message', ({ subtype, error_status }) => subtype === 'api_retry' && retried.push(error_status))

  for (const error of ['400', '401:never', '429:3600', '500:never', '529']) {
    const response = await manager.send('a', `ERROR:${error}`)
    assert.equal(response.isError, true, error)
    assert.equal(response.subtype, 'success', error)
    assert.match(response.text, new RegExp(`mock error ${error.slice(0, 3)}`))
    assert.equal(response.cost, 0)
    assert.equal(manager.lastOutput('a').isError, true)
    assert.equal(manager.status('a').status, 'ready')
  }
  assert.deepEqual(retried.splice(0), [529, 529])

  for (const status of [429, 500, 529]) {
    const { isError, text } = await manager.send('a', `FAIL:1:${status}${status === 429 ? ':1' : ''}`)
    assert.equal(isError, false)
    assert.match(text, /^echo\(\d+\): FAIL/)
  }
  assert.deepEqual(retried, [429, 500, 529])

  const cut = await manager.send('a', 'CUT')
  assert.equal(cut.isError, true)
  assert.match(cut.text, isSince('2.1.179') ? /Connection to the API was lost/ : /connection was closed unexpectedly/)
  assert.match((await manager.send('a', 'last')).text, /^echo\(\d+\): last$/)
  assert.equal(manager.history('a').length, 11)
  assert.deepEqual(await stopped(manager, 'a'), { code: 0, signal: null })
})

test('content blocks, pictures and very long texts go both ways unchanged', async (t) => {
  const world = await createWorld(t)
  const blocks = [
    { type: 'text', text: 'one' },
    { type: 'text', text: 'two' },
  ]
  const { manager, response } = await world.spawned('a', blocks)
  assert.equal(response.text, 'echo(2): two')
  assert.deepEqual(world.api.requests[0].userTexts, ['one', 'two'])

  const picture = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: PIXEL } }
  assert.equal((await manager.send('a', [{ type: 'text', text: 'look' }, picture])).text, 'echo(3): look')
  // 2.1.260 and 2.1.300 put a message about tokens behind ours.
  const [seen] = world.api
    .asked('look')[0]
    .body.messages.findLast(({ role }) => role === 'user')
    .content.filter(({ type }) => type === 'image')
  assert.deepEqual(seen.source, picture.source)
  assert.equal(manager.lastOutput('a').prompt, 'look\n[image]')

  const text = 'äß€😀\u2028\u0085"\\ '.repeat(50_000).trim()
  assert.equal((await manager.send('a', text)).text, `echo(4): ${text}`)
  assert.equal((await manager.send('a', 'LONG:10000')).text.split(' ').length, 10_001)
})
