/** The events of a StreamSession and their order. */

import assert from 'node:assert/strict'
import { on, once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { StreamSession } from '../../index.js'
import { block, namesOf, record } from '../support/events.mjs'
import { world } from '../support/sessions.mjs'
import { started } from '../support/solo-sessions.mjs'

describe('events', () => {
  test('of a plain session come in this order, with these arguments', async (t) => {
    const session = world(t).session()
    const seen = record(session)
    session.start()
    const response = await session.send('hello')
    session.stop()
    await session.closed
    const statuses = seen.filter(([name]) => name === 'status').map(([, now, before]) => `${before} ${now}`)
    assert.deepEqual(statuses, ['starting ready', 'ready busy', 'busy ready', 'ready stopped'])
    const others = seen.filter(([name]) => name !== 'status')
    assert.deepEqual(namesOf(others), ['init', 'text', 'result', 'close'])
    assert.deepEqual(others[0], ['init', session.initData])
    assert.deepEqual([session.initData.type, session.initData.session_id], ['system', session.id])
    assert.deepEqual(others[1], ['text', 'echo(2): hello'])
    assert.deepEqual(others[2], ['result', response, session.interactions[0]])
    assert.deepEqual(others[3], ['close', 0, null])
    assert.equal(seen.at(-1)[0], 'close')
    assert.ok(
      seen.findIndex(([name]) => name === 'init') >
        seen.findIndex(([name, now]) => name === 'status' && now === 'busy'),
    )
  })

  test('tool calls, tool results and texts come block by block, in their order', async (t) => {
    const session = world(t).session({ allowedTools: ['Bash'] })
    const seen = record(session, ['init', 'text', 'tool_use', 'tool_result', 'result'])
    session.start()
    await session.send('stand-in: tool Bash {"command":"echo hi"}; tool Read {"file_path":"/no/file"}; text done')
    assert.deepEqual(namesOf(seen), ['init', 'tool_use', 'tool_result', 'tool_use', 'tool_result', 'text', 'result'])
    const [, [, use], [, result], , [, failed]] = seen
    assert.deepEqual([use.type, use.name, use.input], ['tool_use', 'Bash', { command: 'echo hi' }])
    assert.deepEqual([result.type, result.tool_use_id, result.content], ['tool_result', use.id, 'hi'])
    assert.ok(!result.is_error)
    assert.equal(failed.is_error, true)
    assert.deepEqual(seen[5], ['text', 'done'])
  })

  test('text comes for each block, the response has the final one', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['text'])
    const { text } = await session.send('stand-in: stream 4 part')
    assert.deepEqual(seen, [
      ['text', 'part 1'],
      ['text', 'part 2'],
      ['text', 'part 3'],
      ['text', 'part 4'],
    ])
    assert.equal(text, 'part 4')
  })

  test('message brings every message of the CLI in order, also those that clearctx does not know', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['message', 'text'])
    await session.send('stand-in: garbage; text fine')
    const messages = seen.filter(([name]) => name === 'message').map(([, message]) => message)
    assert.ok(messages.every((message) => typeof message === 'object' && message !== null))
    const types = messages.map(({ type }) => type)
    assert.ok(types.includes('no_such_type'), types.join())
    const kinds = types.filter((type) => ['system', 'assistant', 'result'].includes(type))
    assert.deepEqual(kinds, ['system', 'system', 'assistant', 'assistant', 'result'])
    const text = seen.findIndex(([name]) => name === 'text')
    assert.equal(seen[text - 1][1].type, 'assistant', 'message comes before the events made of it')
  })

  test('listeners may come and go in mid-session', async (t) => {
    const session = started(world(t))
    await session.send('one')
    const messages = []
    const texts = []
    const listen = (message) => messages.push(message)
    session.on('message', listen)
    await session.send('two')
    const heard = messages.length
    assert.ok(heard >= 3, 'init, assistant and result at least')
    session.off('message', listen)
    session.once('text', (text) => texts.push(text))
    await session.send('stand-in: stream 3 x')
    assert.equal(messages.length, heard)
    assert.deepEqual(texts, ['x 1'])
    await session.send('nobody listens')
    assert.deepEqual(texts, ['x 1'])
  })

  test('a listener added right after the call of send, or in an init listener, hears the turn', async (t) => {
    const session = started(world(t))
    const texts = []
    const first = session.send('stand-in: text first')
    session.on('text', (text) => texts.push(text))
    await first
    session.removeAllListeners('text')
    session.once('init', () => session.prependListener('text', (text) => texts.push(`then ${text}`)))
    await session.send('stand-in: slow 30; text second')
    assert.deepEqual(texts, ['first', 'then second'])
  })

  test('a listener added in the same synchronous code as the send hears the turn, however quick the CLI is', async (t) => {
    const session = started(world(t))
    await session.send('warm')
    const answer = session.send('stand-in: stream 2 x')
    block(300)
    const seen = record(session, ['init', 'text', 'result'])
    await answer
    assert.deepEqual(namesOf(seen), ['init', 'text', 'text', 'result'])
  })

  test('listeners added after removeAllListeners() hear what comes', async (t) => {
    const session = started(world(t))
    session.on('text', () => assert.fail('removed'))
    session.removeAllListeners()
    await session.send('not heard')
    const seen = record(session, ['text', 'result', 'close'])
    await session.send('stand-in: text heard')
    session.stop()
    await session.closed
    assert.deepEqual(namesOf(seen), ['text', 'result', 'close'])
  })

  test('a new session has no listeners that its user did not add', () => {
    assert.deepEqual(new StreamSession({ name: 'quiet' }).eventNames(), [])
  })

  test('async iteration and once of node:events work', async (t) => {
    const session = started(world(t))
    const texts = []
    const abort = new AbortController()
    const reading = (async () => {
      for await (const [text] of on(session, 'text', { signal: abort.signal })) if (texts.push(text) === 3) return
    })()
    await session.send('stand-in: stream 3 n')
    await reading
    assert.deepEqual(texts, ['n 1', 'n 2', 'n 3'])
    session.stop()
    assert.deepEqual(await once(session, 'close'), [0, null])
  })

  test('bookkeeping is done before the listeners run', async (t) => {
    const session = world(t).session()
    const looks = []
    const look = (event) => {
      const { status, id, interactions, totalTurns, initData } = session
      looks.push([event, status, id !== null, interactions.length, totalTurns, initData !== null])
    }
    for (const event of ['init', 'result', 'close']) session.on(event, () => look(event))
    session.start()
    await session.send('hello')
    session.stop()
    await session.closed
    assert.deepEqual(looks, [
      ['init', 'busy', true, 0, 0, true],
      ['result', 'ready', true, 1, 1, true],
      ['close', 'stopped', true, 1, 1, true],
    ])
  })

  test('the promise of a send settles after the listeners of its result, and sees what they did', async (t) => {
    const session = started(world(t))
    const order = []
    session.on('result', () => order.push('result'))
    await session.send('hello').then(() => order.push('promise'))
    assert.deepEqual(order, ['result', 'promise'])
  })

  test('what a result listener sends is answered, after what waited before it', async (t) => {
    const session = started(world(t))
    let third
    session.once('result', () => (third = session.send('three')))
    const [first, second] = await Promise.all([session.send('one'), session.send('two')])
    assert.deepEqual([first.text, second.text, (await third).text], ['echo(2): one', 'echo(4): two', 'echo(6): three'])
  })

  test('stderr brings the text, characters whole', async (t) => {
    const w = world(t)
    const words = 'grüße 日本 🙂\n'
    // Every chunk ends within a character.
    const program = join(w.dir, 'noisy.cjs')
    writeFileSync(
      program,
      `#!${process.execPath}
      const bytes = Buffer.from(${JSON.stringify(words.repeat(20))})
      const { writeSync } = require('node:fs')
      let at = 0
      const next = () => (at < bytes.length ? (writeSync(2, bytes.subarray(at, (at += 5))), setImmediate(next)) : 0)
      next()
      process.stdin.resume()`,
      { mode: 0o755 },
    )
    const session = w.session({ claudePath: program })
    let text = ''
    session.on('stderr', (part) => (text += part))
    session.start()
    while (text.length < words.length * 20) await once(session, 'stderr')
    assert.equal(text, words.repeat(20))
    session.stop()
    await session.closed
  })

  test('a megabyte on stderr stops nobody, heard or not', async (t) => {
    const session = started(world(t))
    assert.equal((await session.send('stand-in: stderr 1; text on')).text, 'on')
    let length = 0
    session.on('stderr', (part) => (length += part.length))
    assert.equal((await session.send('stand-in: stderr 1; text again')).text, 'again')
    session.stop()
    await session.closed
    assert.equal(length, 1024 * 1024)
  })

  test('a turn that the CLI starts by itself is an event and history, and nobody’s answer', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['init', 'result'])
    await session.send('stand-in: background 40 turn 30 it is done; text started')
    const [[response, interaction]] = await Promise.all([once(session, 'result'), once(session, 'init')])
    assert.equal(response.text, 'it is done')
    assert.deepEqual([interaction.type, interaction.prompt], ['background', ''])
    assert.equal(session.interactions.at(-1), interaction)
    assert.deepEqual(namesOf(seen), ['init', 'result', 'init', 'result'])
    assert.equal((await session.send('stand-in: text mine')).text, 'mine')
    assert.equal(session.interactions.length, 3)
    assert.equal(session.totalTurns, 2 + 1 + 1)
  })

  test('in the init listener of such a turn the session is busy, in its result listener ready', async (t) => {
    const session = started(world(t))
    await session.send('stand-in: background 20 turn 20 its own; text started')
    const statuses = []
    session.on('init', () => statuses.push(session.status))
    session.on('status', (status) => statuses.push(`now ${status}`))
    session.on('result', () => statuses.push(session.status))
    await once(session, 'result')
    assert.deepEqual(statuses, ['now busy', 'busy', 'now ready', 'ready'])
  })

  test('a message sent during such a turn waits for its end', async (t) => {
    const session = started(world(t))
    await session.send('stand-in: background 20 turn 60 trap its own; text started')
    await once(session, 'init')
    const { text } = await session.send('stand-in: echo mine')
    assert.match(text, /^echo\(\d+\): mine$/)
    assert.deepEqual(
      session.interactions.map(({ type, response }) => type ?? response),
      ['started', 'background', text],
    )
  })
})
