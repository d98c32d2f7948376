/** Store in one process: records, the file and its modes, replacement by others, damage, odd values, failures. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, test } from 'node:test'

import { Store } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }
const DAY_MS = 86_400_000

/** A record as clearctx 3 writes it. */
const oldRecord = (name, fields = {}) => ({
  name,
  claudeSessionId: '11111111-2222-4333-8444-555555555555',
  status: 'stopped',
  model: 'sonnet',
  workDir: '/work',
  permissionMode: 'default',
  allowedTools: [],
  systemPrompt: '',
  maxBudget: null,
  agent: null,
  totalCostUsd: 0.25,
  totalTurns: 1,
  interactions: [
    { prompt: 'p', response: 'r', cost: 0.25, turns: 1, duration: 9, timestamp: '2026-01-02T03:04:05.006Z' },
  ],
  created: '2026-01-02T03:04:05.006Z',
  ...fields,
})

const store = (w) => new Store(w.dataDir)

/** What a record says of the fields that were given. */
const sameFields = (record, given) =>
  assert.deepEqual(Object.fromEntries(Object.keys(given).map((key) => [key, record[key]])), given)

const modeOf = (path) => (statSync(path).mode & 0o777).toString(8)

/** All files and directories below. */
const below = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? [path, ...below(path)] : [path]
  })

/** Replaces sessions.json as another program does. */
const replaceFile = (w, text) => {
  const file = join(w.dir, 'new-sessions.json')
  writeFileSync(file, text)
  renameSync(file, w.sessionsFile)
}

const writeOld = (w, data) => {
  mkdirSync(w.dataDir, { recursive: true })
  writeFileSync(w.sessionsFile, typeof data === 'string' ? data : JSON.stringify(data, null, 2))
}

/** Collects the warnings of clearctx while the test runs; `next()` waits for one. */
const warnings = (t) => {
  const codes = []
  const listen = (warning) => warning.code?.startsWith('CLEARCTX_') && codes.push(warning)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  return codes
}

/** All that was to be delivered is delivered. */
const settled = async () => {
  for (let round = 0; round < 3; round += 1) await new Promise((resolve) => setImmediate(resolve))
}

