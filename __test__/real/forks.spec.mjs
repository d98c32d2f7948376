// fork() on the real CLI: of live, busy and stopped sessions, at any moment, with any message.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { createWorld, stopped, version } from './support.mjs'

test('a fork that begins at the very moment of a result knows that turn, and its source does not change', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  const forking = once(manager.sessions.get('a'), 'result').then(() => manager.fork('a', 'b', { message: 'RECALL' }))
  await manager.send('a', 'second')
  const ofLive = await forking
  assert.equal(ofLive.response.text, 'first | second')
  assert.notEqual(ofLive.session.id, session.id)
  assert.equal((await manager.send('b', 'only in b')).text, 'echo(4): only in b')
  assert.equal((await manager.send('a', 'only in a')).text, 'echo(3): only in a')
  assert.equal((await manager.send('b', 'RECALL')).text, 'first | second | RECALL | only in b')
  assert.equal((await manager.send('a', 'RECALL')).text, 'first | second | only in a')
  assert.equal(manager.status('a').id, session.id)

  await stopped(manager, 'a')
  const ofStopped = await manager.fork('a', 'c', { message: 'RECALL' })
  assert.equal(ofStopped.response.text, 'first | second | only in a | RECALL')
  assert.equal(manager.history('c')[0].type, 'fork')
  assert.equal(manager.status('a').status, 'stopped')
  assert.equal(manager.history('a').length, 4)
})

test('a fork of a busy session sees its open question, and that turn goes on', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const question = 'HOLD:question'
  const sending = manager.send('a', question)
  await world.api.waitFor(({ text }) => text === question)
  // A message that looks like an option is none.
  const { response } = await manager.fork('a', 'b', { message: '--help me' })
  // 2.1.260 puts words of its own behind the question.
  const added = version === '2.1.260' ? ['Continue from where you left off.'] : []
  const said = ['first', question, ...added, '--help me']
  assert.equal(response.text, `echo(${said.length}): --help me`)
  assert.equal((await manager.send('b', 'RECALL')).text, said.join(' | '))
  assert.equal(manager.status('a').status, 'busy')
  world.api.release('question')
  assert.equal((await sending).text, 'held: question')
  assert.equal((await manager.send('a', 'RECALL')).text, `first | ${question}`)
})

test('a fork that fails says why in the words of the CLI; its name is free for one with a very long message', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  await assert.rejects(manager.fork('a', 'b', { message: 'ERROR:400' }), (error) => {
    assert.equal(error.code, 'ERR_FORK_FAILED')
    assert.match(error.message, /^Fork failed: .*mock error 400/)
    assert.equal(error.cost, 0)
    assert.notEqual(error.sessionId, session.id)
    return true
  })
  await assert.rejects(manager.fork('a', 'b', { permissionMode: 'no-such-mode' }), {
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: .*no-such-mode/s,
  })
  assert.throws(() => manager.status('b'), { code: 'ERR_SESSION_NOT_FOUND' })

  const long = `${'long '.repeat(40_000)}end`
  // The CLI overlooks an agent that it does not know.
  const { response } = await manager.fork('a', 'b', { message: long, agent: 'no-such-agent' })
  assert.equal(response.text, `echo(2): ${long}`)
})
