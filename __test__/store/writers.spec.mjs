/** One data directory, several programs and managers: nobody’s changes are lost, not even by a kill -9. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { Store } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { messagesIn, readLog } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { obedientHost, promptsOf } from '../support/obedient-hosts.mjs'
import { isAlive, until } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('several writers', SEVERAL, () => {
  test('a record that one program sets keeps what another one writes for the engine at that moment', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, dataDir, heard, say }) => {
      const records = new (clearctx().Store)(dataDir)
      say('ready')
      let over = false
      heard().then(() => (over = true))
      for (let round = 0; !over; round += 1) {
        records.set('a', { name: 'a', status: 'stopped', round })
        await new Promise(setImmediate)
      }
    })
    await host.said()
    const records = new Store(w.dataDir)
    for (let tokens = 1; tokens <= 500; tokens += 1) {
      records.set('a', { name: 'a', status: 'stopped', cliTotals: { tokens } })
      assert.deepEqual(records.get('a').cliTotals, { tokens })
    }
    host.tell('end')
    await host.finished()
  })

  test('eight programs that write at once lose nothing', async (t) => {
    const w = hostWorld(t)
    const hosts = Array.from({ length: 8 }, (_, number) =>
      w.host(async ({ clearctx, dataDir, heard, say }, who) => {
        const records = new (clearctx().Store)(dataDir)
        // Who waits for more than a second is told so, and tries again.
        const change = (method, ...args) => {
          for (let attempt = 1; ; attempt += 1) {
            try {
              return records[method](...args)
            } catch (error) {
              if (!error.message.includes('locked by') || attempt === 10) throw error
            }
          }
        }
        say('ready')
        await heard()
        for (let round = 0; round < 25; round += 1) {
          change('set', `${who}-${round}`, { name: `${who}-${round}`, status: 'stopped', round })
          change('set', `own-${who}`, { name: `own-${who}`, status: 'stopped', round })
          if (round % 5 === 4) change('delete', `${who}-${round - 1}`)
        }
      }, number),
    )
    for (const host of hosts) assert.equal(await host.said(), 'ready')
    for (const host of hosts) host.tell('go')
    await Promise.all(hosts.map((host) => host.finished()))
    const all = new Store(w.dataDir).loadAll()
    const expected = hosts.flatMap((_, who) => [
      `own-${who}`,
      ...Array.from({ length: 25 }, (__, round) => `${who}-${round}`).filter((___, round) => round % 5 !== 3),
    ])
    assert.deepEqual(Object.keys(all).toSorted(), expected.toSorted())
    for (const who of hosts.keys()) assert.equal(all[`own-${who}`].round, 24)
    // The programs have ended well, so the file itself is up to date.
    assert.deepEqual(w.readStore(), all)
  })

  test('each sees the others’ changes at its next call', async (t) => {
    const w = hostWorld(t)
    const records = new Store(w.dataDir)
    const other = await obedientHost(w)
    for (let round = 0; round < 10; round += 1) {
      records.set('mine', { name: 'mine', round })
      assert.equal((await other.do('get', 'mine')).round, round)
      await other.do('set', 'theirs', { name: 'theirs', round })
      assert.equal(records.get('theirs').round, round)
      assert.equal(records.list().length, 2)
    }
    await other.do('delete', 'mine')
    assert.equal(records.get('mine'), null)
    await other.do('saveAll', { only: { name: 'only' } })
    assert.deepEqual(Object.keys(records.loadAll()), ['only'])
    await other.end()
  })

  test('also while the file is big', async (t) => {
    const w = hostWorld(t)
    const records = new Store(w.dataDir)
    const long = 'x'.repeat(20_000)
    for (let index = 0; index < 30; index += 1) records.set(`r${index}`, { name: `r${index}`, long })
    const other = await obedientHost(w)
    assert.equal((await other.do('list')).length, 30)
    for (let round = 0; round < 20; round += 1) {
      records.set('mine', { name: 'mine', round, long })
      assert.equal((await other.do('get', 'mine')).round, round)
      await other.do('set', 'theirs', { name: 'theirs', round })
      assert.equal(records.get('theirs').round, round)
    }
    await other.end()
    await records.flush()
    assert.equal(Object.keys(w.readStore()).length, 32)
    assert.equal(w.readStore().theirs.round, 19)
  })

  test('sessions of several programs record all their turns', async (t) => {
    const w = hostWorld(t)
    const hosts = Array.from({ length: 3 }, (_, number) =>
      w.host(async ({ manager }, who) => {
        const mgr = manager()
        const names = [`${who}-x`, `${who}-y`]
        await Promise.all(
          names.map(async (name) => {
            await mgr.spawn(name, { prompt: 'turn 0' })
            await Promise.all([1, 2, 3].map((turn) => mgr.send(name, `turn ${turn}`)))
          }),
        )
        await mgr.close()
      }, number),
    )
    await Promise.all(hosts.map((host) => host.finished()))
    const all = Object.values(w.readStore())
    assert.equal(all.length, 6)
    for (const record of all) {
      assert.deepEqual(promptsOf(record), ['turn 0', 'turn 1', 'turn 2', 'turn 3'])
      assert.deepEqual([record.status, record.totalTurns], ['stopped', 4])
    }
  })

  test('worker threads that write at once lose nothing', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ clearctx, dataDir, worker }) => {
        const ends = [0, 1, 2].map((who) => new Promise((resolve) => worker('writer', who).once('exit', resolve)))
        const records = new (clearctx().Store)(dataDir)
        for (let round = 0; round < 25; round += 1) {
          records.set(`main-${round}`, { name: `main-${round}`, status: 'stopped' })
          await new Promise((resolve) => setImmediate(resolve))
        }
        await Promise.all(ends)
      },
      {
        workers: {
          writer: async ({ clearctx, dataDir }, who) => {
            const records = new (clearctx().Store)(dataDir)
            for (let round = 0; round < 25; round += 1) {
              records.set(`${who}-${round}`, { name: `${who}-${round}`, status: 'stopped' })
              await new Promise((resolve) => setImmediate(resolve))
            }
          },
        },
      },
    )
    await host.finished()
    assert.equal(Object.keys(w.readStore()).length, 100)
  })

  test('two managers of one program on one directory know of each other', async (t) => {
    const w = hostWorld(t)
    const [one, two] = [w.manager(), w.manager()]
    await one.spawn('a', { prompt: 'hello' })
    assert.equal(two.status('a').status, 'ready')
    assert.deepEqual(promptsOf(two.status('a')), ['hello'])
    await assert.rejects(two.spawn('a'), {
      code: 'ERR_SESSION_EXISTS',
      message: 'Session "a" exists in store with status "ready". Kill or delete it first.',
    })
    assert.throws(() => two.stop('a'), { code: 'ERR_SESSION_NOT_ALIVE' })
    one.stop('a')
    assert.equal((await two.resume('a', 'more')).text, 'echo(4): more')
    await assert.rejects(one.resume('a'), { code: 'ERR_SESSION_HELD', holderPid: process.pid })
  })
})

describe('two managers of one program', SEVERAL, () => {
  for (const method of ['kill', 'delete']) {
    test(`${method} of one ends the session of the other`, async (t) => {
      const w = hostWorld(t)
      const [one, two] = [w.manager(), w.manager()]
      await one.spawn('a', { prompt: 'hello' })
      const session = one.sessions.get('a')
      const answer = one.send('a', 'stand-in: silent').catch(({ code }) => code)
      two[method]('a')
      assert.deepEqual(
        two.list().map(({ status }) => status),
        method === 'kill' ? ['killed'] : [],
      )
      assert.ok(['ERR_PROCESS_EXITED', 'ERR_SESSION_KILLED'].includes(await answer))
      await session.closed
      assert.equal(one.sessions.size, 0)
      assert.deepEqual(
        one.list().map(({ status }) => status),
        method === 'kill' ? ['killed'] : [],
      )
      assert.equal((await two.spawn('a', { prompt: 'anew' })).response.text, 'echo(2): anew')
    })
  }

  test('kill reaches a session of another thread', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ manager, worker, say }) => {
        const thread = worker('owner')
        const ended = new Promise((resolve) => thread.once('exit', resolve))
        const pid = await new Promise((resolve) => thread.once('message', resolve))
        const mgr = manager()
        mgr.kill('a')
        say([pid, await ended, mgr.status('a').status])
      },
      {
        workers: {
          owner: async ({ manager, say }) => {
            const mgr = manager()
            await mgr.spawn('a', { prompt: 'hello' })
            const { pid, closed } = mgr.sessions.get('a')
            say(pid)
            await closed
          },
        },
      },
    )
    const [[pid, code, status]] = await host.finished()
    assert.deepEqual([code, status], [0, 'killed'])
    assert.ok(!isAlive(pid))
  })
})

describe('a kill -9 of the program', SEVERAL, () => {
  test('loses nothing that was stored or answered', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('set', 'record', { name: 'record', status: 'stopped', value: 1 })
    await other.do('spawn', 'a', { prompt: 'one' })
    await other.do('send', 'a', 'two')
    await other.crash()
    const records = new Store(w.dataDir)
    assert.equal(records.get('record').value, 1)
    assert.deepEqual(promptsOf(records.get('a')), ['one', 'two'])
    assert.equal(records.get('a').totalTurns, 2)
  })

  test('right after set() loses nothing, small file or big', async (t) => {
    const w = hostWorld(t)
    for (const size of [10, 40_000]) {
      const host = w.host(({ clearctx, dataDir }, length) => {
        const records = new (clearctx().Store)(dataDir)
        for (let index = 0; index < 20; index += 1) {
          records.set(`r${index}`, { name: `r${index}`, length, long: 'x'.repeat(length) })
        }
        records.delete('r7')
        process.kill(process.pid, 'SIGKILL')
      }, size)
      assert.equal((await host.closed).signal, 'SIGKILL')
      const all = new Store(w.dataDir).loadAll()
      assert.equal(Object.keys(all).length, 19, `with records of ${size} bytes`)
      assert.ok(Object.values(all).every(({ length, long }) => length === size && long.length === size))
      assert.equal(all.r7, undefined)
    }
  })

  test('leaves records that read as stopped, with lostAt, and names that are free', async (t) => {
    const w = hostWorld(t)
    const log = join(w.dir, 'log')
    const other = await obedientHost(w, standInEnv({ log }))
    await other.do('spawn', 'idle', { prompt: 'one', tags: ['x'] })
    await other.do('spawn', 'busy', { prompt: 'one' })
    await other.do('spawn', 'paused', { prompt: 'one' })
    await other.do('pause', 'paused')
    await other.do('spawn', 'over', { prompt: 'one' })
    await other.do('stop', 'over')
    other.host.tell(['send', 'busy', 'stand-in: slow 500'])
    const mgr = w.manager()
    await until(() => messagesIn(readLog(log)).length === 5, 'the turn runs')
    assert.equal(mgr.status('idle').status, 'ready')
    assert.equal(mgr.status('paused').status, 'paused')
    const before = Date.now()
    await other.crash()
    for (const name of ['idle', 'busy', 'paused']) {
      const record = mgr.status(name)
      assert.equal(record.status, 'stopped', name)
      assert.equal(new Date(record.lostAt).toISOString(), record.lostAt)
      assert.ok(Date.parse(record.lostAt) <= Date.now() && Date.parse(record.lostAt) > before - 60_000)
      assert.deepEqual(promptsOf(record), ['one'])
    }
    assert.equal(mgr.status('over').lostAt, undefined)
    assert.deepEqual(
      mgr.list('stopped').map(({ name }) => name),
      ['idle', 'busy', 'paused', 'over'],
    )
    assert.deepEqual(mgr.store.list().filter(({ lostAt }) => lostAt !== undefined).length, 3)
    assert.equal(mgr.store.loadAll().idle.status, 'stopped')

    await mgr.spawn('busy', { prompt: 'anew' })
    assert.deepEqual(promptsOf(mgr.status('busy')), ['anew'])
    assert.equal(mgr.store.get('busy').lostAt, undefined)
    assert.equal((await mgr.resume('idle', 'two')).text, 'echo(4): two')
    assert.deepEqual(promptsOf(mgr.store.get('idle')), ['one', 'two'])
    assert.deepEqual([mgr.store.get('idle').status, mgr.store.get('idle').lostAt], ['ready', undefined])
    assert.deepEqual(mgr.store.get('idle').tags, ['x'])
  })

  test('of a program with many sessions leaves all processes to end by themselves', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    const specs = ['a', 'b', 'c'].map((name) => ({ name, prompt: 'hello' }))
    const pids = (await other.do('batch', specs)).map(({ session }) => session.pid)
    assert.ok(pids.every(isAlive))
    await other.crash()
    await until(() => !pids.some(isAlive), 'the processes of the dead program end')
  })

  test('is not mistaken: an owner of another boot or container that is gone does not hold its names', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('spawn', 'a', { prompt: 'one' })
    await other.crash()
    const records = new Store(w.dataDir)
    // The same record with the process id of a program that lives: this one.
    const { status: _, lostAt: __, ...record } = records.get('a')
    records.set('a', { ...record, status: 'ready', owner: { ...record.owner, pid: process.pid }, pid: process.pid })
    const mgr = w.manager()
    assert.equal(mgr.status('a').status, 'stopped')
    assert.equal((await mgr.spawn('a', { prompt: 'new' })).response.text, 'echo(2): new')
  })
})
