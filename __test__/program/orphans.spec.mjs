/** However a program ends: no process of its sessions lives on, neither the CLI nor what it has started. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { messagesIn, readLog } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { PATIENCE_MS, gone, startOwner } from '../support/owners.mjs'
import { descendants, isAlive, until } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('nothing is left of a program that ends', SEVERAL, () => {
  for (const [what, way, end, code] of [
    ['by process.exit()', 'exit', null, 0],
    ['by process.exit() right after stopAll()', 'stop and exit', null, 0],
    ['of an uncaught exception', 'throw', null, 1],
    ['of an unhandled rejection', 'reject', null, 1],
    ['by process.abort()', 'abort', null, 'SIGABRT'],
    ['by SIGTERM', '', 'SIGTERM', 'SIGTERM'],
    ['by SIGTERM that it handles by process.exit()', 'handled SIGTERM', 'SIGTERM', 0],
    ['by SIGINT', '', 'SIGINT', 'SIGINT'],
    ['by SIGHUP', '', 'SIGHUP', 'SIGHUP'],
    ['by SIGKILL', '', 'SIGKILL', 'SIGKILL'],
  ]) {
    test(what, async (t) => {
      const w = hostWorld(t)
      const { host, pids, keeper } = await startOwner(w, way)
      if (end === null) host.tell('end')
      else host.kill(end)
      const closed = await host.closed
      assert.deepEqual(closed, typeof code === 'number' ? { code, signal: null } : { code: null, signal: code })
      await gone(t, pids)
      await until(() => !isAlive(keeper), 'the keeper ends, too')
      // A program that could not say so has left records of which nobody is the owner any more.
      for (const { name, status, lostAt } of w.manager().list()) {
        assert.equal(status, 'stopped', name)
        assert.equal(lostAt === undefined, typeof code === 'number', name)
      }
    })
  }

  test('by signals to its whole process group, as a terminal sends them', async (t) => {
    const w = hostWorld(t)
    const { host, pids } = await startOwner(w, '', { detached: true })
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGKILL']) process.kill(-host.pid, signal)
    await host.closed
    await gone(t, pids)
  })

  test('by the end of it and all its descendants, as some tools kill a tree', async (t) => {
    const w = hostWorld(t)
    const { host, pids, keeper } = await startOwner(w, '')
    const tree = descendants(host.pid)
    assert.ok(!tree.includes(keeper))
    for (const pid of [host.pid, ...tree]) process.kill(pid, 'SIGKILL')
    await host.closed
    await gone(t, pids)
  })

  test('right after its first spawn', async (t) => {
    const w = hostWorld(t)
    const host = w.host(({ manager, say }) => {
      manager()
        .spawn('a', { prompt: 'stand-in: spawn-children 2; silent' })
        .catch(() => {})
      say('spawned')
      process.kill(process.pid, 'SIGKILL')
    })
    await host.closed
    await until(() => w.processes().length === 0, 'the end of what it started', PATIENCE_MS)
  })

  test('with 50 sessions', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say, heard }) => {
      const mgr = manager()
      const names = Array.from({ length: 50 }, (_, at) => `s${at}`)
      await mgr.batch(names.map((name) => ({ name, prompt: 'stand-in: spawn-children 1' })))
      for (const name of names.slice(25)) mgr.send(name, 'stand-in: silent').catch(() => {})
      say([...mgr.sessions.values()].map(({ pid }) => pid))
      await heard()
    })
    assert.equal((await host.said()).length, 50)
    const pids = descendants(host.pid)
    assert.equal(pids.length, 100)
    host.kill('SIGKILL')
    await host.closed
    await gone(t, pids)
  })

  test('while it forks', async (t) => {
    const w = hostWorld(t)
    const log = join(w.dir, 'fork.log')
    const message = 'stand-in: silent'
    const host = w.start(
      async ({ manager, say }, given) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'hello' })
        mgr.fork('a', 'b', { message: given }).catch(() => {})
        say('forking')
      },
      { args: [message], env: standInEnv({ log }) },
    )
    await host.said()
    await until(() => descendants(host.pid).length === 2, 'the fork runs')
    const pids = descendants(host.pid)
    host.kill('SIGKILL')
    await host.closed
    await gone(t, pids)
  })
})

test('a CLI that works is asked to leave before it is killed, once; an idle one leaves by itself', async (t) => {
  for (const end of ['SIGKILL', 'exit']) {
    const w = hostWorld(t)
    const log = join(w.dir, 'signals.log')
    const host = w.start(
      async ({ manager, say, heard }) => {
        const mgr = manager()
        await mgr.spawn('idle', { prompt: 'hello' })
        await mgr.spawn('busy', { prompt: 'hello' })
        mgr.send('busy', 'stand-in: silent').catch(() => {})
        say([...mgr.sessions.values()].map(({ pid }) => pid))
        await heard()
        process.exit()
      },
      { env: standInEnv({ log }) },
    )
    const [idle, busy] = await host.said()
    await until(() => messagesIn(readLog(log)).includes('stand-in: silent'), 'the turn runs')
    if (end === 'exit') host.tell('end')
    else host.kill(end)
    await host.closed
    await gone(t, [idle, busy])
    const events = (pid) => readLog(log).filter((entry) => entry.pid === pid && /signal|exit/.test(entry.event))
    assert.deepEqual(
      events(idle).map(({ signal, code }) => signal ?? code),
      [0],
    )
    assert.deepEqual(
      events(busy).map(({ signal, code }) => signal ?? code),
      ['SIGINT', 0],
    )
  }
})

test('a worker that is terminated: what its sessions run ends soon, their records say stopped', async (t) => {
  const w = hostWorld(t)
  const host = w.start(
    async ({ worker, say, heard }) => {
      const thread = worker('owner')
      say(await new Promise((resolve) => thread.once('message', resolve)))
      await heard()
      await thread.terminate()
      say('terminated')
      await heard()
    },
    {
      workers: {
        owner: async ({ manager, say }) => {
          // Longer than anybody would wait: they are for sessions that somebody still owns.
          const mgr = manager({ stopTimeout: 60_000, killTimeout: 60_000 })
          await mgr.spawn('stubborn', { prompt: 'stand-in: spawn-children 1' })
          await mgr.spawn('background', { prompt: 'stand-in: background 60000; text started' })
          await mgr.spawn('stopped', { prompt: 'stand-in: spawn-children 1' })
          const turn = new Promise((resolve) => mgr.sessions.get('stubborn').once('init', resolve))
          mgr.send('stubborn', 'stand-in: ignore-signals; silent').catch(() => {})
          await turn
          mgr.send('stopped', 'stand-in: silent').catch(() => {})
          mgr.stop('stopped')
          say('there')
          setInterval(() => {}, 1000)
        },
      },
    },
  )
  assert.equal(await host.said(), 'there')
  const pids = descendants(host.pid)
  assert.ok(pids.length >= 5)
  host.tell('terminate')
  assert.equal(await host.said(), 'terminated')
  await gone(t, pids)
  for (const { name, status } of Object.values(w.readStore())) assert.equal(status, 'stopped', name)
  host.tell('end')
  await host.finished()
})
