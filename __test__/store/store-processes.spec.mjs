/** One data directory, several programs and managers: nobody's changes are lost, each name has one owner. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { Store } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { messagesIn, readLog } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { isAlive, until } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

/** A program with a manager that does what it is told: `[method, ...args]`, and says what came of it. */
const obedient = async ({ manager, heard, say }) => {
  const mgr = manager()
  say('here')
  for (let order = await heard(); order !== 'end'; order = await heard()) {
    const [method, ...args] = order
    try {
      const value = await (method in mgr ? mgr[method](...args) : mgr.store[method](...args))
      say({ value: value ?? null })
    } catch ({ code, message, exitCode }) {
      say({ code, message, exitCode })
    }
  }
  await mgr.close()
}

const obedientHost = async (w, env) => {
  const host = w.start(obedient, { env })
  assert.equal(await host.said(), 'here')
  return {
    host,
    /** Gives an order; resolves with the value, or `{ code, message }` of the error. */
    async do(...order) {
      host.tell(order)
      const { value, ...error } = await host.said()
      return value === undefined ? error : value
    },
    end() {
      host.tell('end')
      return host.finished()
    },
    /** Ends the program as a crash does. */
    async crash() {
      host.kill('SIGKILL')
      await host.closed
    },
  }
}

const promptsOf = (record) => record.interactions.map(({ prompt }) => prompt)

