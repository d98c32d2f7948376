/** Differences from clearctx 3.0.0 that are meant, and that docs/compatibility.md tells of. */

import assert from 'node:assert/strict'

import { differs, pick, stored } from '../support/compat.mjs'
import { until } from '../support/sessions.mjs'

// --- differences that are meant ---

differs('errors have a code', '| Errors | `code`', {
  ours: ({ mgr }) => assert.throws(() => mgr.status('nobody'), { code: 'ERR_SESSION_NOT_FOUND' }),
  theirs: ({ mgr }) =>
    assert.throws(
      () => mgr.status('nobody'),
      ({ code }) => code === undefined,
    ),
})

differs('records have more fields', '| Records | `timeout`, `tags`, `pid`, `owner`, `lastSaved`', {
  async ours({ mgr, w }) {
    await mgr.spawn('a', { timeout: 4321, tags: ['x'] })
    const { timeout, tags, pid, owner } = w.readStore().a
    assert.deepEqual([timeout, tags, pid, typeof owner], [4321, ['x'], mgr.sessions.get('a').pid, 'object'])
  },
  async theirs({ mgr, w }) {
    await mgr.spawn('a', { timeout: 4321, tags: ['x'] })
    const { timeout, tags, pid, owner } = w.readStore().a
    assert.deepEqual([timeout, tags, pid, owner], [undefined, undefined, undefined, undefined])
  },
})

