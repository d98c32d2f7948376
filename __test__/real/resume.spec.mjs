// resume() on the real CLI: by another program, from another directory, after a crash, of nothing.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { bash } from './messages.mjs'
import { assertMoney, createWorld, lives, until } from './support.mjs'
import { createBooks } from './prices.mjs'

test('a new host process in another directory resumes a stopped session, with its memory and where it was', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  await manager.send('a', 'second')
  await manager.close()
  await world.noProcessLeft()

  const { results } = await world.host(
    [
      ['resume', 'a', 'RECALL'],
      ['send', 'a', 'third'],
      ['status', 'a'],
      ['send', 'a', bash('pwd')],
    ],
    { cwd: world.temporary },
  )
  const [recall, third, status, where] = results.map(({ value }) => value)
  assert.equal(recall.text, 'first | second')
  assert.equal(third.text, 'echo(4): third')
  assert.equal(status.claudeSessionId, session.id)
  assert.equal(status.workDir, world.workDir)
  assert.equal(where.text, `tool: ${world.workDir}`)
  await world.noProcessLeft()

  assert.equal((await manager.resume('a', 'RECALL')).text, `first | second | RECALL | third | ${bash('pwd')}`)
  assert.equal(manager.history('a').length, 6)
})

test('the conversation of a host that was killed in mid-turn goes on, and what it left behind does not', async (t) => {
  const world = await createWorld(t)
  const books = await createBooks(world)
  const child = world.startHost([
    ['spawn', 'a', { prompt: 'USAGE:100,10:first', workDir: world.workDir }],
    ['send', 'a', 'HOLD:lost'],
  ])
  const lost = await world.api.waitFor(({ text }) => text === 'HOLD:lost')
  const manager = world.manager()
  assert.equal(manager.status('a').status, 'ready', 'the session of a live host is alive')
  child.kill('SIGKILL')
  await child.ended
  const { status, lostAt, pid } = manager.status('a')
  assert.equal(status, 'stopped')
  assert.ok(!Number.isNaN(Date.parse(lostAt)))

  // The CLI has seen the end of its input, but would end its turn first: two would work on one conversation.
  const recall = await manager.resume('a', 'RECALL')
  // What was answered is remembered. The CLI writes down a message a moment after it has taken it, so the one in flight
  // may be missing, and 2.1.197 puts words of its own in its place.
  assert.match(recall.text, /^USAGE:100,10:first($| \| )/)
  assert.equal(await lives(pid), false)
  assert.equal(lost.finished, false)
  // Nobody saw the result of the lost turn: its price is in no book, and in no other turn.
  assertMoney(recall.cost, books.price({ input: 10, output: 5 }), 'cost of the turn after the lost one')
  assertMoney(manager.status('a').totalCostUsd, books.price({ input: 110, output: 15 }), 'totalCostUsd')
})

test('resume() of a conversation that the CLI does not know fails in its words', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const record = { claudeSessionId: randomUUID(), status: 'stopped', model: 'sonnet', workDir: world.workDir }
  manager.store.set('a', { name: 'a', ...record })
  await assert.rejects(manager.resume('a', 'hello'), { code: 'ERR_START_FAILED', message: /No conversation found/ })
  await until(() => manager.status('a').status === 'failed', 'the session is failed')
  await world.noProcessLeft()

  manager.store.set('b', { name: 'b', ...record })
  const resuming = manager.resume('b')
  const live = manager.sessions.get('b')
  const errors = []
  live.on('error', (error) => errors.push(error))
  assert.equal(await resuming, null)
  await live.closed
  await until(() => errors.length > 0, 'the error is reported')
  assert.match(errors[0].message, /No conversation found/)
  assert.equal(manager.status('b').status, 'failed')
  assert.equal(world.api.requests.length, 0)
})