describe('several writers', SEVERAL, () => {
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

describe('a name that another live program owns', SEVERAL, () => {
  test('is taken for spawn, resume and fork, and not alive for send, pause and stop', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('spawn', 'theirs', { prompt: 'one' })
    const mgr = w.manager()
    await mgr.spawn('mine', { prompt: 'hello' })
    const exists = {
      code: 'ERR_SESSION_EXISTS',
      message: 'Session "theirs" exists in store with status "ready". Kill or delete it first.',
    }
    await assert.rejects(mgr.spawn('theirs', { prompt: 'x' }), exists)
    await assert.rejects(mgr.fork('mine', 'theirs'), exists)
    await assert.rejects(mgr.resume('theirs'), { code: 'ERR_SESSION_HELD' })
    await assert.rejects(mgr.resume('theirs', 'x'), { code: 'ERR_SESSION_HELD' })
    await assert.rejects(mgr.send('theirs', 'x'), { code: 'ERR_SESSION_NOT_ALIVE' })
    assert.throws(() => mgr.pause('theirs'), { code: 'ERR_SESSION_NOT_ALIVE' })
    assert.throws(() => mgr.stop('theirs'), { code: 'ERR_SESSION_NOT_ALIVE' })
    assert.deepEqual([...mgr.sessions.keys()], ['mine'])
    assert.equal((await other.do('send', 'theirs', 'two')).text, 'echo(4): two')
    assert.deepEqual(promptsOf(mgr.status('theirs')), ['one', 'two'])
    assert.deepEqual(mgr.lastOutput('theirs').prompt, 'two')
    assert.deepEqual(
      mgr.list().map(({ name, status }) => [name, status]),
      [
        ['theirs', 'ready'],
        ['mine', 'ready'],
      ],
    )
    await other.end()
    assert.equal(mgr.status('theirs').status, 'stopped')
  })

  test('can be forked from: reading a conversation takes nothing away', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('spawn', 'theirs', { prompt: 'the word is plum' })
    const mgr = w.manager()
    const { response } = await mgr.fork('theirs', 'branch', { message: 'recall' })
    assert.equal(response.text, 'the word is plum')
    assert.equal((await other.do('send', 'theirs', 'two')).text, 'echo(4): two')
    await other.end()
  })

  test('kill ends that program’s process; its turn is rejected, its record says killed', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    const { session } = await other.do('spawn', 'theirs', { prompt: 'one' })
    other.host.tell(['send', 'theirs', 'stand-in: silent'])
    const mgr = w.manager()
    mgr.kill('theirs')
    assert.equal(mgr.status('theirs').status, 'killed')
    const { code } = await other.host.said()
    assert.ok(['ERR_PROCESS_EXITED', 'ERR_SESSION_KILLED'].includes(code), code)
    await until(() => !isAlive(session.pid), 'the process ends')
    await until(async () => (await other.do('status', 'theirs')).status === 'killed', 'it is told')
    assert.equal((await other.do('send', 'theirs', 'two')).code, 'ERR_SESSION_NOT_ALIVE')
    await other.end()
    assert.equal(mgr.status('theirs').status, 'killed')
    assert.deepEqual(promptsOf(mgr.status('theirs')), ['one'])
  })

  test('delete ends that program’s process, and the record stays away', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    const { session } = await other.do('spawn', 'theirs', { prompt: 'one' })
    const mgr = w.manager()
    mgr.delete('theirs')
    assert.throws(() => mgr.status('theirs'), { code: 'ERR_SESSION_NOT_FOUND' })
    await until(() => !isAlive(session.pid), 'the process ends')
    await until(async () => (await other.do('status', 'theirs')).code === 'ERR_SESSION_NOT_FOUND', 'it is told')
    assert.equal((await other.do('send', 'theirs', 'two')).code, 'ERR_SESSION_NOT_ALIVE')
    await other.end()
    assert.deepEqual(mgr.list(), [])
    assert.deepEqual(w.readStore(), {})
  })

  test('a name that was killed and taken by another is no business of its first owner any more', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('spawn', 'name', { prompt: 'theirs' })
    const mgr = w.manager()
    mgr.kill('name')
    await mgr.spawn('name', { prompt: 'mine' })
    await until(async () => (await other.do('send', 'name', 'x')).code === 'ERR_SESSION_NOT_ALIVE', 'it is told')
    await other.end()
    assert.equal((await mgr.send('name', 'more')).text, 'echo(4): more')
    assert.deepEqual(promptsOf(w.readStore().name), ['mine', 'more'])
    assert.equal(w.readStore().name.status, 'ready')
  })

  test('kill touches no process whose id was only written into a record', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('spawn', 'theirs', { prompt: 'one' })
    const bystander = w.session({ name: 'bystander' })
    bystander.start()
    const mgr = w.manager()
    mgr.store.set('theirs', { ...mgr.store.get('theirs'), pid: bystander.pid })
    mgr.kill('theirs')
    mgr.delete('theirs')
    // As long as a round trip takes, at least.
    assert.equal((await bystander.send('hello')).text, 'echo(2): hello')
    assert.ok(isAlive(bystander.pid))
    await other.crash()
  })

  test('cleanup leaves the records of sessions that live elsewhere', async (t) => {
    const w = hostWorld(t)
    const other = await obedientHost(w)
    await other.do('spawn', 'theirs', { prompt: 'one' })
    await other.do('spawn', 'over', { prompt: 'one' })
    await other.do('stop', 'over')
    const mgr = w.manager()
    assert.equal(mgr.cleanup(0), 1)
    assert.deepEqual(Object.keys(mgr.store.loadAll()), ['theirs'])
    assert.equal((await other.do('send', 'theirs', 'two')).text, 'echo(4): two')
    await other.crash()
    assert.equal(mgr.cleanup(0), 1)
    assert.deepEqual(mgr.list(), [])
  })

  test('a name without an owner, from clearctx 3, is held as clearctx 3 held it', async (t) => {
    const w = hostWorld(t)
    const mgr = w.manager()
    const id = '11111111-2222-4333-8444-555555555555'
    mgr.store.set('old', { name: 'old', status: 'busy', claudeSessionId: id, pid: process.pid })
    assert.equal(mgr.status('old').status, 'busy')
    assert.equal(mgr.status('old').lostAt, undefined)
    await assert.rejects(mgr.spawn('old'), {
      message: 'Session "old" exists in store with status "busy". Kill or delete it first.',
    })
    mgr.kill('old')
    assert.equal(mgr.status('old').status, 'killed')
    assert.equal((await mgr.spawn('old', { prompt: 'hello' })).response.text, 'echo(2): hello')
  })
})

