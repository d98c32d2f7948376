/** What subclasses override, and which methods go through it: the same as in clearctx 3.0.0. */

import assert from 'node:assert/strict'

import { same, stored } from '../support/compat.mjs'

// --- hooks ---

same('_getSession is asked by send, pause and stop', async ({ make, Manager }) => {
  const asked = []
  class Mine extends Manager {
    _getSession(name) {
      asked.push(name)
      return super._getSession(name.replace('my ', ''))
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a')
  await mgr.send('my a', 'hello')
  mgr.pause('my a')
  assert.deepEqual(asked, ['my a', 'my a'])
  assert.throws(() => mgr.stop('nobody'), { message: 'Session "nobody" is not alive. Use resume() to restore it.' })
  assert.equal(asked.length, 3)
})

same(
  '_persist is called for each step of a session’s life, before the call returns',
  async ({ make, Manager, made }) => {
    const calls = []
    class Mine extends Manager {
      _persist(name) {
        calls.push([name, this.sessions.get(name)?.status])
        super._persist(name)
      }
    }
    const mgr = make({}, Mine)
    const first = mgr.spawn('a', { prompt: 'hello' })
    assert.deepEqual(calls.splice(0), [['a', 'ready']])
    await first
    assert.ok(
      calls.splice(0).some(([name, status]) => name === 'a' && status === 'ready'),
      'after the answer',
    )
    await mgr.send('a', 'more')
    assert.ok(calls.splice(0).length > 0, 'send')
    mgr.pause('a')
    assert.deepEqual(calls.splice(0), [['a', 'paused']])
    await mgr.resume('a')
    assert.ok(
      calls.splice(0).some(([, status]) => status === 'ready'),
      'resume',
    )
    mgr.stop('a')
    assert.deepEqual(calls.splice(0), [['a', 'stopped']])
    await mgr.spawn('b')
    calls.length = 0
    mgr.stopAll()
    assert.deepEqual(calls.splice(0), [['b', 'stopped']])
    await Promise.all(made.map(({ closed }) => closed))
  },
)

same('_persist does nothing for a name that is not alive', ({ mgr }) => {
  mgr.store.set('old', stored('old'))
  const before = mgr.store.get('old')
  assert.equal(mgr._persist('old'), undefined)
  assert.equal(mgr._persist('nobody'), undefined)
  assert.deepEqual(mgr.store.get('old'), before)
  assert.equal(mgr.list().length, 1)
})

same('_wireEvents is called once for each session, before its process starts', async ({ make, Manager }) => {
  const wired = []
  class Mine extends Manager {
    _wireEvents(session) {
      wired.push([session.name, session.status, session.pid])
      session.on('text', (text) => wired.push(text))
      super._wireEvents(session)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a', { prompt: 'hello' })
  assert.deepEqual(wired.splice(0), [['a', 'starting', null], 'echo(2): hello'])
  await mgr.fork('a', 'b', { message: 'hi' })
  assert.deepEqual(wired.splice(0)[0], ['b', 'starting', null])
  const session = mgr.sessions.get('a')
  mgr.stop('a')
  await session.closed
  await mgr.resume('a', 'more')
  assert.deepEqual(wired, [['a', 'starting', null], 'echo(4): more'])
})

same('batch goes through spawn, lastOutput through history', async ({ make, Manager }) => {
  class Mine extends Manager {
    async spawn(name, options) {
      return { mine: name, options }
    }
    history(name) {
      return [{ mine: name }]
    }
  }
  const mgr = make({}, Mine)
  const spec = { name: 'a', prompt: 'x' }
  assert.deepEqual(await mgr.batch([spec]), [{ mine: 'a', options: spec }])
  assert.deepEqual(mgr.lastOutput('b'), { mine: 'b' })
})

same('stopAll does not go through an overridden stop', async ({ make, Manager, made }) => {
  class Mine extends Manager {
    stop(name) {
      assert.fail(`stop(${name})`)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a')
  mgr.stopAll()
  assert.equal(mgr.sessions.size, 0)
  await made[0].closed
})

same('delete and kill do not go through _getSession', async ({ make, Manager, made }) => {
  class Mine extends Manager {
    _getSession(name) {
      assert.fail(`_getSession(${name})`)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a')
  await mgr.spawn('b')
  mgr.kill('a')
  mgr.delete('b')
  assert.equal(mgr.sessions.size, 0)
  await Promise.all(made.map(({ closed }) => closed))
})
