/** The CLI of a program that was killed in mid-turn works on until its turn ends. Nobody has to wait for that. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../testing/index.js'
import { messagesIn, readLog } from './support/events.mjs'
import { hostWorld } from './support/hosts.mjs'
import { isAlive, until } from './support/sessions.mjs'

/** Kills a program whose session `lost` is in a turn without end; resolves with the pid of its CLI. */
async function loseHost(w) {
  const log = join(w.dir, 'lost.log')
  const host = w.start(
    async ({ manager, say }) => {
      const mgr = manager()
      const { session } = await mgr.spawn('lost', { prompt: 'one' })
      mgr.send('lost', 'stand-in: silent').catch(() => {})
      say(session.pid)
    },
    { env: standInEnv({ log }) },
  )
  const pid = await host.said()
  await until(() => messagesIn(readLog(log)).includes('stand-in: silent'), 'the turn runs')
  host.kill('SIGKILL')
  await host.closed
  assert.ok(isAlive(pid), 'the CLI works on')
  return pid
}

for (const [what, act] of [
  ['kill', (mgr) => mgr.kill('lost')],
  ['delete', (mgr) => mgr.delete('lost')],
]) {
  test(`${what} ends the process that a killed program left in mid-turn`, async (t) => {
    const w = hostWorld(t)
    const pid = await loseHost(w)
    act(w.manager())
    await until(() => !isAlive(pid), 'the process ends')
  })
}

test('resume ends the process that a killed program left in mid-turn before it starts its own', async (t) => {
  const w = hostWorld(t)
  const pid = await loseHost(w)
  const mgr = w.manager()
  const answer = mgr.resume('lost', 'recall')
  assert.ok(!isAlive(pid))
  assert.match((await answer).text, /^one/)
})