describe('records', SEVERAL, () => {
  test('set, get, list, loadAll and delete agree with each other', (t) => {
    const records = store(world(t))
    assert.equal(records.get('a'), null)
    assert.deepEqual(records.list(), [])
    assert.deepEqual(records.loadAll(), {})
    assert.equal(records.set('a', oldRecord('a')), undefined)
    records.set('b', oldRecord('b', { model: 'haiku' }))
    sameFields(records.get('a'), oldRecord('a'))
    assert.deepEqual(
      records.list().map(({ name, model }) => [name, model]),
      [
        ['a', 'sonnet'],
        ['b', 'haiku'],
      ],
    )
    assert.deepEqual(Object.keys(records.loadAll()), ['a', 'b'])
    assert.deepEqual(records.loadAll().b, records.get('b'))
    assert.equal(records.delete('a'), true)
    assert.equal(records.delete('a'), false)
    assert.equal(records.get('a'), null)
    assert.deepEqual(Object.keys(records.loadAll()), ['b'])
  })

  test('set replaces the whole record and keeps its place', (t) => {
    const records = store(world(t))
    for (const name of ['a', 'b', 'c']) records.set(name, oldRecord(name))
    records.set('b', { name: 'b', status: 'killed' })
    const { name, status, model } = records.get('b')
    assert.deepEqual([name, status, model], ['b', 'killed', undefined])
    assert.deepEqual(Object.keys(records.loadAll()), ['a', 'b', 'c'])
  })

  test('saveAll replaces all records', (t) => {
    const records = store(world(t))
    records.set('a', oldRecord('a'))
    assert.equal(records.saveAll({ b: oldRecord('b'), c: oldRecord('c') }), undefined)
    assert.deepEqual(Object.keys(records.loadAll()), ['b', 'c'])
    sameFields(records.get('c'), oldRecord('c'))
    records.saveAll({})
    assert.deepEqual(records.list(), [])
    assert.deepEqual(records.loadAll(), {})
  })

  test('what is returned is the caller’s own, and what was given stays his', (t) => {
    const records = store(world(t))
    const given = oldRecord('a')
    records.set('a', given)
    given.interactions.push('later')
    const got = records.get('a')
    got.status = 'changed'
    got.interactions.length = 0
    records.list()[0].status = 'changed'
    records.loadAll().a.status = 'changed'
    assert.equal(records.get('a').status, 'stopped')
    assert.equal(records.get('a').interactions.length, 1)
  })

  test('two stores of one directory, however it is written, are one', (t) => {
    const w = world(t)
    const first = store(w)
    symlinkSync(w.dataDir, join(w.dir, 'link'))
    const others = [w.dataDir, `${w.dataDir}/`, join(w.dir, 'link'), relative(process.cwd(), w.dataDir)]
    for (const [index, dir] of others.entries()) {
      const other = new Store(dir)
      first.set(`a${index}`, oldRecord('a'))
      assert.ok(other.get(`a${index}`), dir)
      other.set(`b${index}`, oldRecord('b'))
      assert.ok(first.get(`b${index}`), dir)
    }
    assert.equal(first.list().length, others.length * 2)
  })

  test('dataDir is absolute, sessionsFile is in it', (t) => {
    const w = world(t)
    const records = new Store(relative(process.cwd(), w.dataDir))
    assert.equal(records.dataDir, w.dataDir)
    assert.equal(records.sessionsFile, w.sessionsFile)
  })

  test('the default directory is .clearctx in the home', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      ({ clearctx, say }) => {
        const { Store: TheStore, SessionManager } = clearctx()
        for (const none of [undefined, null, '']) say(new TheStore(none).dataDir)
        say(new SessionManager().store.dataDir)
        say(new SessionManager({ dataDir: '' }).store.dataDir)
      },
      { env: { HOME: w.dir } },
    )
    assert.deepEqual(new Set(await host.finished()), new Set([join(w.dir, '.clearctx')]))
    assert.equal(modeOf(join(w.dir, '.clearctx')), '700')
    assert.notEqual(homedir(), w.dir)
  })
})

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

  test('gets mode 0600 when one of clearctx 3 is rewritten', (t) => {
    const w = world(t)
    writeOld(w, { a: oldRecord('a') })
    chmodSync(w.sessionsFile, 0o644)
    store(w).set('b', oldRecord('b'))
    assert.equal(modeOf(w.sessionsFile), '600')
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
    replaceFile(w, '{}')
    assert.deepEqual(
      mgr.list().map(({ name }) => name),
      ['live'],
    )
    await mgr.send('live', 'again')
    await mgr.store.flush()
    const { live, other } = w.readStore()
    assert.equal(other, undefined)
    assert.equal(live.interactions.length, 2)
    assert.equal(live.status, 'ready')
  })
})

describe('a live session’s record', SEVERAL, () => {
  for (const [what, remove] of [
    ['sessions.json is removed', (w) => rmSync(w.sessionsFile)],
    ['the whole directory is removed', (w) => rmSync(w.dataDir, { recursive: true })],
  ]) {
    test(`is there again after the next turn when ${what}`, async (t) => {
      const w = world(t)
      const mgr = w.manager()
      await mgr.spawn('a', { prompt: 'one' })
      remove(w)
      assert.equal((await mgr.send('a', 'two')).text, 'echo(4): two')
      await mgr.store.flush()
      const { status, totalTurns, interactions } = w.readStore().a
      assert.deepEqual([status, totalTurns], ['ready', 2])
      assert.deepEqual(
        interactions.map(({ prompt }) => prompt),
        ['one', 'two'],
      )
      // And it is still known to be alive.
      assert.equal(w.manager().status('a').status, 'ready')
      mgr.stop('a')
      assert.equal(mgr.status('a').status, 'stopped')
    })
  }

  test('deleted through another Store stays away', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'one' })
    const session = mgr.sessions.get('a')
    new Store(w.dataDir).delete('a')
    assert.equal(mgr.store.get('a'), null)
    mgr.delete('a')
    await session.closed
    await mgr.store.flush()
    assert.deepEqual(w.readStore(), {})
  })
})

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

