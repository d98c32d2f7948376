// The interrupt of a turn: what the send resolves with, what waits in line, and a caller who gives up a message.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { until, world } from '../support/sessions.mjs'

const habits = ['newer', 'older']

/** A manager with a live session `a`, whose process is warm. */
async function warm(t, options = {}, manager = {}, spawn = {}) {
  const w = world(t)
  const mgr = w.manager({ ...manager, env: standInEnv(options) })
  await mgr.spawn('a', { prompt: 'hi', ...spawn })
  return { w, mgr, session: mgr.sessions.get('a') }
}

for (const habit of habits) {
  describe(`interrupt of a CLI like ${habit}`, () => {
    it('resolves the send with what there is, and the session goes on with what waits', async (t) => {
      const { w, mgr, session } = await warm(t, { habit }, { includePartialMessages: true })
      const sent = mgr.send('a', `stand-in: hold ${join(w.dir, 'never')} so far and much further`)
      const next = mgr.send('a', 'next')
      await once(session, 'delta')
      assert.deepEqual(await mgr.interrupt('a'), { interrupted: true })
      const response = await sent
      assert.equal(response.interrupted, true)
      assert.equal(response.failure, null)
      assert.match(response.text, /so far/)
      assert.doesNotMatch(response.text, /further/)
      assert.equal(typeof response.cost, 'number')
      assert.match((await next).text, /next/)
      assert.equal(mgr.history('a')[1].interrupted, true)
    })

    it('always hits a message that was sent on an idle session just before', async (t) => {
      const { w, mgr } = await warm(t, { habit, control: habit === 'newer' ? 'race' : undefined })
      for (let i = 0; i < 5; i += 1) {
        const sent = mgr.send('a', `stand-in: hold ${join(w.dir, 'never')}`)
        assert.deepEqual(await mgr.interrupt('a'), { interrupted: true })
        assert.equal((await sent).interrupted, true)
      }
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    })

    it('hits the first message of a process that is not up yet', async (t) => {
      const w = world(t)
      const mgr = w.manager({ env: standInEnv({ habit }) })
      await mgr.spawn('a')
      const sent = mgr.send('a', `stand-in: hold ${join(w.dir, 'never')}`)
      assert.deepEqual(await mgr.interrupt('a'), { interrupted: true })
      assert.equal((await sent).interrupted, true)
    })

    it('drops what waits on request', async (t) => {
      const { w, mgr, session } = await warm(t, { habit })
      const sent = mgr.send('a', `stand-in: hold ${join(w.dir, 'never')}`)
      const dropped = assert.rejects(mgr.send('a', 'dropped'), { code: 'ERR_INTERRUPTED', sent: false })
      await once(session, 'init')
      await mgr.interrupt('a', { dropQueue: true })
      assert.equal((await sent).interrupted, true)
      await dropped
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
      assert.deepEqual(
        mgr.history('a').map(({ prompt }) => prompt.slice(0, 8)),
        ['hi', 'stand-in', 'alive'],
      )
    })

    it('ends a tool with its processes', async (t) => {
      const { w, mgr, session } = await warm(t, { habit }, {}, { allowedTools: ['Bash'] })
      const sent = mgr.send('a', 'stand-in: tool Bash {"command":"sleep 1000"}')
      await once(session, 'tool_use')
      await until(() => w.processes().length > 1, 'the tool runs')
      await mgr.interrupt('a')
      assert.equal((await sent).interrupted, true)
      await until(() => w.processes().length === 1, 'the tool has ended, and the CLI lives')
    })

    it('of an idle session is no error, of one that has ended it is', async (t) => {
      const { mgr } = await warm(t, { habit })
      assert.deepEqual(await mgr.interrupt('a'), { interrupted: false })
      assert.match((await mgr.send('a', 'whole')).text, /whole/)
      mgr.stop('a')
      await assert.rejects(mgr.interrupt('a'), { code: 'ERR_SESSION_NOT_ALIVE' })
    })
  })
}

describe('an interrupt that the CLI does not obey', () => {
  it('is written again if the first one met no turn', async (t) => {
    const { w, mgr } = await warm(t, { control: 'miss' })
    const sent = mgr.send('a', `stand-in: init-late 50; hold ${join(w.dir, 'never')}`)
    await mgr.interrupt('a')
    assert.equal((await sent).interrupted, true)
  })

  it('costs the caller no more than its time, and the turn its answer', async (t) => {
    const { w, mgr, session } = await warm(t, { control: 'deaf interrupt' }, { controlTimeout: 100 })
    const file = join(w.dir, 'go')
    const sent = mgr.send('a', `stand-in: hold ${file} done`)
    await once(session, 'init')
    await assert.rejects(mgr.interrupt('a'), { code: 'ERR_CONTROL_TIMEOUT', request: 'interrupt' })
    writeFileSync(file, '')
    const response = await sent
    assert.deepEqual([/done/.test(response.text), response.interrupted], [true, undefined])
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
  })

  it('is refused with the words of the CLI', async (t) => {
    const { w, mgr, session } = await warm(t, { control: 'fail interrupt not today' })
    const file = join(w.dir, 'go')
    const sent = mgr.send('a', `stand-in: hold ${file} done`)
    await once(session, 'init')
    await assert.rejects(mgr.interrupt('a'), { code: 'ERR_CONTROL', message: /not today/ })
    writeFileSync(file, '')
    assert.match((await sent).text, /done/)
  })

  it('that is answered twice or late hits no later turn', async (t) => {
    const { w, mgr, session } = await warm(t, { control: 'double interrupt' })
    for (let i = 0; i < 3; i += 1) {
      const sent = mgr.send('a', `stand-in: hold ${join(w.dir, 'never')}`)
      await once(session, 'init')
      await mgr.interrupt('a')
      assert.equal((await sent).interrupted, true)
      assert.match((await mgr.send('a', `whole ${i}`)).text, new RegExp(`whole ${i}`))
    }
  })
})

describe('a signal of a send', () => {
  it('withdraws a message that waits, without a trace', async (t) => {
    const { w, mgr } = await warm(t)
    const file = join(w.dir, 'go')
    const first = mgr.send('a', `stand-in: hold ${file} done`)
    const controller = new AbortController()
    const second = mgr.send('a', 'never sent', { signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    await assert.rejects(second, (error) => {
      assert.deepEqual([error.name, error.code, error.sent], ['AbortError', 'ERR_ABORTED', false])
      assert.equal(error.cause.message, 'changed my mind')
      return true
    })
    writeFileSync(file, '')
    assert.match((await first).text, /done/)
    assert.equal(mgr.history('a').length, 2)
  })

  it('interrupts the turn of a message that is in flight', async (t) => {
    const { w, mgr, session } = await warm(t)
    const controller = new AbortController()
    const sent = mgr.send('a', `stand-in: hold ${join(w.dir, 'never')}`, { signal: controller.signal })
    await once(session, 'init')
    controller.abort()
    await assert.rejects(sent, { name: 'AbortError', code: 'ERR_ABORTED', sent: true })
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
  })

  it('that was aborted before sends nothing', async (t) => {
    const { mgr } = await warm(t)
    await assert.rejects(mgr.send('a', 'x', { signal: AbortSignal.abort() }), { code: 'ERR_ABORTED', sent: false })
    assert.equal(mgr.history('a').length, 1)
    assert.equal(mgr.status('a').status, 'ready')
  })

  it('must be one', async (t) => {
    const { mgr } = await warm(t)
    await assert.rejects(mgr.send('a', 'x', { signal: {} }), {
      code: 'ERR_INVALID_ARG_TYPE',
      message: /options.signal/,
    })
  })
})
