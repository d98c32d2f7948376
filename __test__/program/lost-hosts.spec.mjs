/**
 * The CLI of a program that was killed together with its keeper works on until its turn ends. Nobody has to wait for that.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { messagesIn, readLog } from '../support/events.mjs'
import { NO_KEEPER, hostWorld } from '../support/hosts.mjs'
import { isAlive, until } from '../support/sessions.mjs'

const logOf = (w) => join(w.dir, 'lost.log')

/** A manager whose sessions write into the same log. */
const managerOf = (w) => w.manager({ env: standInEnv({ log: logOf(w) }) })

/** Kills a program without a keeper whose session `lost` is in a turn without end, with two processes of its own. */
async function loseHost(w, turn = 'stand-in: silent') {
  const log = logOf(w)
  const host = w.start(
    async ({ manager, say, heard }, message) => {
      const mgr = manager()
      const { session } = await mgr.spawn('lost', { prompt: 'one' })
      const { text } = await mgr.send('lost', 'stand-in: spawn-children 1')
      mgr.send('lost', message).catch(() => {})
      say([session.pid, ...JSON.parse(text)])
      await heard()
    },
    { args: [turn], env: { ...standInEnv({ log }), ...NO_KEEPER } },
  )
  const pids = await host.said()
  await until(() => messagesIn(readLog(log)).includes(turn), 'the turn runs')
  host.kill('SIGKILL')
  await host.closed
  assert.deepEqual(pids.filter(isAlive), pids, 'the CLI works on')
  const events = () =>
    readLog(log).map(({ event, pid, signal }) => `${pids.includes(pid) ? 'old' : 'new'} ${signal ?? event}`)
  return { pids, events }
}

const gone = (pids) => until(() => !pids.some(isAlive), `the end of ${pids}`)

for (const [what, act] of [
  ['kill', (mgr) => mgr.kill('lost')],
  ['delete', (mgr) => mgr.delete('lost')],
]) {
  test(`${what} ends at once what a killed program left in mid-turn`, async (t) => {
    const w = hostWorld(t)
    // Made before: a new manager would end it by itself, in peace.
    const mgr = managerOf(w)
    const { pids, events } = await loseHost(w)
    act(mgr)
    await gone(pids)
    assert.ok(!events().includes('old SIGINT'), 'nothing asked it to leave')
  })
}

test('resume first ends in peace what a killed program left in mid-turn', async (t) => {
  const w = hostWorld(t)
  const mgr = managerOf(w)
  const { pids, events } = await loseHost(w)
  const answer = mgr.resume('lost', 'recall')
  assert.equal(mgr.sessions.get('lost').status, 'starting')
  assert.match((await answer).text, /^one/)
  assert.deepEqual(pids.filter(isAlive), [])
  const all = events()
  const [asked, left, started] = ['old SIGINT', 'old exit', 'new start'].map((event) => all.indexOf(event))
  assert.ok(-1 < asked && asked < left && left < started, all.join('\n'))
})

test('resume ends what a killed program left in mid-turn also if it takes no notice of signals', async (t) => {
  const w = hostWorld(t)
  const mgr = managerOf(w)
  const { pids } = await loseHost(w, 'stand-in: ignore-signals; silent')
  assert.match((await mgr.resume('lost', 'recall')).text, /^one/)
  assert.deepEqual(pids.filter(isAlive), [])
})

test('a resume that is stopped while it waits starts nothing', async (t) => {
  const w = hostWorld(t)
  const mgr = managerOf(w)
  const { pids, events } = await loseHost(w, 'stand-in: ignore-signals; silent')
  const answer = mgr.resume('lost', 'recall')
  const session = mgr.sessions.get('lost')
  mgr.stop('lost')
  await assert.rejects(answer, { code: 'ERR_SESSION_STOPPED' })
  await session.closed
  await gone(pids)
  assert.ok(!events().includes('new start'))
  assert.equal(mgr.status('lost').status, 'stopped')
})

test('a new manager ends in peace what a killed program left behind, and nothing else', async (t) => {
  const w = hostWorld(t)
  const other = w.host(async ({ manager, say, heard }) => {
    const mgr = manager()
    const { session } = await mgr.spawn('other', { prompt: 'hello' })
    say(session.pid)
    await heard()
    say((await mgr.send('other', 'recall')).text)
    await mgr.close()
  })
  const pid = await other.said()
  const { pids, events } = await loseHost(w)
  const mgr = managerOf(w)
  await gone(pids)
  assert.equal(events().filter((event) => event === 'old SIGINT').length, 1)
  assert.ok(isAlive(pid))
  assert.equal(mgr.status('lost').status, 'stopped')
  other.tell('go on')
  assert.deepEqual(await other.finished(), ['hello'])
})

test('a resume right after the start of a manager, which sweeps, asks the CLI to leave only once', async (t) => {
  const w = hostWorld(t)
  const { pids, events } = await loseHost(w)
  assert.match((await managerOf(w).resume('lost', 'recall')).text, /^one/)
  assert.deepEqual(pids.filter(isAlive), [])
  assert.equal(events().filter((event) => event === 'old SIGINT').length, 1)
})
