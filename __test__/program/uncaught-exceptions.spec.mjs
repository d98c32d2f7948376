/** A listener that throws: an uncaught exception of the program, which costs the session nothing. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { gone, hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('a listener that throws', SEVERAL, () => {
  test('is an uncaught exception; later events and promises come all the same, in order', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const order = []
      process.on('uncaughtException', ({ message }) => order.push(`caught ${message}`))
      const mgr = manager()
      await mgr.spawn('a', { allowedTools: ['Bash'] })
      const session = mgr.sessions.get('a')
      for (const event of ['init', 'tool_use', 'tool_result', 'text', 'result', 'close']) {
        session.on(event, () => {
          order.push(event)
          throw new Error(event)
        })
      }
      const answer = await mgr.send('a', 'stand-in: tool Bash {"command":"echo hi"}; text done')
      order.push(`answered ${answer.text}`)
      say(order.splice(0))
      say([session.status, session.interactions.length, mgr.store.get('a').interactions.length])
      mgr.stop('a')
      await session.closed
      say(order)
      say([mgr.sessions.size, mgr.store.get('a').status])
    })
    const [turn, state, end, after] = await host.finished()
    assert.deepEqual(
      turn.filter((entry) => !entry.startsWith('caught ')),
      ['init', 'tool_use', 'tool_result', 'text', 'result', 'answered done'],
    )
    assert.deepEqual(
      turn.filter((entry) => entry.startsWith('caught ')),
      ['init', 'tool_use', 'tool_result', 'text', 'result'].map((event) => `caught ${event}`),
    )
    assert.deepEqual(state, ['ready', 1, 1])
    assert.deepEqual(end, ['close', 'caught close'])
    assert.deepEqual(after, [0, 'stopped'])
  })

  test('of error, stderr, message or status costs no turn, no end, no record', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const caught = []
      process.on('uncaughtException', ({ message }) => caught.push(message))
      const mgr = manager()
      await mgr.spawn('a')
      const session = mgr.sessions.get('a')
      await mgr.send('a', 'warm')
      for (const event of ['error', 'stderr', 'message']) {
        session.on(event, () => {
          throw new Error(event)
        })
      }
      say((await mgr.send('a', 'stand-in: stderr 0.001; text one')).text)
      await mgr.send('a', 'stand-in: exit 3').catch(({ code }) => say(code))
      say(await session.closed)
      say([mgr.sessions.size, mgr.store.get('a').status, mgr.store.get('a').interactions.length])
      say(['error', 'stderr', 'message'].map((event) => caught.includes(event)))
      say((await mgr.resume('a', 'stand-in: text more')).text)
      await mgr.close()
    })
    assert.deepEqual(await host.finished(), [
      'one',
      'ERR_PROCESS_EXITED',
      { code: 3, signal: null },
      [0, 'failed', 2],
      [true, true, true],
      'more',
    ])
  })

  test('of status, during a call, neither loses the message nor the session', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, say }) => {
      const caught = []
      process.on('uncaughtException', ({ message }) => caught.push(message))
      const session = new (clearctx().StreamSession)({ name: 'solo' })
      session.on('status', (status) => {
        throw new Error(status)
      })
      const attempt = (call) => {
        try {
          return call()
        } catch ({ message }) {
          caught.push(message)
        }
      }
      attempt(() => session.start())
      say(session.status)
      const answer = attempt(() => session.send('hello'))
      say(
        await answer.then(
          ({ text }) => text,
          ({ message }) => `lost: ${message}`,
        ),
      )
      attempt(() => session.pause())
      say(session.status)
      attempt(() => session.resume())
      say(session.status)
      attempt(() => session.stop())
      say(await session.closed)
      say(caught)
    })
    assert.deepEqual(await host.finished(), [
      'ready',
      'echo(2): hello',
      'paused',
      'ready',
      { code: 0, signal: null },
      ['ready', 'busy', 'ready', 'paused', 'ready', 'stopped'],
    ])
  })

  test('of status, during a spawn, leaves a session or nothing, but no process that nobody knows', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, dataDir, say }) => {
      process.on('uncaughtException', () => {})
      let made
      class Mine extends clearctx().SessionManager {
        _wireEvents(session) {
          super._wireEvents(session)
          made = session
          session.on('status', () => {
            throw new Error('mine')
          })
        }
      }
      const mgr = new Mine({ dataDir })
      const outcome = await mgr.spawn('a', { prompt: 'hello' }).then(
        () => 'spawned',
        ({ message }) => message,
      )
      if (mgr.sessions.has('a')) await mgr.close()
      else say(await made.closed)
      say([outcome, made.pid, mgr.sessions.size])
    })
    const said = await host.finished()
    const [outcome, pid, live] = said.at(-1)
    assert.ok(['spawned', 'mine'].includes(outcome), outcome)
    assert.equal(live, 0)
    await gone([pid])
  })

  test('or a history that cannot be extended: that costs no answer either', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, say }) => {
      process.on('uncaughtException', () => {})
      const session = new (clearctx().StreamSession)({ name: 'solo' })
      session.start()
      session.interactions = Object.freeze([])
      const late = new Promise((resolve) => setTimeout(resolve, 3000, { text: 'never' }).unref())
      say((await Promise.race([session.send('hello'), late])).text)
      say(session.status)
      session.interactions = []
      say((await Promise.race([session.send('more'), late])).text)
      session.kill()
    })
    assert.deepEqual(await host.finished(), ['echo(2): hello', 'ready', 'echo(4): more'])
  })

  test('in _wireEvents makes the spawn reject, and nothing was started', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    let made
    mgr._wireEvents = (session) => {
      made = session
      throw new Error('mine')
    }
    await assert.rejects(mgr.spawn('a', { prompt: 'hello' }), { message: 'mine' })
    assert.equal(made.pid, null)
    assert.equal(mgr.sessions.size, 0)
    assert.deepEqual(mgr.list(), [])
    delete mgr._wireEvents
    assert.equal((await mgr.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
  })

  test('ends the program if nobody catches it, and the records say stopped', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const mgr = manager()
      await mgr.spawn('a')
      say(mgr.sessions.get('a').pid)
      mgr.sessions.get('a').on('text', () => {
        throw new Error('on purpose')
      })
      await mgr.send('a', 'hello')
    })
    const pid = await host.said()
    assert.deepEqual(await host.closed, { code: 1, signal: null })
    assert.match(host.stderr, /on purpose/)
    assert.equal(w.readStore().a.status, 'stopped')
    await gone([pid])
  })
})
