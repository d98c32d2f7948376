// A StreamSession without a manager on the real CLI, with all its events.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { bash } from './messages.mjs'
import { createWorld, until } from './support.mjs'

const EVENTS = ['init', 'text', 'tool_use', 'tool_result', 'result', 'stderr', 'status', 'error', 'close']

function record(session) {
  const seen = []
  for (const event of EVENTS) session.on(event, (...args) => seen.push([event, ...args]))
  return seen
}

test('a session without a manager tells everything that happens, in order', async (t) => {
  const world = await createWorld(t)
  const session = world.session({ allowedTools: ['Bash'] })
  const seen = record(session)
  const messages = []
  session.on('message', ({ type, subtype }) => messages.push(subtype === undefined ? type : `${type}/${subtype}`))
  assert.equal(session.id, null)
  session.start()
  const response = await session.send(bash('echo hello'))
  assert.equal(response.text, 'tool: hello')
  session.pause()
  assert.equal((await session.send('second')).text, 'echo(2): second')
  session.stop()
  assert.deepEqual(await session.closed, { code: 0, signal: null })

  assert.deepEqual(
    seen.map(([event, first]) => (event === 'status' ? `status ${first}` : event)),
    [
      ...['status ready', 'status busy', 'init', 'tool_use', 'tool_result', 'text', 'status ready', 'result'],
      ...['status paused', 'status busy', 'init', 'text', 'status ready', 'result', 'status stopped', 'close'],
    ],
  )
  const first = (event) => seen.find(([name]) => name === event)
  assert.equal(first('init')[1].session_id, session.id)
  assert.deepEqual([first('tool_use')[1].name, first('tool_use')[1].input.command], ['Bash', 'echo hello'])
  assert.match(JSON.stringify(first('tool_result')[1].content), /hello/)
  assert.equal(first('text')[1], 'tool: hello')
  assert.deepEqual(first('result').slice(1), [response, session.interactions[0]])
  assert.deepEqual(first('close'), ['close', 0, null])
  for (const kind of ['system/init', 'assistant', 'user', 'result/success']) assert.ok(messages.includes(kind), kind)

  const { id, interactions } = session.toJSON()
  assert.equal(interactions.length, 2)
  const again = world.session({ sessionId: id })
  again.start()
  assert.equal((await again.send('RECALL')).text, bash('echo hello') + ' | second')
  assert.equal(again.id, id)
})

test('a session that the CLI refuses to start tells why, and needs no listener for it', async (t) => {
  const world = await createWorld(t)
  const session = world.session({ permissionMode: 'no-such-mode' })
  const seen = record(session)
  session.start()
  await assert.rejects(session.send('first'), { code: 'ERR_PROCESS_EXITED', exitCode: 1 })
  assert.deepEqual(await session.closed, { code: 1, signal: null })
  const told = (event) => seen.filter(([name]) => name === event)
  assert.match(
    told('stderr')
      .map(([, text]) => text)
      .join(''),
    /no-such-mode/,
  )
  assert.equal(told('error').length, 1)
  assert.equal(session.status, 'failed')
  assert.equal(seen.at(-1)[0], 'close')

  const unheard = world.session({ sessionId: '00000000-0000-4000-8000-000000000000' })
  unheard.start()
  await assert.rejects(unheard.send('first'), { code: 'ERR_START_FAILED', message: /No conversation found/ })
  await until(() => unheard.status === 'failed', 'the session has failed')
  assert.deepEqual(world.api.requests, [])
})
