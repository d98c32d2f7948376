// Answers as they grow: the event `delta`, and `stream()`.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { block } from '../support/events.mjs'
import { world } from '../support/sessions.mjs'

async function live(t, options = {}, env = {}) {
  const w = world(t)
  const mgr = w.manager({ ...options, env: standInEnv(env) })
  await mgr.spawn('a', { prompt: 'hi' })
  return { w, mgr, session: mgr.sessions.get('a') }
}

async function collect(stream) {
  const items = []
  for await (const item of stream) items.push(item)
  return items
}

const typesOf = (items) => [...new Set(items.map(({ type }) => type))]
const textOf = (items) =>
  items
    .filter(({ type, kind }) => type === 'delta' && kind === 'text')
    .map(({ text }) => text)
    .join('')

for (const habit of ['newer', 'older']) {
  describe(`deltas of a CLI like ${habit}`, () => {
    it('are the answer, piece by piece', async (t) => {
      const { mgr, session } = await live(t, { includePartialMessages: true }, { habit })
      const deltas = []
      session.on('delta', (delta) => deltas.push(delta))
      const { text } = await mgr.send('a', 'stand-in: think hmm; text one two three 😀')
      assert.equal(
        deltas
          .filter(({ kind }) => kind === 'text')
          .map((delta) => delta.text)
          .join(''),
        text,
      )
      assert.ok(deltas.some(({ kind, thinking }) => kind === 'thinking' && thinking.length > 0))
    })

    it('tell the input of a tool, by its id', async (t) => {
      const { mgr, session } = await live(t, { includePartialMessages: true }, { habit })
      const deltas = []
      session.on('delta', (delta) => delta.kind === 'tool_input' && deltas.push(delta))
      const called = once(session, 'tool_use')
      await mgr.send('a', 'stand-in: tool Read {"file_path":"/nowhere"}')
      const [{ id, input }] = await called
      assert.deepEqual([...new Set(deltas.map((delta) => delta.id))], [id])
      assert.deepEqual(JSON.parse(deltas.map(({ json }) => json).join('')), input)
    })
  })
}

describe('deltas', () => {
  it('come only where they were asked for', async (t) => {
    const { mgr, session } = await live(t)
    session.on('delta', () => assert.fail('nobody asked for it'))
    await mgr.send('a', 'hi')
  })

  it('are joined for the interval', async (t) => {
    const { mgr, session } = await live(t, { includePartialMessages: true, deltaInterval: 60_000 })
    const deltas = []
    session.on('delta', (delta) => deltas.push(delta))
    const { text } = await mgr.send('a', 'stand-in: text one two three four five six seven eight nine ten')
    assert.deepEqual(deltas, [{ kind: 'text', text }])
  })

  it('of a host that was blocked for long are dropped with their count, and the turn is not held up', async (t) => {
    const { mgr, session } = await live(t, { includePartialMessages: true, deltaInterval: 1 })
    const seen = { text: '', gaps: 0 }
    session.on('delta', ({ text = '' }) => (seen.text += text))
    session.on('gap', ({ deltas, bytes }) => {
      assert.ok(deltas > 0 && bytes > 0)
      seen.gaps += 1
    })
    const words = `${'x'.repeat(4095)} `.repeat(3000)
    const sent = mgr.send('a', `stand-in: text ${words}`)
    block(3000)
    const { text } = await sent
    assert.equal(text.length, words.trimEnd().length)
    assert.ok(seen.gaps > 0 && seen.text.length < text.length)
  })
})

