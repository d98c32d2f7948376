/** Subclasses and listeners: which hooks SessionManager calls when, and what a listener sees. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { standInEnv } from '../../testing/index.js'
import { isAlive, until, world } from '../support/sessions.mjs'
import { gate, near, PLAIN, record, rejection, thrown, working } from '../support/turns.mjs'

test('_wireEvents gets each new session before its process starts: by spawn, resume and fork', async (t) => {
  const seen = []
  class Mine extends SessionManager {
    _wireEvents(session) {
      super._wireEvents(session)
      seen.push([session.name, session.status, session.pid, this.sessions.has(session.name)])
    }
  }
  const m = world(t).manager({}, Mine)
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  await m.resume('a', 'again')
  await m.fork('a', 'b')
  assert.deepEqual(seen, [
    ['a', 'starting', null, false],
    ['a', 'starting', null, false],
    ['b', 'starting', null, false],
  ])
})

test('listeners added in _wireEvents miss nothing, not even the first status', async (t) => {
  const events = []
  class Mine extends SessionManager {
    _wireEvents(session) {
      for (const name of ['status', 'init', 'text', 'result', 'close']) {
        session.on(name, (...args) => events.push([name, ...args.slice(0, 2)]))
      }
    }
  }
  const m = world(t).manager({}, Mine)
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  await m.close()
  const names = events.map(([name]) => name)
  assert.deepEqual(
    names.filter((name) => name !== 'status'),
    ['init', 'text', 'result', 'close'],
  )
  const statuses = events.filter(([name]) => name === 'status').map(([, now, before]) => `${before}>${now}`)
  assert.deepEqual(statuses, ['starting>ready', 'ready>busy', 'busy>ready', 'ready>stopped'])
})

test('a _wireEvents that throws rejects the spawn; nothing was started, taken or stored', async (t) => {
  class Mine extends SessionManager {
    _wireEvents() {
      throw new Error('no')
    }
  }
  const m = world(t).manager({}, Mine)
  await assert.rejects(m.spawn('a', { prompt: 'x' }), /^Error: no$/)
  assert.equal(m.sessions.size, 0)
  assert.equal(m.store.get('a'), null)
})

test('a first _persist that throws rejects the spawn, takes the name back and ends the process', async (t) => {
  const sessions = []
  class Mine extends SessionManager {
    _wireEvents(session) {
      sessions.push(session)
    }

    _persist() {
      throw new Error('no room')
    }
  }
  const m = world(t).manager({}, Mine)
  const spawned = m.spawn('a', { prompt: 'x' })
  assert.equal(m.sessions.has('a'), false)
  await assert.rejects(spawned, /^Error: no room$/)
  assert.equal(m.store.get('a'), null)
  await sessions[0].closed
  assert.equal(isAlive(sessions[0].pid), false)
  assert.equal(m.store.get('a'), null, 'its end does not store it either')
})

test('every method that needs a live session gets it through _getSession', async (t) => {
  const asked = []
  class Mine extends SessionManager {
    _getSession(name) {
      asked.push(name)
      return super._getSession(name.replace(/^alias-/, ''))
    }
  }
  const m = world(t).manager({}, Mine)
  await m.spawn('a')
  assert.equal((await m.send('alias-a', 'hello')).text, 'echo(2): hello')
  m.pause('alias-a')
  assert.equal(m.status('a').status, 'paused')
  m.stop('a')
  assert.deepEqual(asked, ['alias-a', 'alias-a', 'a'])
  await rejection(m.send('alias-b', 'x'), 'ERR_SESSION_NOT_ALIVE')
})

test('_persist is called with the name after each step that the original saves', async (t) => {
  const calls = []
  class Mine extends SessionManager {
    _persist(name) {
      calls.push(`${name} ${this.sessions.get(name)?.status}`)
      super._persist(name)
    }
  }
  const m = world(t).manager({}, Mine)
  const step = async (what, expected) => {
    calls.length = 0
    await what()
    assert.ok(calls.includes(expected), `${what}: ${JSON.stringify(calls)}`)
  }
  await step(() => m.spawn('a', { prompt: 'x' }), 'a ready')
  await step(() => m.send('a', 'y'), 'a ready')
  await step(() => m.pause('a'), 'a paused')
  await step(() => m.resume('a'), 'a ready')
  await step(() => m.stop('a'), 'a stopped')
  await step(() => m.resume('a', 'z'), 'a ready')
  await step(() => m.stopAll(), 'a stopped')
  await m.close()
})

test('_persist saves what a caller changed in the history; for a name without a session it does nothing', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  m.sessions.get('a').interactions = [{ prompt: 'p', response: 'r', cost: 1, turns: 1, duration: 0, timestamp: 'x' }]
  m._persist('a')
  assert.equal(w.readStore().a.interactions[0].prompt, 'p')
  assert.equal(m.history('a')[0].prompt, 'p')
  m._persist('nobody')
  assert.equal(m.store.get('nobody'), null)
})

test('totals that a caller sets are stored, and later turns add to them', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'hello' })
  Object.assign(m.sessions.get('a'), { totalCostUsd: 2, totalTurns: 7 })
  m._persist('a')
  near(w.readStore().a.totalCostUsd, 2)
  await m.send('a', 'more')
  near(w.readStore().a.totalCostUsd, 2 + PLAIN.newer)
  assert.equal(m.status('a').totalTurns, 8)
})

test('batch spawns in parallel through an overridden spawn and answers in the order of its specs', async (t) => {
  const names = []
  class Mine extends SessionManager {
    async spawn(name, options) {
      names.push(name)
      if (name === 'refused') throw new Error('not this one')
      return super.spawn(name, { ...options, tags: ['batch'] })
    }
  }
  const m = world(t).manager({}, Mine)
  const results = await m.batch([
    { name: 'slow', prompt: 'stand-in: slow 200; text slow' },
    { name: 'refused', prompt: 'x' },
    { name: 'quick', prompt: 'hello', model: 'haiku' },
  ])
  assert.deepEqual(names, ['slow', 'refused', 'quick'])
  assert.equal(results[0].response.text, 'slow')
  assert.deepEqual(results[0].session.tags, ['batch'])
  assert.deepEqual(results[1], { session: { name: 'refused', status: 'failed' }, error: 'not this one' })
  assert.equal(results[2].response.text, 'echo(2): hello')
  assert.equal(results[2].session.model, 'haiku')
})

test('batch reports what fails in its place and never rejects because of it', async (t) => {
  const w = world(t)
  const m = w.manager()
  assert.deepEqual(await m.batch([]), [])
  const results = await m.batch([
    { name: 'twice' },
    { name: 'twice' },
    { name: 'lost', workDir: `${w.dir}/missing` },
    { name: '' },
    { name: 'dies', prompt: 'stand-in: exit 3' },
    { name: 'error', prompt: 'stand-in: error 400' },
  ])
  assert.equal(results[0].session.status, 'ready')
  assert.equal(results[0].error, undefined)
  assert.match(results[1].error, /already exists and is alive/)
  assert.match(results[2].error, /missing/)
  assert.deepEqual(results[3].session, { name: '', status: 'failed' })
  assert.deepEqual(results[4].session, { name: 'dies', status: 'failed' })
  assert.equal(results[5].response.isError, true)
  assert.equal(m.sessions.has('dies'), false)
})

test('lastOutput reads an overridden history', async (t) => {
  class Mine extends SessionManager {
    history(name) {
      return [...super.history(name), { prompt: 'mine' }]
    }
  }
  const m = world(t).manager({}, Mine)
  await m.spawn('a')
  assert.deepEqual(m.lastOutput('a'), { prompt: 'mine' })
})

test('stopAll and close end sessions without going through an overridden stop', async (t) => {
  const stopped = []
  class Mine extends SessionManager {
    stop(name) {
      stopped.push(name)
      super.stop(name)
    }
  }
  const m = world(t).manager({}, Mine)
  await m.batch([{ name: 'a' }, { name: 'b' }])
  m.stopAll()
  assert.equal(m.sessions.size, 0)
  await m.close()
  assert.deepEqual(stopped, [])
})

test('in a result listener the turn is in history, totals, status and sessions.json', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  const seen = []
  session.prependListener('result', (response, interaction) => {
    const { totalCostUsd, totalTurns, status } = m.status('a')
    assert.equal(m.history('a').at(-1), interaction)
    assert.equal(response.text, interaction.response)
    assert.equal(w.readStore().a.interactions.length, 1)
    seen.push([totalTurns, status])
    near(totalCostUsd, PLAIN.newer)
  })
  await m.send('a', 'hello')
  assert.deepEqual(seen, [[1, 'ready']])
})

test('in an init listener id and initData are those of the new turn', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const session = m.sessions.get('a')
  const seen = []
  session.on('init', (init) => seen.push(session.id === init.session_id && session.initData === init))
  await m.send('a', 'one')
  await m.send('a', 'two')
  assert.deepEqual(seen, [true, true])
})

test('in error and close listeners a crashed session is out of sessions and recorded as failed', async (t) => {
  const w = world(t)
  const seen = []
  class Mine extends SessionManager {
    _wireEvents(session) {
      const look = (event) => seen.push([event, session.status, this.store.get('a').status, this.sessions.has('a')])
      session.on('error', () => look('error'))
      session.on('close', () => look('close'))
      super._wireEvents(session)
    }
  }
  const m = w.manager({}, Mine)
  const spawned = m.spawn('a', { prompt: 'stand-in: crash' })
  const { closed } = m.sessions.get('a')
  await rejection(spawned, 'ERR_PROCESS_EXITED')
  await closed
  assert.deepEqual(
    seen.map(([event, live, saved]) => [event, live, saved]),
    [
      ['error', 'failed', 'failed'],
      ['close', 'failed', 'failed'],
    ],
  )
  assert.equal(seen[1][3], false, 'out of sessions in a close listener')
  assert.equal(w.readStore().a.status, 'failed')
})

test('a listener may use the manager: spawn the next session of the name when one has closed', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  const closing = once(m.sessions.get('a'), 'close').then(() => m.spawn('a', { prompt: 'next' }))
  m.stop('a')
  assert.equal((await closing).response.text, 'echo(2): next')
  assert.equal(m.status('a').status, 'ready')
})

test('nothing that JavaScript sees changes between two statements, even while a turn ends', async (t) => {
  const w = world(t)
  const m = w.manager()
  const opened = gate(w)
  await m.spawn('a', { allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const tool = working(session)
  const answer = m.send('a', opened.message)
  const queued = m.send('a', 'stand-in: exit 3')
  await tool
  const before = JSON.stringify([session, m.list(), m.history('a'), m.sessions.size])
  opened.open()
  const { pid } = session
  // The engine goes on in its own threads until the process is gone, without this one.
  const end = performance.now() + 3000
  while (isAlive(pid) && performance.now() < end);
  assert.equal(isAlive(pid), false)
  assert.equal(JSON.stringify([session, m.list(), m.history('a'), m.sessions.size]), before)
  assert.equal((await answer).text, 'done')
  assert.equal(m.history('a').length, 1)
  await rejection(queued, 'ERR_PROCESS_EXITED')
})

test('the JavaScript thread is free while a session starts, forks and stops', async (t) => {
  const m = world(t).manager({ env: standInEnv({ start: 'slow:600' }) })
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last)
    last = performance.now()
  }, 5)
  await m.spawn('a', { prompt: 'hello' })
  await m.fork('a', 'b')
  await m.close()
  clearInterval(timer)
  assert.ok(longest < 450, `blocked for ${longest} ms`)
})

test('an error without a listener does not end the program', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const { closed } = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: exit 7'), 'ERR_PROCESS_EXITED')
  assert.deepEqual(await closed, { code: 7, signal: null })
})

test('error and close come once each, in this order, also with many sends open', async (t) => {
  const m = world(t).manager()
  await m.spawn('a')
  const events = record(m.sessions.get('a'), 'error', 'close')
  const sends = ['stand-in: exit 4', 'x', 'y'].map((message) => rejection(m.send('a', message), 'ERR_PROCESS_EXITED'))
  await Promise.all(sends)
  await until(() => events.length > 1, 'close')
  const [[first, error], [second, code, signal]] = events
  assert.deepEqual([first, error.code, error.exitCode], ['error', 'ERR_PROCESS_EXITED', 4])
  assert.deepEqual([second, code, signal, events.length], ['close', 4, null, 2])
  assert.equal(thrown(() => m.pause('a'), 'ERR_SESSION_NOT_ALIVE').name, 'Error')
})
