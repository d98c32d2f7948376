/** The file of the records: its form, its modes, and changes by other programs. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { Store } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'
import { below, modeOf, oldRecord, replaceFile, sameFields, store, writeOld } from '../support/stores.mjs'

const SEVERAL = { concurrency: 2 }

describe('the file', SEVERAL, () => {
  test('is JSON as clearctx 3 reads it, up to date when a small change returns', (t) => {
    const w = world(t)
    const records = store(w)
    records.set('a', oldRecord('a'))
    sameFields(w.readStore().a, oldRecord('a'))
    records.set('b', oldRecord('b'))
    assert.deepEqual(w.readStore(), records.loadAll())
    records.delete('a')
    assert.deepEqual(Object.keys(w.readStore()), ['b'])
    records.saveAll({ c: oldRecord('c') })
    assert.deepEqual(Object.keys(w.readStore()), ['c'])
  })

  test('of clearctx 3 is taken over as it is', (t) => {
    const w = world(t)
    const data = { a: oldRecord('a'), b: oldRecord('b', { status: 'ready' }) }
    writeOld(w, data)
    const records = store(w)
    assert.deepEqual(records.loadAll(), data)
    assert.deepEqual(records.get('b'), data.b)
    assert.deepEqual(records.list(), Object.values(data))
    assert.deepEqual(w.readStore(), data)
  })

  test('reading creates no sessions.json and changes none', (t) => {
    const w = world(t)
    const records = store(w)
    records.list()
    records.get('a')
    records.loadAll()
    assert.equal(records.cleanup(), 0)
    assert.equal(records.delete('a'), false)
    assert.ok(!existsSync(w.sessionsFile))
    const text = JSON.stringify({ a: oldRecord('a') })
    writeOld(w, text)
    records.list()
    records.get('a')
    assert.equal(readFileSync(w.sessionsFile, 'utf8'), text)
  })

  test('and all others have mode 0600, directories 0700, whatever the umask', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      process.umask(0)
      const mgr = manager()
      mgr.store.set('x', { name: 'x', status: 'stopped' })
      await mgr.spawn('a', { prompt: 'hello' })
      say('here')
      await mgr.close()
    })
    assert.equal(await host.said(), 'here')
    const paths = [w.dataDir, ...below(w.dataDir)]
    assert.ok(paths.length > 2)
    for (const path of paths) assert.equal(modeOf(path), statSync(path).isDirectory() ? '700' : '600', path)
    await host.finished()
    for (const path of below(w.dataDir)) assert.equal(modeOf(path), statSync(path).isDirectory() ? '700' : '600', path)
  })

  test('keeps its mode when one of clearctx 3 is rewritten', (t) => {
    const w = world(t)
    writeOld(w, { a: oldRecord('a') })
    chmodSync(w.sessionsFile, 0o644)
    store(w).set('b', oldRecord('b'))
    assert.equal(modeOf(w.sessionsFile), '644')
  })

  test('directories that are missing are created, parents too', (t) => {
    const w = world(t)
    const dir = join(w.dir, 'deep', 'er', 'data')
    new Store(dir).set('a', oldRecord('a'))
    assert.equal(modeOf(dir), '700')
    assert.ok(existsSync(join(dir, 'sessions.json')))
  })

  test('is replaced as a whole: a reader never meets half of it', async (t) => {
    const w = hostWorld(t)
    const records = store(w)
    const long = 'x'.repeat(60_000)
    records.set('first', { name: 'first', long })
    const reader = w.host(async ({ say }, file) => {
      const { readFileSync: read, statSync: stat } = await import('node:fs')
      say('reading')
      const inodes = new Set()
      let reads = 0
      for (;;) {
        const { done, first } = JSON.parse(read(file, 'utf8'))
        inodes.add(stat(file).ino)
        reads += 1
        if (first.long.length !== 60_000) throw new Error('torn')
        if (done !== undefined) return say({ reads, inodes: inodes.size })
      }
    }, w.sessionsFile)
    assert.equal(await reader.said(), 'reading')
    for (let round = 0; round < 200; round += 1) {
      records.set('other', { name: 'other', round, long: long.slice(round * 100) })
    }
    records.set('done', { name: 'done' })
    await records.flush()
    const [{ reads, inodes }] = await reader.finished()
    assert.ok(reads > 5 && inodes > 2, `${reads} reads of ${inodes} files`)
    const left = readdirSync(w.dataDir).filter((name) => /tmp/i.test(name))
    assert.deepEqual(left, [], 'no temporary file stays')
  })

  test('leftovers of a writer that died do not stay for ever, and do not disturb', (t) => {
    const w = world(t)
    const records = store(w)
    records.set('a', oldRecord('a'))
    assert.deepEqual(
      readdirSync(w.dataDir).filter((name) => !/^(sessions\.(json|lock|journal)|hosts)$/.test(name)),
      [],
      'nothing but the documented files',
    )
  })

  test('flush() brings a big file up to date; reads are current before', async (t) => {
    const w = world(t)
    const records = store(w)
    const long = 'x'.repeat(4096)
    for (let index = 0; index < 150; index += 1) records.set(`r${index}`, { name: `r${index}`, index, long })
    assert.equal(records.list().length, 150)
    assert.equal(new Store(w.dataDir).get('r149').index, 149)
    const flushed = records.flush()
    assert.ok(flushed instanceof Promise)
    assert.equal(await flushed, undefined)
    assert.deepEqual(w.readStore(), records.loadAll())
    records.delete('r7')
    records.set('r8', { name: 'r8', index: 'new' })
    await Promise.all([records.flush(), records.flush()])
    const { r7, r8 } = w.readStore()
    assert.equal(r7, undefined)
    assert.equal(r8.index, 'new')
  })

  test('many changes at once are all there', async (t) => {
    const w = world(t)
    const records = store(w)
    for (let index = 0; index < 300; index += 1) records.set(`r${index % 20}`, { name: 'r', index })
    assert.deepEqual(
      Object.values(records.loadAll()).map(({ index }) => index),
      Array.from({ length: 20 }, (_, index) => 280 + index),
    )
    await records.flush()
    assert.deepEqual(w.readStore(), records.loadAll())
  })

  test('a directory that was removed is made again by the next change', (t) => {
    const w = world(t)
    const records = store(w)
    records.set('a', oldRecord('a'))
    rmSync(w.dataDir, { recursive: true })
    assert.equal(records.get('a'), null)
    records.set('b', oldRecord('b'))
    assert.deepEqual(Object.keys(w.readStore()), ['b'])
    assert.equal(modeOf(w.dataDir), '700')
  })
})

describe('a file that another program changes', SEVERAL, () => {
  test('is seen at the next call, however it was written', (t) => {
    const w = world(t)
    const records = store(w)
    records.set('a', oldRecord('a'))
    replaceFile(w, JSON.stringify({ ...w.readStore(), b: oldRecord('b') }))
    assert.deepEqual(Object.keys(records.loadAll()), ['a', 'b'])
    writeFileSync(w.sessionsFile, JSON.stringify({ ...w.readStore(), c: oldRecord('c') }))
    assert.ok(records.get('c'))
    replaceFile(w, JSON.stringify({ ...w.readStore(), c: oldRecord('c', { status: 'killed' }) }, null, '\t'))
    assert.equal(records.get('c').status, 'killed')
  })

  test('of the same size and the same times is seen too', (t) => {
    const w = world(t)
    const records = store(w)
    const text = (word) => JSON.stringify({ a: { name: 'a', status: 'stopped', word } })
    replaceFile(w, text('one'))
    assert.equal(records.get('a').word, 'one')
    const { atime, mtime } = statSync(w.sessionsFile)
    writeFileSync(w.sessionsFile, text('two'))
    utimesSync(w.sessionsFile, atime, mtime)
    assert.equal(records.get('a').word, 'two')
    replaceFile(w, text('six'))
    utimesSync(w.sessionsFile, atime, mtime)
    assert.equal(records.get('a').word, 'six')
  })

  test('is the base of our next change: neither is lost', (t) => {
    const w = world(t)
    const records = store(w)
    records.set('a', oldRecord('a'))
    replaceFile(w, JSON.stringify({ ...w.readStore(), theirs: oldRecord('theirs') }))
    records.set('ours', oldRecord('ours'))
    assert.deepEqual(Object.keys(w.readStore()), ['a', 'theirs', 'ours'])
  })

  test('a name missing from it is deleted, and does not come back', async (t) => {
    const w = world(t)
    const records = store(w)
    for (const name of ['a', 'b', 'c']) records.set(name, oldRecord(name))
    const { b: _, ...rest } = w.readStore()
    replaceFile(w, JSON.stringify(rest))
    assert.equal(records.get('b'), null)
    records.set('d', oldRecord('d'))
    await records.flush()
    assert.deepEqual(Object.keys(w.readStore()), ['a', 'c', 'd'])
    assert.deepEqual(Object.keys(records.loadAll()), ['a', 'c', 'd'])
  })

  test('does not delete the record of a live session', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('live', { prompt: 'hello' })
    mgr.store.set('other', oldRecord('other'))
    mgr.store.set('last', oldRecord('last'))
    // What was written last shows that the other program has read the present file.
    replaceFile(w, JSON.stringify({ last: oldRecord('last', { lastSaved: w.readStore().last.lastSaved }) }))
    assert.deepEqual(
      mgr.list().map(({ name }) => name),
      ['live', 'last'],
    )
    await mgr.send('live', 'again')
    await mgr.store.flush()
    const { live, other } = w.readStore()
    assert.equal(other, undefined)
    assert.equal(live.interactions.length, 2)
    assert.equal(live.status, 'ready')
  })
})
