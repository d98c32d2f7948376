/** Damage and failures: a file that is no JSON, a disk that refuses, and the warnings about it. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { Store } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'
import { oldRecord, settled, store, warnings, writeOld } from '../support/stores.mjs'

const SEVERAL = { concurrency: 2 }

describe('a file that is no JSON', SEVERAL, () => {
  const broken = [
    ['cut off', '{"a":{"name":"a","status":"stopped"},"b":{"na'],
    ['no JSON at all', 'hello'],
    ['a list', '[{"name":"a"}]'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x00, 0x80])],
  ]
  for (const [what, contents] of broken) {
    test(`${what}: is moved aside, reported once, and never overwritten`, async (t) => {
      const w = world(t)
      mkdirSync(w.dataDir)
      writeFileSync(w.sessionsFile, contents)
      const seen = warnings(t)
      const records = store(w)
      assert.equal(records.get('a'), null)
      assert.deepEqual(records.list(), [])
      records.set('new', oldRecord('new'))
      assert.deepEqual(Object.keys(records.loadAll()), ['new'])
      await records.flush()
      const aside = readdirSync(w.dataDir).filter((name) => name.startsWith('sessions.json.corrupt-'))
      assert.equal(aside.length, 1)
      assert.deepEqual(readFileSync(join(w.dataDir, aside[0])), Buffer.from(contents))
      new Store(w.dataDir).list()
      await settled()
      const ours = seen.filter(({ message }) => message.includes(w.dataDir))
      assert.deepEqual(
        ours.map(({ code }) => code),
        ['CLEARCTX_STORE_CORRUPT'],
      )
      assert.ok(ours[0].message.includes(aside[0]), 'the warning says where the file is now')
    })
  }

  test('a second one gets a name of its own and a warning of its own', async (t) => {
    const w = world(t)
    const seen = warnings(t)
    const records = store(w)
    for (const text of ['first', 'second']) {
      writeFileSync(w.sessionsFile, text)
      assert.deepEqual(records.list(), [])
    }
    await settled()
    const aside = readdirSync(w.dataDir).filter((name) => name.startsWith('sessions.json.corrupt-'))
    assert.deepEqual(aside.map((name) => readFileSync(join(w.dataDir, name), 'utf8')).toSorted(), ['first', 'second'])
    assert.equal(seen.filter(({ message }) => message.includes(w.dataDir)).length, 2)
  })

  test('an empty file holds no records', (t) => {
    const w = world(t)
    writeOld(w, '')
    const records = store(w)
    assert.deepEqual(records.list(), [])
    records.set('a', oldRecord('a'))
    assert.deepEqual(Object.keys(w.readStore()), ['a'])
  })

  test('one record that is damaged does not take the others with it', (t) => {
    const w = world(t)
    writeOld(w, { bad: 'no record', worse: null, list: [1], good: oldRecord('good') })
    const records = store(w)
    assert.deepEqual(records.get('good'), oldRecord('good'))
    assert.deepEqual(
      records.list().map(({ name }) => name),
      ['good'],
    )
    records.set('more', oldRecord('more'))
    const { bad, worse, list } = w.readStore()
    assert.deepEqual([bad, worse, list], ['no record', null, [1]], 'what is not understood is kept')
    records.saveAll(records.loadAll())
    assert.deepEqual(Object.keys(w.readStore()), ['bad', 'worse', 'list', 'good', 'more'])
  })

  test('lives with a byte order mark', (t) => {
    const w = world(t)
    writeOld(w, `\ufeff${JSON.stringify({ a: oldRecord('a') })}`)
    assert.equal(store(w).get('a')?.name, 'a')
  })
})

describe('failures', SEVERAL, () => {
  const isStoreError = (path) => (error) => {
    assert.deepEqual([error.name, error.code], ['Error', 'ERR_STORE'], error.stack)
    assert.ok(error.message.startsWith(`Store ${error.path}: `), error.message)
    assert.ok(error.path.startsWith(path), `${error.path} in ${path}`)
    return true
  }

  test('a dataDir that cannot be a directory throws ERR_STORE at once', (t) => {
    const w = world(t)
    const file = join(w.dir, 'file')
    writeFileSync(file, 'keep me')
    assert.throws(() => new Store(file), isStoreError(file))
    assert.throws(() => new Store(join(file, 'below')), isStoreError(file))
    assert.throws(() => w.manager({ dataDir: file }), isStoreError(file))
    assert.equal(readFileSync(file, 'utf8'), 'keep me')
  })

  test('a sessions.json that is a directory fails each call and stays', (t) => {
    const w = world(t)
    mkdirSync(join(w.sessionsFile, 'sub'), { recursive: true })
    const records = store(w)
    assert.throws(() => records.list(), isStoreError(w.dataDir))
    assert.throws(() => records.set('a', oldRecord('a')), isStoreError(w.dataDir))
    assert.ok(existsSync(join(w.sessionsFile, 'sub')))
  })

  test('flush rejects, and never throws', async (t) => {
    const w = world(t)
    const records = store(w)
    records.set('a', oldRecord('a'))
    await records.flush()
    rmSync(w.dataDir, { recursive: true })
    writeFileSync(w.dataDir, 'in the way')
    assert.throws(() => records.set('b', oldRecord('b')), isStoreError(w.dataDir))
    const flushed = records.flush()
    // Nothing waits to be written: whether that is an error is not the point, that it settles is.
    await Promise.allSettled([flushed])
  })

  // A program that can change its user shows what a read-only directory does, also for root.
  test('a read-only directory fails changes with ERR_STORE, reads go on, nothing is damaged', async (t) => {
    const w = hostWorld(t)
    store(w).set('a', oldRecord('a'))
    await store(w).flush()
    const before = readFileSync(w.sessionsFile)
    chmodSync(w.dir, 0o755)
    const host = w.host(async ({ manager, say }) => {
      const mgr = manager()
      const { chmodSync: chmod, readdirSync: readdir } = await import('node:fs')
      chmod(mgr.store.dataDir, 0o555)
      for (const name of readdir(mgr.store.dataDir)) if (name !== 'hosts') chmod(`${mgr.store.dataDir}/${name}`, 0o444)
      if (process.geteuid() === 0) process.seteuid(65534)
      say(mgr.store.get('a').status)
      const outcomes = []
      const attempt = async (call) => {
        try {
          outcomes.push(await call())
        } catch ({ name, code, path, cause }) {
          outcomes.push({ name, code, path, cause: { ...cause } })
        }
      }
      await attempt(() => mgr.store.set('b', { name: 'b' }))
      await attempt(() => mgr.store.delete('a'))
      await attempt(() => mgr.store.saveAll({}))
      await attempt(() => mgr.store.cleanup(0))
      await attempt(() => mgr.kill('a'))
      await attempt(() => mgr.delete('a'))
      await attempt(() => mgr.spawn('c'))
      say(outcomes)
      say(mgr.store.list().length)
      say([...mgr.sessions.keys()])
    })
    const [status, outcomes, count, live] = await host.finished()
    assert.equal(status, 'stopped')
    for (const outcome of outcomes) {
      assert.deepEqual([outcome?.name, outcome?.code], ['Error', 'ERR_STORE'], JSON.stringify(outcomes))
      assert.deepEqual(outcome.cause, { code: 'EACCES', errno: -13 })
      assert.ok(outcome.path.startsWith(w.dataDir), outcome.path)
    }
    assert.equal(count, 1)
    assert.deepEqual(live, [])
    chmodSync(w.dataDir, 0o700)
    assert.deepEqual(readFileSync(w.sessionsFile), before)
    assert.deepEqual(
      readdirSync(w.dataDir).filter((name) => !/^(sessions\.(json|lock|journal)|hosts)$/.test(name)),
      [],
    )
  })

  // A limit on the size of files is a full disk in small: writes end in the middle.
  test('a full disk fails a change with ERR_STORE and damages nothing', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, heard, say }) => {
      const { store: records } = manager()
      records.set('a', { name: 'a', status: 'stopped', long: 'x'.repeat(1000) })
      await records.flush()
      say('stored')
      await heard()
      const attempt = (call) => {
        try {
          return call() ?? 'done'
        } catch ({ code, path, message, cause }) {
          return { code, path, message, cause: { ...cause, isError: cause instanceof Error } }
        }
      }
      say(attempt(() => records.set('b', { name: 'b', status: 'stopped', long: 'y'.repeat(50_000) })))
      say([
        attempt(() => records.get('a').long.length),
        attempt(() => records.get('b')),
        attempt(() => records.list().length),
      ])
      await heard()
      say(attempt(() => records.set('c', { name: 'c', status: 'stopped' })))
      await records.flush()
      say(Object.keys(records.loadAll()))
    })
    assert.equal(await host.said(), 'stored')
    const limit = (bytes) => spawnSync('prlimit', ['--pid', String(host.pid), `--fsize=${bytes}`])
    if (limit('8192:unlimited').status !== 0) return t.skip('prlimit is missing')
    host.tell('go')
    const error = await host.said()
    assert.equal(error.code, 'ERR_STORE', JSON.stringify(error))
    assert.deepEqual(error.cause, { code: 'EFBIG', errno: -27, isError: true })
    assert.ok(error.path.startsWith(w.dataDir))
    assert.deepEqual(await host.said(), [1000, 'done', 1], 'what was stored is there, what failed is not')
    assert.equal(store(w).get('a').long.length, 1000)
    assert.equal(store(w).get('b'), null)
    limit('unlimited:unlimited')
    host.tell('go')
    assert.equal(await host.said(), 'done')
    assert.deepEqual(await host.said(), ['a', 'c'])
    await host.finished()
    assert.deepEqual(Object.keys(w.readStore()), ['a', 'c'])
  })

  test('a turn whose record cannot be written rejects with its answer, and is written when that works again', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'one' })
    const away = join(w.dir, 'away')
    renameSync(w.dataDir, away)
    writeFileSync(w.dataDir, 'in the way')
    const session = mgr.sessions.get('a')
    const error = await session.send('two').catch((reason) => reason)
    assert.equal(error.code, 'ERR_STORE', error.text)
    assert.equal(error.response.text, 'echo(4): two')
    assert.equal(session.interactions.length, 2)
    assert.equal(session.status, 'ready')
    rmSync(w.dataDir)
    renameSync(away, w.dataDir)
    assert.equal((await mgr.send('a', 'three')).text, 'echo(6): three')
    assert.deepEqual(
      w.readStore().a.interactions.map(({ prompt }) => prompt),
      ['one', 'two', 'three'],
    )
  })
})

describe('an answer is not lost when its record cannot be written', SEVERAL, () => {
  /** The record of `session` cannot be written from its next answer on, and has to be. The result takes that back. */
  const breakAtResult = (w, session) => {
    const away = join(w.dir, 'away')
    session.on('result', () => {
      session.interactions = [...session.interactions]
      renameSync(w.dataDir, away)
      writeFileSync(w.dataDir, 'in the way')
    })
    return () => {
      rmSync(w.dataDir)
      renameSync(away, w.dataDir)
    }
  }

  const rejection = async (promise) => {
    const error = await promise.catch((reason) => reason)
    assert.equal(error.code, 'ERR_STORE', error.stack)
    assert.equal(error.sent, true)
    return error
  }

  test('by the manager, after the turn', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'one' })
    const repair = breakAtResult(w, mgr.sessions.get('a'))
    const { response } = await rejection(mgr.send('a', 'two'))
    repair()
    assert.equal(response.text, 'echo(4): two')
    assert.ok(response.cost > 0)
  })

  test('of a fork', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'one' })
    let repair
    mgr._wireEvents = (session) => {
      repair = breakAtResult(w, session)
    }
    const error = await rejection(mgr.fork('a', 'b', { message: 'two' }))
    repair()
    assert.equal(error.response.text, 'echo(4): two')
    assert.deepEqual([error.cost, error.sessionId], [error.response.cost, error.response.sessionId])
  })

  // What a subclass throws is its own.
  test('but the error of a subclass stays as it is', async (t) => {
    const mgr = world(t).manager()
    await mgr.spawn('a')
    const own = Object.freeze(new Error('mine'))
    mgr._persist = () => {
      throw own
    }
    assert.equal(await mgr.send('a', 'one').catch((reason) => reason), own)
    delete mgr._persist
  })
})

test('warnings come through process.emitWarning, also without a listener of ours', async (t) => {
  const w = hostWorld(t)
  mkdirSync(w.dataDir)
  writeFileSync(w.sessionsFile, 'broken')
  const host = w.host(({ manager }) => void manager().list())
  await host.finished()
  assert.match(host.stderr, /\[CLEARCTX_STORE_CORRUPT\]/)
  assert.equal(host.stderr.match(/CLEARCTX_STORE_CORRUPT/g).length, 1)
})
