// Commands of the CLI as messages: /clear, /compact and those that ask no model.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createWorld, stopped } from './support.mjs'

test('/clear starts a conversation of its own, and a resume goes on with that one', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  const { sessionId } = await manager.send('a', '/clear')
  assert.notEqual(sessionId, session.id)
  assert.equal(manager.status('a').id, sessionId)
  await manager.send('a', 'second')
  await stopped(manager, 'a')
  const { text } = await manager.resume('a', 'RECALL')
  assert.match(text, /second/)
  assert.doesNotMatch(text, /first/)
})

test('/compact puts a summary in the place of what was said, and the conversation goes on', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  await manager.send('a', 'second')
  for (const command of ['/cost', '/context']) {
    const { text, cost, turns, isError } = await manager.send('a', command)
    assert.notEqual(text, '', command)
    assert.deepEqual({ cost, turns, isError }, { cost: 0, turns: 0, isError: false }, command)
  }
  assert.equal(world.api.requests.length, 2, 'such commands ask no model')

  const compacted = await manager.send('a', '/compact')
  assert.deepEqual([compacted.isError, compacted.text, compacted.turns], [false, '', 0])
  assert.equal(compacted.sessionId, session.id)
  assert.equal(manager.history('a').length, 5)

  const { text } = await manager.send('a', 'third')
  assert.match(text, /: third$/)
  const [{ userTexts }] = world.api.asked('third')
  assert.match(userTexts[0], /continued from a previous conversation/)
  assert.ok(!userTexts.includes('first') && !userTexts.includes('second'))

  await stopped(manager, 'a')
  assert.match(await manager.resume('a', 'RECALL').then((response) => response.text), /third$/)
})
