/** What callers may give: wrong arguments are refused before anything starts or is stored. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { SessionManager, Store, StreamSession } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { MANAGER_OPTIONS, RUN_OPTIONS, SESSION_OPTIONS, managed } from '../support/options.mjs'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

/** Values of a wrong type, whatever the right one is; the right ones are left out where they are right. */
const wrong = (...right) =>
  Object.entries({
    boolean: true,
    no: false,
    bigint: 5n,
    symbol: Symbol('odd'),
    function: function odd() {},
    number: 5,
    string: 'text',
    array: ['text'],
    object: { a: 1 },
    instance: new Date(0),
    boxed: Object('text'),
    bare: Object.create(null),
  })
    .filter(([kind]) => !right.includes(kind))
    // What `||` does not see is "not given", whatever its type.
    .map(([, value]) => value)

const objects = ['object', 'instance', 'boxed', 'bare']

const isType = (argument) => ({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: names(argument) })
const isValue = (argument) => ({ name: 'RangeError', code: 'ERR_INVALID_ARG_VALUE', message: names(argument) })
const names = (argument) => new RegExp(`^The ${argument.replace(/[.[\]]/g, '\\$&')} argument must be .+\\. Received .`)

/** Bad values of the last argument of a send: a time, or options. */
const timeouts = () =>
  badValues('number', 'timeout').flatMap(([value, expected]) => {
    if (typeof value !== 'object') return [[value, expected]]
    return Array.isArray(value) ? [[value, isType('options')]] : []
  })

/** Bad values of an argument of a kind: the value, and what the error must be. */
const badValues = (kind, argument) => {
  const typed = (...right) => wrong(...right).map((value) => [value, isType(argument)])
  switch (kind) {
    case 'text':
      return [...typed('string'), ['nul\0', isValue(argument)]]
    case 'number':
      return [
        ...typed('number'),
        [-1, isValue(argument)],
        [-0.001, isValue(argument)],
        [-Infinity, isValue(argument)],
        [Number.NaN, isValue(argument)],
      ]
    case 'texts':
      return [
        ...typed('array'),
        [['a', 5], isType(`${argument}[1]`)],
        [[null], isType(`${argument}[0]`)],
        [[['a']], isType(`${argument}[0]`)],
      ]
    case 'env':
      return [
        ...typed(...objects),
        [{ A: 5 }, isType(`${argument}.A`)],
        [{ A: 'nul\0' }, isValue(`${argument}.A`)],
        [{ 'A=B': 'x' }, isValue(argument)],
        [{ '': 'x' }, isValue(argument)],
      ]
    case 'name':
      return [
        ...typed('string'),
        ...[undefined, null, 0].map((value) => [value, isType(argument)]),
        ['', isValue(argument)],
      ]
    case 'options':
      return [...wrong(...objects), 0, ''].map((value) => [value, isType(argument)])
    case 'list':
      return [...typed('array'), ...[undefined, null, 0, ''].map((value) => [value, isType(argument)])]
    case 'message':
      return [
        ...typed('string', 'array'),
        ...[undefined, null, 0].map((value) => [value, isType(argument)]),
        ['', isValue(argument)],
        [[], isValue(argument)],
        ...badBlocks(argument),
      ]
    case 'optional message':
      return [...typed('string', 'array'), [[], isValue(argument)], ...badBlocks(argument)]
    case 'record':
      return [...typed(...objects), ...[undefined, null, 0, ''].map((value) => [value, isType(argument)])]
    default:
      throw new Error(kind)
  }
}

const badBlocks = (argument) => [
  [['text'], isType(`${argument}[0]`)],
  [[{ type: 'text', text: 'a' }, null], isType(`${argument}[1]`)],
  [[{ text: 'a' }], isType(`${argument}[0]`)],
  [[{ type: 5 }], isType(`${argument}[0]`)],
]

/** A manager whose stand-in would leave a trace, and the proof that it left none. */
const watched = (t) => {
  const w = world(t)
  const log = join(w.dir, 'log')
  return {
    w,
    mgr: w.manager({ env: standInEnv({ log }) }),
    assertUntouched(mgr) {
      assert.ok(!existsSync(log), 'a process was started')
      assert.equal(mgr.sessions.size, 0)
      assert.deepEqual(mgr.store.list(), [])
      assert.ok(!existsSync(w.sessionsFile), 'something was stored')
    },
  }
}

const describeValue = (value) => {
  try {
    return `${typeof value} ${JSON.stringify(value)}`
  } catch {
    return typeof value
  }
}

/** Calls that must throw. */
const assertThrows = (call, bad) => {
  for (const [value, expected] of bad) {
    assert.throws(() => call(value), expected, `${describeValue(value)} was taken`)
  }
}