describe('a race for names', () => {
  test('of two programs that spawn the same names at once exactly one gets each', async (t) => {
    const w = hostWorld(t)
    const names = ['a', 'b', 'c', 'd']
    const hosts = [0, 1].map((number) =>
      w.host(
        async ({ manager, heard, say }, who, wanted) => {
          const mgr = manager()
          say('ready')
          await heard()
          const results = await mgr.batch(wanted.map((name) => ({ name, prompt: `from ${who}` })))
          say(results.map(({ session, error }) => ({ name: session.name, pid: session.pid, error })))
          await heard()
          say([...mgr.sessions.keys()])
          await mgr.close()
        },
        number,
        names,
      ),
    )
    for (const host of hosts) assert.equal(await host.said(), 'ready')
    for (const host of hosts) host.tell('go')
    const results = [await hosts[0].said(), await hosts[1].said()]
    const records = new Store(w.dataDir).loadAll()
    for (const [index, name] of names.entries()) {
      const [winner, loser] = [0, 1].toSorted((one) => (results[one][index].error === undefined ? -1 : 1))
      assert.equal(results[winner][index].error, undefined, JSON.stringify(results))
      assert.match(
        results[loser][index].error,
        new RegExp(`^Session "${name}" exists in store with status "\\w+"\\. Kill or delete it first\\.$`),
      )
      assert.deepEqual(promptsOf(records[name]), [`from ${winner}`])
      assert.equal(records[name].pid, results[winner][index].pid)
    }
    for (const host of hosts) host.tell('on')
    const live = [await hosts[0].said(), await hosts[1].said()]
    assert.deepEqual(live.flat().toSorted(), names)
    await Promise.all(hosts.map((host) => host.finished()))
  })

  test('of two programs that resume the same conversation at once exactly one goes on with it', async (t) => {
    const w = hostWorld(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'one' })
    await mgr.close()
    const hosts = [0, 1].map(() =>
      w.host(async ({ manager, heard, say }) => {
        const mine = manager()
        say('ready')
        await heard()
        const outcome = await mine.resume('a', 'two').then(
          ({ text }) => text,
          ({ code }) => code,
        )
        say(outcome)
        await heard()
        await mine.close()
      }),
    )
    for (const host of hosts) assert.equal(await host.said(), 'ready')
    for (const host of hosts) host.tell('go')
    const outcomes = [await hosts[0].said(), await hosts[1].said()]
    assert.deepEqual(outcomes.toSorted(), ['ERR_SESSION_HELD', 'echo(4): two'])
    for (const host of hosts) host.tell('on')
    await Promise.all(hosts.map((host) => host.finished()))
    assert.deepEqual(promptsOf(w.readStore().a), ['one', 'two'])
  })
})

describe('the lock', () => {
  test('held by a stopped program fails changes with ERR_STORE that names it; reads go on; later all is well', async (t) => {
    const w = hostWorld(t)
    const records = new Store(w.dataDir)
    records.set('mine', { name: 'mine', status: 'stopped' })
    const host = w.host(async ({ clearctx, dataDir, say }) => {
      const own = new (clearctx().Store)(dataDir)
      say('writing')
      for (let round = 0; ; round += 1) {
        own.set('theirs', { name: 'theirs', status: 'stopped', round, long: 'x'.repeat(200_000) })
        if (round % 100 === 99) await new Promise((resolve) => setImmediate(resolve))
      }
    })
    assert.equal(await host.said(), 'writing')
    await until(() => records.get('theirs') !== null, 'it writes')
    // It is stopped again and again, each time after some work, until it is stopped with the lock in its hands.
    const end = performance.now() + 60_000
    let error
    let began
    for (let attempt = 0; performance.now() < end && error === undefined; attempt += 1) {
      await delay(attempt % 5)
      host.kill('SIGSTOP')
      began = performance.now()
      try {
        records.set('mine', { name: 'mine', status: 'stopped', attempt })
        host.kill('SIGCONT')
      } catch (reason) {
        error = reason
      }
    }
    const waited = performance.now() - began
    assert.ok(error, 'it was never stopped with the lock')
    assert.equal(error.code, 'ERR_STORE')
    assert.equal(error.holderPid, host.pid)
    assert.ok(error.message.includes(String(host.pid)), error.message)
    assert.ok(error.path.startsWith(w.dataDir))
    assert.ok(waited >= 900 && waited < 2500, `waited for ${waited} ms`)
    assert.equal(records.get('mine').name, 'mine')
    assert.ok(records.list().length >= 1)
    const mgr = w.manager()
    await assert.rejects(mgr.spawn('new'), { code: 'ERR_STORE', holderPid: host.pid })
    assert.equal(mgr.sessions.size, 0)
    host.kill('SIGCONT')
    host.kill('SIGKILL')
    await host.closed
    records.set('mine', { name: 'mine', status: 'stopped', last: true })
    assert.equal(records.get('mine').last, true)
    assert.equal((await mgr.spawn('new', { prompt: 'hello' })).response.text, 'echo(2): hello')
  })

  test('a program that dies with the lock in its hands holds nobody up', async (t) => {
    const w = hostWorld(t)
    const records = new Store(w.dataDir)
    for (let round = 0; round < 4; round += 1) {
      const host = w.host(({ clearctx, dataDir, say }) => {
        const own = new (clearctx().Store)(dataDir)
        say('writing')
        for (let turn = 0; ; turn += 1) own.set('theirs', { name: 'theirs', turn, long: 'x'.repeat(200_000) })
      })
      assert.equal(await host.said(), 'writing')
      await until(() => records.get('theirs')?.turn > 3 + round, 'it writes')
      host.kill('SIGKILL')
      await once(host.child, 'exit')
      const began = performance.now()
      records.set('mine', { name: 'mine', round })
      assert.ok(performance.now() - began < 900)
      assert.equal(records.get('mine').round, round)
      assert.equal(records.get('theirs').long.length, 200_000)
    }
  })
})