describe('odd values', SEVERAL, () => {
  test('unknown fields survive every rewrite, to the letter', async (t) => {
    const w = world(t)
    const odd =
      '{"big":12345678901234567890123,"small":1.10,"far":1e400,"text":"lone \\ud83d and \\u0000","deep":[[{"x":{}}]]}'
    writeOld(w, `{"a":{"name":"a","status":"stopped","odd":${odd}},"b":{"name":"b","status":"stopped"}}`)
    const records = store(w)
    records.set('b', { name: 'b', status: 'killed' })
    records.delete('none')
    await records.flush()
    assert.ok(readFileSync(w.sessionsFile, 'utf8').includes(odd))
    assert.deepEqual(records.get('a').odd, JSON.parse(odd))
    assert.equal(records.get('a').odd.text, 'lone \ud83d and \0')
  })

  test('values nested deeper than parsers like survive too', (t) => {
    const w = world(t)
    const deep = `${'['.repeat(2000)}${']'.repeat(2000)}`
    writeOld(w, `{"a":{"name":"a","status":"stopped","deep":${deep}}}`)
    const records = store(w)
    records.set('b', { name: 'b', deep: JSON.parse(deep) })
    assert.deepEqual(Object.keys(records.loadAll()), ['a', 'b'])
    assert.equal(readFileSync(w.sessionsFile, 'utf8').split(deep).length, 3)
  })

  test('unknown fields of a session’s record survive its life', async (t) => {
    const w = world(t)
    writeOld(w, { a: oldRecord('a', { claudeSessionId: null, custom: { mine: true } }) })
    const mgr = w.manager()
    await mgr.spawn('b', { prompt: 'hello' })
    const record = mgr.store.get('b')
    mgr.store.set('b', { ...record, custom: [1, 2] })
    await mgr.send('b', 'again')
    mgr.stop('b')
    await mgr.resume('b', 'more')
    await mgr.close()
    assert.deepEqual(w.readStore().b.custom, [1, 2])
    assert.equal(w.readStore().b.interactions.length, 3)
    assert.deepEqual(w.readStore().a.custom, { mine: true })
  })

  test('what JSON.stringify does to values is done here', (t) => {
    const records = store(world(t))
    records.set('a', { name: 'a', at: new Date(0), none: undefined, nan: Number.NaN, toJSON: undefined })
    const { at, none, nan } = records.get('a')
    assert.deepEqual([at, none, nan], ['1970-01-01T00:00:00.000Z', undefined, null])
  })

  test('any non-empty string is a name', (t) => {
    const w = world(t)
    const records = store(w)
    const names = [
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'prototype',
      ' ',
      '0',
      '-1',
      '../../etc/passwd',
      'a"b\\c',
      'new\nline',
      'tab\t',
      'grüße 日本 🙂',
      '\u2028',
      'x'.repeat(10_000),
    ]
    for (const [index, name] of names.entries()) records.set(name, { name, index })
    for (const [index, name] of names.entries()) assert.deepEqual(records.get(name)?.index, index, name.slice(0, 20))
    assert.equal(records.list().length, names.length)
    const all = records.loadAll()
    assert.deepEqual(new Set(Object.keys(all)), new Set(names))
    assert.equal(Object.getOwnPropertyDescriptor(all, '__proto__').value.index, 0)
    assert.equal({}.index, undefined)
    records.saveAll(all)
    assert.equal(records.get('__proto__').index, 0)
    for (const name of names) assert.equal(records.delete(name), true)
    for (const name of names) assert.equal(records.get(name), null)
    assert.equal(records.list().length, 0)
  })

  test('names of Object.prototype are no records', (t) => {
    const records = store(world(t))
    for (const name of ['__proto__', 'constructor', 'toString']) {
      assert.equal(records.get(name), null)
      assert.equal(records.delete(name), false)
    }
  })

  test('a session may be called __proto__', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    const { response } = await mgr.spawn('__proto__', { prompt: 'hello' })
    assert.equal(response.text, 'echo(2): hello')
    assert.equal(mgr.status('__proto__').status, 'ready')
    assert.equal((await mgr.send('__proto__', 'more')).text, 'echo(4): more')
    mgr.stop('__proto__')
    assert.equal((await mgr.resume('__proto__', 'again')).text, 'echo(6): again')
    assert.equal(mgr.history('__proto__').length, 3)
    mgr.delete('__proto__')
    assert.deepEqual(mgr.list(), [])
    assert.equal({}.status, undefined)
  })

  test('a record without a name shows its name in list()', (t) => {
    const w = world(t)
    writeOld(w, { quiet: { status: 'stopped' } })
    assert.deepEqual(store(w).list(), [{ name: 'quiet', status: 'stopped' }])
  })
})