/** Calls that must reject and not throw. */
const assertRejects = async (call, bad) => {
  for (const [value, expected] of bad) {
    const promise = call(value)
    assert.ok(promise instanceof Promise)
    await assert.rejects(promise, expected, `${describeValue(value)} was taken`)
  }
}

describe('wrong arguments are refused before anything starts or is stored', SEVERAL, () => {
  test('options of a manager', (t) => {
    const { dataDir } = world(t)
    for (const [option, kind] of Object.entries(MANAGER_OPTIONS)) {
      assertThrows((value) => new SessionManager({ dataDir, [option]: value }), badValues(kind, `options.${option}`))
    }
    assertThrows((value) => new SessionManager(value), badValues('options', 'options'))
    assert.ok(!existsSync(dataDir), 'the directory was made')
  })

  test('options of a session without a manager', () => {
    for (const [option, kind] of Object.entries({
      ...SESSION_OPTIONS,
      ...RUN_OPTIONS,
      name: 'name',
      sessionId: 'text',
    })) {
      const bad = badValues(kind, `options.${option}`)
      assertThrows((value) => new StreamSession({ name: 'a', [option]: value }), bad)
    }
    for (const value of [undefined, null, {}]) assert.throws(() => new StreamSession(value), isType('options.name'))
    assertThrows((value) => new StreamSession(value), badValues('options', 'options'))
  })

  test('dataDir of a store', () => {
    assertThrows((value) => new Store(value), badValues('text', 'dataDir'))
  })

  test('spawn', async (t) => {
    const { mgr, assertUntouched } = watched(t)
    for (const [option, kind] of Object.entries({ ...SESSION_OPTIONS, prompt: 'optional message' })) {
      await assertRejects((value) => mgr.spawn('a', { [option]: value }), badValues(kind, `options.${option}`))
    }
    await assertRejects((value) => mgr.spawn('a', value), badValues('options', 'options'))
    await assertRejects((value) => mgr.spawn(value), badValues('name', 'name'))
    assertUntouched(mgr)
  })

  test('batch', async (t) => {
    const { mgr, assertUntouched } = watched(t)
    await assertRejects((value) => mgr.batch(value), badValues('list', 'specs'))
    const notSpecs = [undefined, null, 5, 'a'].map((value) => [value, isType('specs[1]')])
    await assertRejects((value) => mgr.batch([{ name: '' }, value]), notSpecs)
    const results = await mgr.batch([{ name: '' }, {}, { name: 'a', timeout: -1 }])
    assert.deepEqual(
      results.map(({ session }) => session),
      [
        { name: '', status: 'failed' },
        { name: undefined, status: 'failed' },
        { name: 'a', status: 'failed' },
      ],
    )
    assert.match(results[2].error, /^The options\.timeout argument must be/)
    assertUntouched(mgr)
  })

  test('fork, the source first', async (t) => {
    const { mgr, assertUntouched } = watched(t)
    const known = managed(t)
    await known.mgr.spawn('source', { prompt: 'hello' })
    for (const [option, kind] of Object.entries({ ...SESSION_OPTIONS, message: 'text' })) {
      const bad = badValues(kind, `options.${option}`)
      await assertRejects((value) => known.mgr.fork('source', 'b', { [option]: value }), bad)
    }
    await assertRejects((value) => known.mgr.fork('source', 'b', value), badValues('options', 'options'))
    await assertRejects((value) => known.mgr.fork('source', value), badValues('name', 'newName'))
    await assertRejects((value) => mgr.fork(value, 'b'), badValues('name', 'sourceName'))
    assert.deepEqual([...known.mgr.sessions.keys()], ['source'])
    assert.deepEqual(Object.keys(known.w.readStore()), ['source'])
    assertUntouched(mgr)
  })

  test('send and resume', async (t) => {
    const { mgr } = watched(t)
    await assertRejects((value) => mgr.send(value, 'hello'), badValues('name', 'name'))
    await assertRejects((value) => mgr.resume(value, 'hello'), badValues('name', 'name'))
    await mgr.spawn('a')
    const { pid } = mgr.sessions.get('a')
    await assertRejects((value) => mgr.send('a', value), badValues('message', 'message'))
    await assertRejects((value) => mgr.send('a', 'hello', value), timeouts())
    await assertRejects((value) => mgr.resume('a', value), badValues('optional message', 'message'))
    const session = mgr.sessions.get('a')
    await assertRejects((value) => session.send(value), badValues('message', 'message'))
    await assertRejects((value) => session.send('hello', value), timeouts())
    for (const call of [mgr.send.bind(mgr, 'a'), session.send.bind(session)]) {
      await assertRejects((timeout) => call('hello', { timeout }), badValues('number', 'options.timeout'))
      await assertRejects((signal) => call('hello', { signal }), [['x', isType('options.signal')]])
    }
    await assertRejects((value) => mgr.resume('a', 'hello', value), [['text', isType('options')]])
    assert.equal((await mgr.send('a', 'first')).text, 'echo(2): first')
    assert.equal(session.pid, pid)
    assert.equal(session.interactions.length, 1)
  })

  test('a wrong message does not resume a paused session', async (t) => {
    const { mgr } = watched(t)
    await mgr.spawn('a')
    mgr.pause('a')
    await assert.rejects(mgr.send('a', ''), isValue('message'))
    await assert.rejects(mgr.send('a', 'hello', -1), isValue('timeout'))
    await assert.rejects(mgr.resume('a', 5), isType('message'))
    await assert.rejects(mgr.sessions.get('a').send([]), isValue('message'))
    assert.equal(mgr.status('a').status, 'paused')
  })

  test('a message that is no JSON', async (t) => {
    const { mgr } = watched(t)
    await mgr.spawn('a')
    const circular = [{ type: 'text', text: 'a' }]
    circular[0].self = circular
    await assert.rejects(mgr.send('a', circular), isType('message'))
    await assert.rejects(mgr.send('a', [{ type: 'text', big: 5n }]), isType('message'))
    assert.equal((await mgr.send('a', 'first')).text, 'echo(2): first')
  })

  test('names of the synchronous methods', (t) => {
    const { mgr, assertUntouched } = watched(t)
    for (const method of ['pause', 'stop', 'kill', 'status', 'history', 'lastOutput', 'delete', '_getSession']) {
      assertThrows((value) => mgr[method](value), badValues('name', 'name'))
    }
    for (const method of ['get', 'delete']) assertThrows((value) => mgr.store[method](value), badValues('name', 'name'))
    assertThrows((value) => mgr.store.set(value, {}), badValues('name', 'name'))
    assertUntouched(mgr)
  })

  test('the other arguments of the synchronous methods', (t) => {
    const { mgr, assertUntouched } = watched(t)
    assertThrows((value) => mgr.list(value), badValues('text', 'statusFilter').slice(0, -1))
    for (const cleaner of [mgr, mgr.store]) {
      assertThrows((value) => cleaner.cleanup(value), badValues('number', 'days'))
    }
    assertThrows((value) => mgr.store.set('a', value), badValues('record', 'record'))
    assertThrows((value) => mgr.store.saveAll(value), badValues('record', 'data'))
    const circular = {}
    circular.self = circular
    assert.throws(() => mgr.store.set('a', circular), isType('record'))
    assert.throws(() => mgr.store.set('a', { big: 5n }), isType('record'))
    assert.throws(() => mgr.store.saveAll({ a: circular }), isType('data'))
    assertUntouched(mgr)
  })

  test('close', async (t) => {
    const { mgr, assertUntouched } = watched(t)
    await assertRejects((value) => mgr.close({ timeout: value }), badValues('number', 'options.timeout'))
    await assertRejects((value) => mgr.close(value), badValues('options', 'options'))
    assertUntouched(mgr)
  })

  test('properties that were assigned a wrong value, when they come to count', async (t) => {
    const { w, mgr } = watched(t)
    for (const [property, kind] of Object.entries(SESSION_OPTIONS)) {
      if (property === 'timeout') continue
      for (const [value] of badValues(kind, property)) {
        const session = w.session()
        const use = () => {
          session[property] = value
          session.start()
        }
        assert.throws(use, { code: /^ERR_INVALID_ARG_(TYPE|VALUE)$/ }, `${property}: ${describeValue(value)}`)
        assert.equal(session.pid, null)
      }
    }
    for (const [property, kind] of [
      ['defaultModel', 'text'],
      ['defaultPermissionMode', 'text'],
      ['defaultTimeout', 'number'],
    ]) {
      for (const [value] of badValues(kind, property)) {
        const own = w.manager()
        const use = async () => {
          own[property] = value
          await own.spawn('a')
        }
        await assert.rejects(use, { code: /^ERR_INVALID_ARG_(TYPE|VALUE)$/ }, `${property}: ${describeValue(value)}`)
      }
    }
    assert.equal(mgr.sessions.size, 0)
    assert.deepEqual(mgr.list(), [])
  })

  test('a timeout that was assigned a wrong value fails the send, not the session', async (t) => {
    const { w } = watched(t)
    const session = w.session()
    session.start()
    for (const [value] of badValues('number', 'timeout')) {
      const use = async () => {
        session.timeout = value
        await session.send('hello')
      }
      await assert.rejects(use, { code: /^ERR_INVALID_ARG_(TYPE|VALUE)$/ }, describeValue(value))
    }
    session.timeout = 5000
    assert.equal((await session.send('hello')).text, 'echo(2): hello')
  })
})