describe('stream()', () => {
  it('yields deltas, blocks, tools and last the response', async (t) => {
    const { mgr } = await live(t, { includePartialMessages: true })
    const items = await collect(mgr.stream('a', 'stand-in: tool Read {"file_path":"/nowhere"}; text done so'))
    assert.deepEqual(typesOf(items).toSorted(), ['delta', 'response', 'text', 'tool_result', 'tool_use'])
    assert.equal(items.at(-1).type, 'response')
    assert.equal(items.at(-1).response.text, 'done so')
    assert.match(textOf(items), /done so$/)
    assert.equal(mgr.history('a').length, 2)
  })

  it('yields whole blocks where no deltas come', async (t) => {
    const { mgr } = await live(t)
    const items = await collect(mgr.stream('a', 'stand-in: text whole'))
    assert.deepEqual(
      items.map(({ type, text }) => [type, text]),
      [
        ['text', 'whole'],
        ['response', undefined],
      ],
    )
  })

  it('sends at the call, and keeps the items of each message apart', async (t) => {
    const { mgr } = await live(t, { includePartialMessages: true })
    const streams = ['one', 'two', 'three'].map((word) => mgr.stream('a', `stand-in: text ${word}`))
    const all = await Promise.all(streams.map(collect))
    assert.deepEqual(
      all.map((items) => [textOf(items), items.at(-1).response.text]),
      [
        ['one', 'one'],
        ['two', 'two'],
        ['three', 'three'],
      ],
    )
  })

  it('answers reads that wait at the same time', async (t) => {
    const { mgr } = await live(t)
    const stream = mgr.stream('a', 'stand-in: text whole')
    const items = await Promise.all([stream.next(), stream.next(), stream.next()])
    assert.deepEqual(
      items.map(({ done, value }) => [done, value?.type]),
      [
        [false, 'text'],
        [false, 'response'],
        [true, undefined],
      ],
    )
  })

  it('that is left goes on as a turn', async (t) => {
    const { w, mgr } = await live(t)
    const file = join(w.dir, 'go')
    for await (const item of mgr.stream('a', `stand-in: tool Read {"file_path":"/nowhere"}; hold ${file}`)) {
      assert.equal(item.type, 'tool_use')
      break
    }
    writeFileSync(file, '')
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
    assert.equal(mgr.history('a').length, 3)
  })

  it('throws from the loop', async (t) => {
    const { mgr } = await live(t)
    await assert.rejects(collect(mgr.stream('a', 'stand-in: exit 3')), { code: 'ERR_PROCESS_EXITED', sent: true })
    assert.throws(() => mgr.stream('nobody', 'hi'), { code: 'ERR_SESSION_NOT_ALIVE' })
  })

  it('ends with the text so far when it is interrupted, or throws when its signal is aborted', async (t) => {
    const { w, mgr, session } = await live(t, { includePartialMessages: true })
    const held = `stand-in: hold ${join(w.dir, 'never')} so far and further`
    const items = collect(mgr.stream('a', held))
    await once(session, 'delta')
    await mgr.interrupt('a')
    assert.equal((await items).at(-1).response.interrupted, true)
    const controller = new AbortController()
    const aborted = collect(mgr.stream('a', held, { signal: controller.signal }))
    await once(session, 'delta')
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError', code: 'ERR_ABORTED', sent: true })
  })

  it('tells a slow reader what it missed', async (t) => {
    const { mgr } = await live(t)
    const stream = mgr.stream('a', 'stand-in: stream 3000 x')
    await mgr.send('a', 'after it')
    const items = await collect(stream)
    const gap = items.find(({ type }) => type === 'gap')
    const texts = items.filter(({ type }) => type === 'text').length
    assert.equal(texts + gap.blocks, 3000)
    assert.ok(texts <= 1001, `${texts} kept`)
    assert.equal(items.at(-1).type, 'response')
  })

  it('waits for a slow reader that asks for it, and loses nothing', async (t) => {
    const { mgr } = await live(t)
    let texts = 0
    for await (const { type } of mgr.stream('a', 'stand-in: stream 3000 x', { backpressure: 'pause' })) {
      texts += Number(type === 'text')
      assert.notEqual(type, 'gap')
      if (texts % 500 === 1) await new Promise((resolve) => setImmediate(resolve))
    }
    assert.equal(texts, 3000)
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
  })
})
