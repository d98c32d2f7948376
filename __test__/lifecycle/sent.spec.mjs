/** What the error of a rejected message says of it: `sent`, whatever ended it. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { reached, world } from '../support/sessions.mjs'
import { gate, rejection, working } from '../support/turns.mjs'

for (const [how, code] of [
  ['kill', 'ERR_SESSION_KILLED'],
  ['crash', 'ERR_PROCESS_EXITED'],
]) {
  test(`a ${how} says of each message whether the CLI had got it`, async (t) => {
    const w = world(t)
    const m = w.manager()
    await m.spawn('a', { allowedTools: ['Bash'] })
    const session = m.sessions.get('a')
    const tool = working(session)
    const first = rejection(m.send('a', gate(w).message), code)
    const second = rejection(m.send('a', 'second'), code)
    await tool
    if (how === 'kill') m.kill('a')
    else process.kill(session.pid, 'SIGKILL')
    assert.deepEqual([(await first).sent, (await second).sent], [true, false])
  })
}

test('a message that waits at a stop, and one to a session that is over, are unsent', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const tool = working(session)
  const opened = gate(w)
  const first = m.send('a', opened.message)
  const second = rejection(m.send('a', 'second'), 'ERR_SESSION_STOPPED')
  await tool
  m.stop('a')
  assert.equal((await second).sent, false)
  const late = await rejection(session.send('late'), 'ERR_SESSION_NOT_ALIVE')
  assert.equal(late.sent, false)
  opened.open()
  await first
  await reached(session, 'stopped')
})