describe('cleanup', SEVERAL, () => {
  const ago = (days) => new Date(Date.now() - days * DAY_MS).toISOString()

  test('removes what was last saved more than so many days ago, 7 by default', (t) => {
    const w = world(t)
    writeOld(w, {
      new: oldRecord('new', { created: ago(6.9) }),
      old: oldRecord('old', { created: ago(7.1) }),
      saved: oldRecord('saved', { created: ago(100), lastSaved: ago(1) }),
      forgotten: oldRecord('forgotten', { created: ago(1), lastSaved: ago(30) }),
    })
    const records = store(w)
    assert.equal(records.cleanup(), 2)
    assert.deepEqual(Object.keys(records.loadAll()), ['new', 'saved'])
    assert.deepEqual(Object.keys(w.readStore()), ['new', 'saved'])
    assert.equal(records.cleanup(), 0)
    assert.equal(records.cleanup(null), 0)
    assert.equal(records.cleanup(6), 1)
    assert.equal(records.cleanup(0.5), 1)
    assert.deepEqual(records.list(), [])
  })

  test('zero days is an age: all that is not alive', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('live', { prompt: 'hello' })
    await mgr.spawn('over', { prompt: 'hello' })
    mgr.stop('over')
    mgr.store.set('old', oldRecord('old', { status: 'ready' }))
    assert.equal(new Store(w.dataDir).cleanup(0), 2)
    assert.deepEqual(Object.keys(mgr.store.loadAll()), ['live'])
    assert.equal(mgr.cleanup(0), 0)
    assert.equal((await mgr.send('live', 'more')).text, 'echo(4): more')
    assert.equal(w.readStore().live.interactions.length, 2)
  })

  test('of zero days takes also what was saved a moment ago', (t) => {
    const records = store(world(t))
    for (let round = 0; round < 50; round += 1) {
      records.set('a', oldRecord('a', { created: new Date().toISOString() }))
      assert.equal(records.cleanup(0), 1)
      assert.equal(records.get('a'), null)
    }
  })

  test('takes statuses of clearctx 3 as it finds them, and leaves what has no readable date', (t) => {
    const w = world(t)
    writeOld(w, {
      ready: oldRecord('ready', { status: 'ready', created: ago(8) }),
      undated: { name: 'undated', status: 'stopped' },
      odd: oldRecord('odd', { created: 'some day', status: 'killed' }),
      nothing: 5,
    })
    assert.equal(store(w).cleanup(), 1)
    assert.deepEqual(Object.keys(w.readStore()), ['undated', 'odd', 'nothing'])
  })

  test('understands dates as JavaScript writes them', (t) => {
    const w = world(t)
    const date = new Date(Date.now() - 8 * DAY_MS)
    writeOld(w, {
      iso: oldRecord('iso', { created: date.toISOString() }),
      seconds: oldRecord('seconds', { created: `${date.toISOString().slice(0, 19)}Z` }),
      zone: oldRecord('zone', { created: `${date.toISOString().slice(0, 23)}+00:00` }),
    })
    assert.equal(store(w).cleanup(), 3)
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
        } catch ({ name, code, path }) {
          outcomes.push({ name, code, path })
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
        } catch ({ code, path, message }) {
          return { code, path, message }
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

test('warnings come through process.emitWarning, also without a listener of ours', async (t) => {
  const w = hostWorld(t)
  mkdirSync(w.dataDir)
  writeFileSync(w.sessionsFile, 'broken')
  const host = w.host(({ manager }) => void manager().list())
  await host.finished()
  assert.match(host.stderr, /\[CLEARCTX_STORE_CORRUPT\]/)
  assert.equal(host.stderr.match(/CLEARCTX_STORE_CORRUPT/g).length, 1)
})
