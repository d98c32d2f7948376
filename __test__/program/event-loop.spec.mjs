/** A program whose event loop stands still, or that holds no reference to its session. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { block } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { isAlive, world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('a blocked event loop', SEVERAL, () => {
  test('loses no event and no answer; what waits is sent on in the meantime', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    const names = ['a', 'b', 'c']
    await mgr.batch(names.map((name) => ({ name, prompt: 'warm' })))
    const texts = Object.fromEntries(names.map((name) => [name, []]))
    const answers = []
    for (const name of names) {
      mgr.sessions.get(name).on('text', (text) => texts[name].push(text))
      for (const round of [1, 2, 3]) answers.push(mgr.send(name, `stand-in: stream 50 ${name}${round}`))
    }
    const before = Date.now()
    block(1000)
    assert.ok(names.every((name) => texts[name].length === 0 && mgr.history(name).length === 1))
    for (const answer of answers) await answer
    for (const name of names) {
      const expected = [1, 2, 3].flatMap((round) =>
        Array.from({ length: 50 }, (_, line) => `${name}${round} ${line + 1}`),
      )
      assert.deepEqual(texts[name], expected)
      // All of it happened while this thread stood still.
      const last = mgr.history(name).at(-1)
      assert.ok(Date.parse(last.timestamp) < before + 1000, last.timestamp)
      assert.equal(w.readStore()[name].interactions.length, 4)
    }
  })

  test('makes no timeout of an answer that came in time', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'warm' })
    const quick = mgr.send('a', 'stand-in: text in time', 300)
    const slow = assert.rejects(mgr.send('a', 'stand-in: slow 400 too late', 200), {
      code: 'ERR_TURN_TIMEOUT',
      sent: true,
    })
    block(700)
    assert.equal((await quick).text, 'in time')
    await slow
    assert.deepEqual(
      mgr.history('a').map(({ response, late }) => [response, late]),
      [
        ['echo(2): warm', undefined],
        ['in time', undefined],
        ['echo(6): too late', true],
      ].slice(0, mgr.history('a').length),
    )
  })

  test('stops a flood at a bound, and then takes it all in order', async (t) => {
    const w = world(t)
    const session = w.session()
    const numbers = []
    session.on('message', ({ type, message }) => {
      if (type === 'assistant') numbers.push(Number(message.content[0].text.split(' ').at(-1)))
    })
    session.start()
    const answer = session.send('stand-in: stream 30000 line number')
    block(1000)
    assert.equal((await answer).text, 'line number 30000')
    assert.equal(numbers.length, 30_000)
    assert.ok(numbers.every((number, index) => number === index + 1))
  })

  test('sees an end that happened meanwhile', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'warm' })
    const session = mgr.sessions.get('a')
    const answer = assert.rejects(mgr.send('a', 'stand-in: exit 5'), { code: 'ERR_PROCESS_EXITED', exitCode: 5 })
    block(400)
    assert.ok(!isAlive(session.pid))
    assert.equal(session.status, 'busy')
    assert.ok(mgr.sessions.has('a'))
    assert.equal(mgr.status('a').status, 'busy')
    await answer
    await session.closed
    assert.equal(mgr.status('a').status, 'failed')
    assert.ok(!mgr.sessions.has('a'))
  })

  test('is not blocked by us: what has piled up is handed on in slices', async (t) => {
    const w = world(t)
    const session = w.session()
    session.start()
    await session.send('warm')
    let turns = 0
    let before
    const tick = () => {
      turns += 1
      if (session.status === 'busy') setImmediate(tick)
    }
    // As slow as a listener that does something: more is there at any time than is handed on.
    session.on('text', () => {
      before ??= turns
      const end = performance.now() + 0.1
      while (performance.now() < end);
    })
    const answer = session.send('stand-in: stream 3000 some words to make a line')
    setImmediate(tick)
    block(1000)
    await answer
    assert.ok(turns - before >= 30, `${turns - before} turns of the event loop during 3000 events`)
  })
})

test('a turn during which nobody holds a reference to the session is answered', async (t) => {
  const w = hostWorld(t)
  const host = w.start(
    async ({ manager, say }) => {
      await (async () => {
        const mgr = manager()
        await mgr.spawn('a')
        mgr.sessions.get('a').on('result', ({ text }) => (say(text), mgr.stop('a')))
        void mgr.send('a', 'stand-in: slow 100 kept')
      })()
      for (let round = 0; round < 5; round += 1) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      say('collected')
    },
    { env: { NODE_OPTIONS: '--expose-gc' } },
  )
  assert.deepEqual(await host.finished(), ['collected', 'echo(2): kept'])
})
