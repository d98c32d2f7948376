/** Records in one process: what is set is there, odd values too; what cleanup removes. */

import assert from 'node:assert/strict'
import { readFileSync, rmSync, symlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative } from 'node:path'
import { describe, test } from 'node:test'

import { Store } from '../../index.js'
import { hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'
import { modeOf, oldRecord, sameFields, store, writeOld } from '../support/stores.mjs'

const SEVERAL = { concurrency: 2 }
const DAY_MS = 86_400_000

describe('records', SEVERAL, () => {
  test('a part of the list: some records, some fields', (t) => {
    const records = store(world(t))
    for (const name of ['a', 'b', 'c', 'd']) records.set(name, oldRecord(name, { model: `m-${name}` }))
    const names = (options) => records.list(options).map(({ name }) => name)
    assert.deepEqual(names({ offset: 1, limit: 2 }), ['b', 'c'])
    assert.deepEqual(names({ offset: 3 }), ['d'])
    assert.deepEqual(names({ offset: 9 }), [])
    assert.deepEqual(names({ limit: 9 }), ['a', 'b', 'c', 'd'])
    assert.deepEqual(records.list({ limit: 1, fields: ['model', 'no such'] }), [{ name: 'a', model: 'm-a' }])
    const [{ interactions, ...others }] = records.list({ limit: 1, fields: ['interactions'] })
    assert.deepEqual(interactions, records.get('a').interactions)
    assert.deepEqual(others, { name: 'a' })
    for (const options of [{ offset: -1 }, { limit: 'x' }, { fields: 'model' }, { fields: [1] }]) {
      assert.throws(() => records.list(options), { code: /^ERR_INVALID_ARG/ })
    }
  })

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

  test('set keeps the fields that only the engine writes, unless it is given them', (t) => {
    const records = store(world(t))
    const engines = { owner: null, pid: 7, cliTotals: { tokens: 1 }, pending: [{ uuid: 'u' }], newSessionId: 'n' }
    records.set('a', { name: 'a', tags: ['x'], ...engines })
    records.set('a', { name: 'a', pid: 8 })
    const { lastSaved, ...record } = records.get('a')
    assert.ok(lastSaved)
    assert.deepEqual(record, { name: 'a', ...engines, pid: 8 })
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