differs(
  'a stored timeout is used by resume',
  '`timeout` and `tags` are stored, and a stored `timeout` is used by `resume`',
  {
    async ours({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello', timeout: 4321 })
      mgr.stop('a')
      await mgr.resume('a')
      assert.equal(mgr.sessions.get('a').timeout, 4321)
    },
    async theirs({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello', timeout: 4321 })
      const session = mgr.sessions.get('a')
      mgr.stop('a')
      await session.closed
      await mgr.resume('a')
      assert.equal(mgr.sessions.get('a').timeout, 600_000)
    },
  },
)

differs('created stays what it was', '`created` is when the record was first written.', {
  async ours({ mgr, w }) {
    await mgr.spawn('a')
    const { created } = w.readStore().a
    await mgr.send('a', 'stand-in: slow 30')
    assert.equal(w.readStore().a.created, created)
    assert.notEqual(w.readStore().a.interactions[0].timestamp, created)
  },
  async theirs({ mgr, w }) {
    await mgr.spawn('a')
    const { created } = w.readStore().a
    await mgr.send('a', 'stand-in: slow 30')
    assert.notEqual(w.readStore().a.created, created)
    assert.equal(w.readStore().a.created, w.readStore().a.interactions[0].timestamp)
  },
})

differs('cleanup leaves live sessions', '`cleanup` never removes the record of a live session', {
  async ours({ mgr }) {
    await mgr.spawn('a')
    assert.equal(mgr.cleanup(0), 0)
    assert.equal(mgr.store.get('a').status, 'ready')
  },
  async theirs({ mgr }) {
    await mgr.spawn('a')
    await until(() => mgr.cleanup(0) === 1, 'the record is older than nothing')
    assert.equal(mgr.store.get('a'), null)
  },
})

differs('the end of a process touches only its own session', 'The end of a process touches only its own session.', {
  async ours({ mgr, made }) {
    await mgr.spawn('a')
    mgr.stop('a')
    await mgr.spawn('a')
    await made[0].closed
    assert.equal(mgr.sessions.get('a'), made[1])
    assert.equal(mgr.status('a').status, 'ready')
  },
  async theirs({ mgr, made }) {
    await mgr.spawn('a')
    mgr.stop('a')
    await mgr.spawn('a')
    await made[0].closed
    assert.equal(mgr.sessions.has('a'), false)
  },
})

differs('a turn in flight at a stop is recorded', 'After `stop`, a turn in flight may finish within its time', {
  async ours({ mgr, w }) {
    await mgr.spawn('a')
    const answer = mgr.send('a', 'stand-in: slow 50 late')
    mgr.stop('a')
    assert.equal((await answer).text, 'echo(2): late')
    assert.equal(w.readStore().a.interactions.length, 1)
  },
  async theirs({ mgr, w, made }) {
    await mgr.spawn('a')
    const answer = mgr.send('a', 'stand-in: slow 50 late')
    mgr.stop('a')
    await Promise.allSettled([answer, made[0].closed])
    assert.equal(w.readStore().a.interactions.length, 0)
  },
})

differs('a session that is alive elsewhere is not resumed a second time', '`resume` of a session that is alive', {
  async ours({ mgr, make }) {
    await mgr.spawn('a', { prompt: 'hello' })
    await assert.rejects(make().resume('a'), { code: 'ERR_SESSION_HELD', holderPid: process.pid })
  },
  async theirs({ mgr, make }) {
    await mgr.spawn('a', { prompt: 'hello' })
    assert.equal(await make().resume('a'), null)
  },
})

differs(
  'names of a wrong type are refused by every method',
  'Wrong types, empty names, negative numbers and `NaN` are rejected',
  {
    ours({ mgr }) {
      for (const method of ['kill', 'delete', 'status', 'history', 'stop']) {
        assert.throws(() => mgr[method](undefined), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
      }
    },
    theirs({ mgr }) {
      assert.equal(mgr.kill('undefined'), undefined)
      assert.throws(() => mgr.stop(undefined), {
        message: 'Session "undefined" is not alive. Use resume() to restore it.',
      })
    },
  },
)

differs('options may be null', 'As before, `null`, `undefined`, `0` and `\'\'` mean "not given".', {
  ours: async ({ mgr }) => assert.equal((await mgr.spawn('a', null)).response, null),
  theirs: ({ mgr }) => assert.rejects(mgr.spawn('a', null), TypeError),
})

differs('a fork does not block the program', '| Asynchronous. |', {
  async ours({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 5)
    await mgr.fork('a', 'b', { message: 'stand-in: slow 100' })
    clearInterval(timer)
    assert.ok(ticks > 3)
  },
  async theirs({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    const began = performance.now()
    const promise = mgr.fork('a', 'b', { message: 'stand-in: slow 100' })
    assert.ok(performance.now() - began > 100)
    await promise
  },
})

differs(
  'a message of a fork is never executed',
  'No shell is involved; a message may contain or begin with anything.',
  {
    async ours({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello' })
      for (const [index, message] of ['$(echo run)', '`echo run`', '-x', '"quoted"; \\', "it's %PATH%"].entries()) {
        const { response } = await mgr.fork('a', `b${index}`, { message })
        assert.equal(response.text, `echo(4): ${message}`)
      }
    },
    async theirs({ mgr }) {
      await mgr.spawn('a', { prompt: 'hello' })
      assert.equal((await mgr.fork('a', 'b', { message: '$(echo run)' })).response.text, 'echo(4): run')
      await assert.rejects(mgr.fork('a', 'c', { message: '-x' }), { message: /^Fork failed: / })
    },
  },
)

differs(
  'a fork inherits what its source may do',
  'The fork inherits `allowedTools`, `systemPrompt`, `maxBudget`, `agent`',
  {
    async ours({ mgr }) {
      const options = { allowedTools: ['Read'], systemPrompt: 'be short', maxBudget: 2, agent: 'Explore' }
      await mgr.spawn('a', { ...options, prompt: 'hello' })
      const { session } = await mgr.fork('a', 'b', { message: 'hi' })
      assert.deepEqual(pick(session, Object.keys(options)), options)
    },
    async theirs({ mgr }) {
      await mgr.spawn('a', { allowedTools: ['Read'], systemPrompt: 'be short', prompt: 'hello' })
      const { session } = await mgr.fork('a', 'b', { message: 'hi' })
      assert.deepEqual([session.allowedTools, session.systemPrompt], [[], ''])
    },
  },
)

differs(
  'a fork does not take a name that is in use',
  'A `newName` that is taken is rejected with `ERR_SESSION_EXISTS`.',
  {
    async ours({ mgr, made }) {
      await mgr.spawn('a', { prompt: 'hello' })
      await mgr.spawn('b')
      await assert.rejects(mgr.fork('a', 'b'), { code: 'ERR_SESSION_EXISTS' })
      assert.equal(mgr.sessions.get('b'), made[1])
      mgr.store.set('c', stored('c', { status: 'paused' }))
      await assert.rejects(mgr.fork('a', 'c'), { code: 'ERR_SESSION_EXISTS' })
      const first = mgr.fork('a', 'd', { message: 'hi' })
      await assert.rejects(mgr.fork('a', 'd'), { code: 'ERR_SESSION_EXISTS' })
      await assert.rejects(mgr.spawn('d'), { code: 'ERR_SESSION_EXISTS' })
      await first
    },
    async theirs({ mgr, made }) {
      await mgr.spawn('a', { prompt: 'hello' })
      await mgr.spawn('b')
      await mgr.fork('a', 'b')
      assert.notEqual(mgr.sessions.get('b'), made[1])
    },
  },
)

differs('the first turn of a fork emits its events', 'The first turn of a fork is a turn of its session.', {
  ours: (world) => textsOfAFork(world).then((texts) => assert.deepEqual(texts, ['echo(4): hi'])),
  theirs: (world) => textsOfAFork(world).then((texts) => assert.deepEqual(texts, [])),
})

/** What a listener hears that a subclass adds to a fork before its start. */
async function textsOfAFork({ make, Manager }) {
  const texts = []
  class Mine extends Manager {
    _wireEvents(session) {
      if (session.name === 'b') session.on('text', (text) => texts.push(text))
      super._wireEvents(session)
    }
  }
  const mgr = make({}, Mine)
  await mgr.spawn('a', { prompt: 'hello' })
  await mgr.fork('a', 'b', { message: 'hi' })
  return texts
}

differs('cost of a fork is what it cost', '`cost` is what the fork cost.', {
  async ours({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    const { response, session } = await mgr.fork('a', 'b', { message: 'hi' })
    assert.ok(Math.abs(response.cost - 0.00014) < 1e-9, `${response.cost}`)
    assert.equal(session.totalCostUsd, response.cost)
    assert.equal(mgr.history('b')[0].cost, response.cost)
  },
  async theirs({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    assert.equal((await mgr.fork('a', 'b', { message: 'hi' })).response.cost, 0)
  },
})

differs('"Fork failed: " is followed by the CLI’s words alone', "`Fork failed: ` is followed by the CLI's words", {
  async ours({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    await assert.rejects(mgr.fork('a', 'b', { message: 'stand-in: error execution secret' }), ({ message, cost }) => {
      assert.equal(message, 'Fork failed: secret')
      return cost > 0
    })
  },
  async theirs({ mgr }) {
    await mgr.spawn('a', { prompt: 'hello' })
    await assert.rejects(mgr.fork('a', 'b', { message: 'stand-in: error execution secret' }), {
      message: /^Fork failed: Command failed: .*--fork-session/,
    })
  },
})

differs('bookkeeping comes before every listener', 'Bookkeeping is done before any listener runs', {
  async ours({ make, Manager, made }) {
    const seen = []
    class Mine extends Manager {
      _wireEvents(session) {
        session.on('close', () => seen.push(this.sessions.has(session.name), this.status(session.name).status))
        super._wireEvents(session)
      }
    }
    const mgr = make({}, Mine)
    await mgr.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
    await made[0].closed
    assert.deepEqual(seen, [false, 'stopped'])
  },
  async theirs({ make, Manager, made }) {
    const seen = []
    class Mine extends Manager {
      _wireEvents(session) {
        session.on('close', () => seen.push(this.sessions.has(session.name)))
        super._wireEvents(session)
      }
    }
    const mgr = make({}, Mine)
    await mgr.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
    await until(() => seen.length > 0, 'the close event')
    await made[0].closed
    assert.deepEqual(seen, [true])
  },
})
