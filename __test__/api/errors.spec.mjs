/** Every code of docs/errors.md, raised through the public classes: class, message, properties. */

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { Store, StreamSession } from '../../index.js'
import { standInEnv, standInPath } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }
const root = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** The table of docs/errors.md: code to class and properties, a `?` after those that are not always there. */
const documented = new Map(
  [...root('docs/errors.md').matchAll(/^\| \[`(ERR_\w+)`\]\(#(\w+)\) \| `(\w+)` \|(.*)\|$/gm)].map(
    ([, code, anchor, name, properties]) => [
      code,
      { anchor, name, properties: [...properties.matchAll(/`(\w+\??)`/g)].map(([, property]) => property) },
    ],
  ),
)

const raised = new Set()

/** Fails unless the error is what the documentation says of its code. */
const check = (error, code, message, properties = {}) => {
  assert.ok(error instanceof Error, `no error but ${JSON.stringify(error)}`)
  assert.equal(error.code, code, error.stack)
  const { name, properties: allowed } = documented.get(code)
  assert.equal(error.name, name)
  assert.equal(error.constructor, { Error, TypeError, RangeError }[name])
  if (message instanceof RegExp) assert.match(error.message, message)
  else assert.equal(error.message, message)
  const own = Object.keys(error).filter((key) => key !== 'code')
  const known = allowed.map((property) => property.replace('?', ''))
  assert.deepEqual(
    own.filter((key) => !known.includes(key)),
    [],
    'undocumented properties',
  )
  for (const property of allowed.filter((each) => !each.endsWith('?'))) {
    assert.ok(Object.hasOwn(error, property), `${property} is missing`)
  }
  for (const [key, value] of Object.entries(properties)) assert.deepEqual(error[key], value, key)
  raised.add(code)
}

/** What a call threw, or what its promise was rejected with. Says which by `sync`. */
const failure = async (call) => {
  let promise
  try {
    promise = call()
  } catch (error) {
    return { error, sync: true }
  }
  assert.ok(promise instanceof Promise, `returned ${String(promise)}`)
  return {
    error: await promise.then(
      (value) => value,
      (error) => error,
    ),
    sync: false,
  }
}

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'
const log = (w) => ({ env: standInEnv({ log: join(w.dir, 'log') }) })

const spawned = async (w, name = 'a', options = { prompt: 'hello' }, managerOptions = {}) => {
  const mgr = w.manager(managerOptions)
  await mgr.spawn(name, options)
  return mgr
}

const ended = (mgr, name = 'a') => {
  const session = mgr.sessions.get(name)
  mgr.stop(name)
  return session.closed
}

// How each error comes about: what, code, message, properties, and a call to make. `sync`: it is thrown, not a rejection.
const cases = [
  {
    what: 'spawn of a live name',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "a" already exists and is alive. Kill it first or use a different name.',
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'spawn of a name whose record holds it',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "a" exists in store with status "paused". Kill or delete it first.',
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'paused' })
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'fork to a live name',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "a" already exists and is alive. Kill it first or use a different name.',
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'a')
    },
  },
  {
    what: 'resume of a session that another manager has',
    code: 'ERR_SESSION_HELD',
    message: /^Session "a" cannot go on with conversation \S+: another session of this process \(\d+\) writes to it\./,
    call: async (w) => {
      await spawned(w)
      const mgr = w.manager()
      return () => mgr.resume('a', 'x')
    },
  },
  {
    what: 'a second start',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "solo" was already started.',
    sync: true,
    call: (w) => {
      const session = w.session()
      session.start()
      return () => session.start()
    },
  },
  ...['send', 'pause', 'stop', '_getSession'].map((method) => ({
    what: `${method} of an unknown name`,
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "nobody" is not alive. Use resume() to restore it.',
    sync: method !== 'send',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr[method]('nobody', 'hello')
    },
  })),
  {
    what: 'send to a session that has ended',
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "a" is not alive. Use resume() to restore it.',
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.stop('a')
      return () => mgr.send('a', 'hello')
    },
  },
  ...['pause', 'resume', 'send'].map((method) => ({
    what: `${method} of a session that was not started`,
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "solo" is not alive. Use resume() to restore it.',
    sync: method !== 'send',
    call: (w) => {
      const session = w.session()
      return () => session[method]('hello')
    },
  })),
  ...['resume', 'status', 'history', 'lastOutput'].map((method) => ({
    what: `${method} of an unknown name`,
    code: 'ERR_SESSION_NOT_FOUND',
    message: 'Session "nobody" not found.',
    sync: method !== 'resume',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr[method]('nobody')
    },
  })),
  {
    what: 'fork of an unknown name',
    code: 'ERR_SESSION_NOT_FOUND',
    message: 'Source session "nobody" not found.',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.fork('nobody', 'b')
    },
  },
  {
    what: 'resume of a session that never had a turn',
    code: 'ERR_NO_SESSION_ID',
    message: 'Session "a" has no session ID. Cannot restore.',
    call: async (w) => {
      const mgr = await spawned(w, 'a', {})
      mgr.stop('a')
      return () => mgr.resume('a')
    },
  },
  {
    what: 'fork of a live session that never had a turn',
    code: 'ERR_NO_SESSION_ID',
    message: 'Source session "a" has no session ID.',
    call: async (w) => {
      const mgr = await spawned(w, 'a', {})
      return () => mgr.fork('a', 'b')
    },
  },
  {
    what: 'fork of a record that never had a turn',
    code: 'ERR_NO_SESSION_ID',
    message: 'Source session "a" has no session ID.',
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: null })
      return () => mgr.fork('a', 'b')
    },
  },
  {
    what: 'a fork that the CLI ends with an error',
    code: 'ERR_FORK_FAILED',
    message: 'Fork failed: no luck',
    has: { cost: 0.00014 },
    also: (error) => assert.match(error.sessionId, /^[0-9a-f-]{36}$/),
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { message: 'stand-in: error execution no luck' })
    },
  },
  {
    what: 'a fork of a conversation that the CLI does not know',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: .*No conversation found with session ID/,
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: UNKNOWN_ID })
      return () => mgr.fork('a', 'b')
    },
  },
  {
    what: 'a fork that takes too long',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: /,
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { message: 'stand-in: silent', timeout: 300 })
    },
  },
  {
    what: 'a fork whose process dies',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: .*(code 3|leaving)/,
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { message: 'stand-in: exit 3' })
    },
  },
  {
    what: 'a fork in a directory that does not exist',
    code: 'ERR_FORK_FAILED',
    message: 'Fork failed: Working directory "/no/such/dir" does not exist',
    also: (error) => check(error.cause, 'ERR_WORKDIR', 'Working directory "/no/such/dir" does not exist'),
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { workDir: '/no/such/dir' })
    },
  },
  {
    what: 'a fork without a program',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: Cannot run "\/no\/such\/claude": /,
    also: (error) => check(error.cause, 'ERR_CLI_NOT_FOUND', /^Cannot run "\/no\/such\/claude": /),
    call: async (w) => {
      const first = await spawned(w)
      await ended(first)
      const mgr = w.manager({ claudePath: '/no/such/claude' })
      return () => mgr.fork('a', 'b')
    },
  },
  ...[
    ['spawn', (mgr) => mgr.spawn('b')],
    ['spawn with a prompt', (mgr) => mgr.spawn('b', { prompt: 'hello' })],
    ['resume', (mgr) => mgr.resume('a')],
  ].map(([what, call]) => ({
    what: `${what} without a program`,
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run "\/no\/such\/claude": ./,
    call: async (w) => {
      await ended(await spawned(w))
      const mgr = w.manager({ claudePath: '/no/such/claude' })
      return () => call(mgr)
    },
    after: (w) => assert.deepEqual(Object.keys(w.readStore()), ['a']),
  })),
  {
    what: 'a program that cannot be executed',
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run ".*claude": ./,
    call: (w) => {
      const file = join(w.dir, 'claude')
      writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 })
      const mgr = w.manager({ claudePath: file })
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'a program whose interpreter is missing',
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run ".*claude": ./,
    call: (w) => {
      const file = join(w.dir, 'claude')
      writeFileSync(file, '#!/no/such/interpreter\n')
      chmodSync(file, 0o755)
      const mgr = w.manager({ claudePath: file })
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'start() with a directory as program',
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run "\/tmp": ./,
    sync: true,
    call: (w) => {
      const session = w.session({ claudePath: '/tmp' })
      return () => session.start()
    },
  },
  {
    what: 'spawn in a directory that does not exist',
    code: 'ERR_WORKDIR',
    message: 'Working directory "/no/such/dir" does not exist',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('a', { workDir: '/no/such/dir', prompt: 'hello' })
    },
  },
  {
    what: 'spawn in a file',
    code: 'ERR_WORKDIR',
    message: `Working directory "${standInPath}" is not a directory`,
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('a', { workDir: standInPath })
    },
  },
  {
    what: 'resume in a directory that is gone',
    code: 'ERR_WORKDIR',
    message: /^Working directory ".*\/gone" does not exist$/,
    call: async (w) => {
      const workDir = join(w.dir, 'gone')
      mkdirSync(workDir)
      const mgr = await spawned(w, 'a', { workDir, prompt: 'hello' })
      await ended(mgr)
      rmSync(workDir, { recursive: true })
      return () => mgr.resume('a', 'x')
    },
  },
  {
    what: 'start() in a directory that does not exist',
    code: 'ERR_WORKDIR',
    message: 'Working directory "/no/such/dir" does not exist',
    sync: true,
    call: (w) => {
      const session = w.session({ workDir: '/no/such/dir' })
      return () => session.start()
    },
  },
  {
    what: 'a prompt for a CLI that reports an error before its first turn',
    code: 'ERR_START_FAILED',
    message: 'Session "a" failed to start: out of order',
    call: (w) => {
      const mgr = w.manager({ env: standInEnv({ start: 'error-result:out of order' }) })
      return () => mgr.spawn('a', { prompt: 'hello' })
    },
  },
  {
    what: 'a message to a conversation that the CLI does not know any more',
    code: 'ERR_START_FAILED',
    message: /^Session "a" failed to start: .*No conversation found/,
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: UNKNOWN_ID })
      return () => mgr.resume('a', 'hello')
    },
  },
  {
    what: 'a turn whose process exits',
    code: 'ERR_PROCESS_EXITED',
    message: 'Session "a" ended before it answered: its process exited with code 3: stand-in: leaving with code 3',
    has: { exitCode: 3, signal: null, stderr: 'stand-in: leaving with code 3\n' },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'stand-in: exit 3')
    },
  },
  {
    what: 'a turn whose process is killed',
    code: 'ERR_PROCESS_EXITED',
    message: 'Session "a" ended before it answered: its process was ended by SIGKILL',
    has: { exitCode: null, signal: 'SIGKILL', stderr: '' },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'stand-in: crash')
    },
  },
  {
    what: 'a first prompt whose process exits at once',
    code: 'ERR_PROCESS_EXITED',
    message: 'Session "a" ended before it answered: its process exited with code 7: no way',
    has: { exitCode: 7, signal: null, stderr: 'no way\n' },
    call: (w) => {
      const mgr = w.manager({ env: standInEnv({ start: 'exit:7:no way' }) })
      return () => mgr.spawn('a', { prompt: 'hello' })
    },
  },
  {
    what: 'a message that was sent and not answered in time',
    code: 'ERR_TURN_TIMEOUT',
    message: 'Session "a" did not answer within 30 ms',
    has: { sent: true, stillRunning: true },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'stand-in: slow 100', 30)
    },
  },
  {
    what: 'a message that waited in line for too long',
    code: 'ERR_TURN_TIMEOUT',
    message: 'Session "a" did not answer within 20 ms',
    has: { sent: false, stillRunning: false },
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: slow 100')
      return () => mgr.send('a', 'hello', 20)
    },
  },
  {
    what: 'a message in line at a stop',
    code: 'ERR_SESSION_STOPPED',
    message: 'Session "a" was stopped before this message was sent',
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: slow 50')
      return () => {
        const answer = mgr.send('a', 'hello')
        mgr.stop('a')
        return answer
      }
    },
  },
  {
    what: 'a message in flight at a kill',
    code: 'ERR_SESSION_KILLED',
    message: 'Session "a" was killed before this message was answered',
    call: async (w) => {
      const mgr = await spawned(w)
      return () => {
        const answer = mgr.send('a', 'stand-in: silent')
        mgr.kill('a')
        return answer
      }
    },
  },
  {
    what: 'a message in line at a delete',
    code: 'ERR_SESSION_KILLED',
    message: 'Session "a" was killed before this message was answered',
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: silent').catch(() => {})
      return () => {
        const answer = mgr.send('a', 'hello')
        mgr.delete('a')
        return answer
      }
    },
  },
  {
    what: 'a store whose directory is a file',
    code: 'ERR_STORE',
    message: /^Store \/.*\/file: ./,
    sync: true,
    call: (w) => {
      writeFileSync(join(w.dir, 'file'), '')
      return () => new Store(join(w.dir, 'file'))
    },
  },
  ...[
    'loadAll',
    'list',
    'get',
    'set',
    'delete',
    'saveAll',
    'cleanup',
    'status',
    'list',
    'history',
    'kill',
    'spawn',
  ].map((method, index) => ({
    what: `${index < 7 ? 'Store' : 'SessionManager'} ${method} on a file that cannot be read`,
    code: 'ERR_STORE',
    message: /^Store \/.*sessions\.json: ./,
    sync: method !== 'spawn',
    also: (error, w) => assert.equal(error.path, w.sessionsFile),
    call: (w) => {
      mkdirSync(w.sessionsFile, { recursive: true })
      const mgr = w.manager()
      const args = { saveAll: [{}], cleanup: [], loadAll: [], list: [] }[method] ?? ['a', {}]
      return () => (index < 7 ? mgr.store : mgr)[method](...args)
    },
  })),
  {
    what: 'an answer that came and whose record could not be written',
    code: 'ERR_STORE',
    message: /^Store \/./,
    also: (error) => {
      assert.equal(error.response.text, 'echo(4): two')
      assert.equal(error.response.turns, 1)
    },
    call: async (w) => {
      const mgr = await spawned(w)
      renameSync(w.dataDir, `${w.dataDir}-away`)
      writeFileSync(w.dataDir, 'in the way')
      return () => mgr.sessions.get('a').send('two')
    },
    after: async (w) => {
      rmSync(w.dataDir)
      renameSync(`${w.dataDir}-away`, w.dataDir)
    },
  },
  {
    what: 'an option of a wrong type',
    code: 'ERR_INVALID_ARG_TYPE',
    message: 'The options.model argument must be a string. Received type number (5)',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('a', { model: 5 })
    },
  },
  {
    what: 'a name of a wrong type',
    code: 'ERR_INVALID_ARG_TYPE',
    message: /^The name argument must be a non-empty string\. Received undefined$/,
    sync: true,
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.status()
    },
  },
  {
    what: 'an empty name',
    code: 'ERR_INVALID_ARG_VALUE',
    message: "The name argument must be a non-empty string. Received ''",
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('')
    },
  },
  {
    what: 'a negative number',
    code: 'ERR_INVALID_ARG_VALUE',
    message: /^The options\.timeout argument must be a positive number\. Received -1$/,
    sync: true,
    call: () => () => new StreamSession({ name: 'a', timeout: -1 }),
  },
  {
    what: 'a message of a lost session that cannot be sent again',
    code: 'ERR_NOT_RESENT',
    message: 'Session "a" cannot send this message again: it is too long to have been kept',
    call: (w) => {
      const mgr = w.manager()
      const [host, newSessionId, uuid] = [randomUUID(), randomUUID(), randomUUID()]
      const lost = { status: 'busy', owner: { host, pid: 1, token: randomUUID() }, newSessionId }
      mgr.store.set('a', { name: 'a', ...lost, pending: [{ uuid, prompt: 'the beginning', cut: true }] })
      return async () => {
        const [{ error }] = await mgr.recover({ resume: true, resend: true })
        throw error
      }
    },
  },
]

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
