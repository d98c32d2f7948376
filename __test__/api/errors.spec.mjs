/** Every code of docs/errors.md, raised through the public classes: class, message, properties. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cpSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { LIVE } from '../support/error-cases/live.mjs'
import { NAMES } from '../support/error-cases/names.mjs'
import { STARTS } from '../support/error-cases/starts.mjs'
import { STORE_AND_ARGUMENTS } from '../support/error-cases/store-and-arguments.mjs'
import { TURNS } from '../support/error-cases/turns.mjs'
import { UNKNOWN_ID, check, documented, failure, raised, root, spawned } from '../support/errors.mjs'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }
const log = (w) => ({ env: standInEnv({ log: join(w.dir, 'log') }) })

const cases = [...NAMES, ...STARTS, ...TURNS, ...LIVE, ...STORE_AND_ARGUMENTS]

describe('each error', SEVERAL, () => {
  for (const { what, code, message, sync = false, has, also, call, after: afterwards } of cases) {
    test(`${code}: ${what}`, async (t) => {
      const w = world(t)
      const attempt = await call(w)
      const { error, sync: wasSync } = await failure(attempt)
      try {
        check(error, code, message, has)
        assert.equal(wasSync, sync, sync ? 'it is thrown' : 'it is a rejection')
        also?.(error, w)
      } finally {
        await afterwards?.(w)
      }
    })
  }

  // No call of a caller provokes a defect; what the binding throws then has no envelope.
  test('ERR_INTERNAL: a panic, or a value that the binding does not take', () => {
    const { call } = createRequire(import.meta.url)('../../js/errors.js')
    const { NativeStore } = createRequire(import.meta.url)('../../js/engine.js')
    let error
    try {
      call(() => new NativeStore(undefined, 5))
    } catch (reason) {
      error = reason
    }
    // The cause is for whoever reports it.
    const { cause } = error
    delete error.cause
    check(error, 'ERR_INTERNAL', /^Internal error: ./)
    assert.ok(cause instanceof Error)
  })
})

describe('errors as events', SEVERAL, () => {
  test('a process that ends unasked emits ERR_PROCESS_EXITED', async (t) => {
    const w = world(t)
    const mgr = await spawned(w)
    const session = mgr.sessions.get('a')
    const told = new Promise((resolve) => session.on('error', resolve))
    process.kill(session.pid, 'SIGKILL')
    check(await told, 'ERR_PROCESS_EXITED', /ended by SIGKILL$/, { exitCode: null, signal: 'SIGKILL', stderr: '' })
    await session.closed
    assert.equal(mgr.status('a').status, 'failed')
  })

  test('a failed start emits ERR_START_FAILED, also without a message', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: UNKNOWN_ID })
    assert.equal(await mgr.resume('a'), null)
    const session = mgr.sessions.get('a')
    const told = new Promise((resolve) => session.on('error', resolve))
    const closed = once(session, 'close').catch(() => {})
    check(await told, 'ERR_START_FAILED', /^Session "a" failed to start: .*No conversation found/)
    await Promise.all([closed, session.closed])
    assert.equal(mgr.status('a').status, 'failed')
    assert.equal(mgr.sessions.size, 0)
  })

  test('a record that cannot be written emits ERR_STORE at most, and ends no program', async (t) => {
    const w = world(t)
    const mgr = await spawned(w)
    const session = mgr.sessions.get('a')
    const told = []
    session.on('error', (error) => told.push(error))
    renameSync(w.dataDir, `${w.dataDir}-away`)
    writeFileSync(w.dataDir, 'in the way')
    process.kill(session.pid, 'SIGKILL')
    await session.closed
    for (const error of told) assert.ok(['ERR_PROCESS_EXITED', 'ERR_STORE'].includes(error.code))
    assert.ok(told.some(({ code }) => code === 'ERR_PROCESS_EXITED'))
    assert.equal(session.status, 'failed')
    assert.equal(mgr.sessions.size, 0)
    rmSync(w.dataDir)
    renameSync(`${w.dataDir}-away`, w.dataDir)
  })
})

describe('what errors are', () => {
  test('batch gives the message, and rejects not', async (t) => {
    const w = world(t)
    const mgr = await spawned(w)
    const results = await mgr.batch([{ name: 'a' }, { name: 'b', workDir: '/no/such/dir' }, { name: 'c', model: 5 }])
    assert.deepEqual(results, [
      {
        session: { name: 'a', status: 'failed' },
        error: 'Session "a" already exists and is alive. Kill it first or use a different name.',
      },
      { session: { name: 'b', status: 'failed' }, error: 'Working directory "/no/such/dir" does not exist' },
      {
        session: { name: 'c', status: 'failed' },
        error: 'The options.model argument must be a string. Received type number (5)',
      },
    ])
  })

  test('their stack shows the caller', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    const callsIt = () => mgr.status('nobody')
    assert.throws(callsIt, (error) => error.stack.includes('callsIt') && error.stack.includes('errors.spec.mjs'))
  })

  test('a name is quoted as it is', async (t) => {
    const mgr = world(t).manager()
    for (const name of ['a"b', 'new\nline', '${x}', '%s %d', '🙂', '__proto__']) {
      assert.throws(() => mgr.status(name), { message: `Session "${name}" not found.` })
      assert.throws(() => mgr.stop(name), { message: `Session "${name}" is not alive. Use resume() to restore it.` })
      await assert.rejects(mgr.fork(name, 'b'), { message: `Source session "${name}" not found.` })
    }
  })

  test('a failed call leaves nothing behind: no session, no record, no process, and the name is free', async (t) => {
    const w = world(t)
    const mgr = w.manager(log(w))
    await assert.rejects(mgr.spawn('a', { workDir: '/no/such/dir' }), { code: 'ERR_WORKDIR' })
    await assert.rejects(mgr.spawn('a', { model: 5 }), { code: 'ERR_INVALID_ARG_TYPE' })
    assert.equal(mgr.sessions.size, 0)
    assert.deepEqual(mgr.list(), [])
    assert.throws(() => readFileSync(join(w.dir, 'log')), { code: 'ENOENT' })
    assert.equal((await mgr.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
  })

  test('after a first prompt that failed the name is free and the process gone', async (t) => {
    const w = world(t)
    const mgr = w.manager({ env: standInEnv({ start: 'error-result:out of order' }) })
    const session = new Promise((resolve) => {
      mgr._wireEvents = resolve
    })
    await assert.rejects(mgr.spawn('a', { prompt: 'hello' }), { code: 'ERR_START_FAILED' })
    await (
      await session
    ).closed
    assert.equal(mgr.sessions.size, 0)
    assert.equal(mgr.status('a').status, 'failed')
    const other = w.manager()
    assert.equal((await other.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
  })
})

describe('ERR_ENGINE_NOT_LOADED', () => {
  /** What a copy of the package throws whose binary is not there, or is this file. */
  const loaded = (t, binary) => {
    const { dir } = world(t)
    for (const file of ['index.js', 'js', 'package.json'])
      cpSync(new URL(`../../${file}`, import.meta.url), join(dir, 'copy', file), { recursive: true })
    if (binary !== undefined) writeFileSync(join(dir, 'copy', binary.name), binary.content)
    return failure(() => createRequire(import.meta.url)(join(dir, 'copy')))
  }
  const addon = readdirSync(new URL('../..', import.meta.url)).find((file) => /^clearctx\..*\.node$/.test(file))
  const platform = /^clearctx\.(.*)\.node$/.exec(addon)[1]
  const expected = { platform, package: `clearctx-${platform}` }

  test('names platform, package and the way out when the package is missing', async (t) => {
    const { error, sync } = await loaded(t)
    assert.ok(sync)
    const version = JSON.parse(root('package.json')).version
    check(
      error,
      'ERR_ENGINE_NOT_LOADED',
      /^The engine of clearctx for \S+ is missing: the package "\S+" is not/,
      expected,
    )
    assert.ok(error.message.endsWith(`npm install clearctx-${platform}@${version}`), error.message)
    assert.ok(error.cause instanceof Error)
  })

  test('gives the reason when the binary cannot be loaded', async (t) => {
    const { error } = await loaded(t, { name: addon, content: 'not a library' })
    check(error, 'ERR_ENGINE_NOT_LOADED', /, from the package "\S+", cannot be loaded: .*clearctx\..*/, expected)
    assert.doesNotMatch(error.message, /is missing/)
  })
})

describe('the documentation', () => {
  const codesIn = (text) => new Set(text.match(/\bERR_[A-Z_]+\b/g))

  test('has each code in its table and a chapter for it', () => {
    const codes = new Set([...codesIn(root('crates/core/src/error.rs')), ...codesIn(root('js/platform.js'))])
    assert.deepEqual(codes, new Set(documented.keys()))
    for (const [code, { anchor }] of documented) {
      assert.equal(anchor, code.toLowerCase())
      assert.ok(root('docs/errors.md').includes(`\n## ${code}\n`), code)
    }
  })

  test('and the types name no code that does not exist, and all that do', () => {
    const types = codesIn(root('index.d.ts').slice(root('index.d.ts').indexOf('export type ClearctxError')))
    assert.deepEqual(types, new Set(documented.keys()))
  })

  test('names both warnings that the engine gives', () => {
    const warnings = (text) => new Set(text.match(/\bCLEARCTX_STORE_[A-Z]+\b/g))
    assert.deepEqual(warnings(root('docs/errors.md')), warnings(root('crates/core/src/store/warning.rs')))
  })
})

test('every documented code was raised above', () => {
  assert.deepEqual(
    [...documented.keys()].filter((code) => !raised.has(code)),
    [],
  )
})
