/** One data directory, several programs: each name has one owner, each file one lock. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { Store } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { obedientHost, promptsOf } from '../support/obedient-hosts.mjs'
import { isAlive, until } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

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
