// `failFast`: failures after which nobody waits for the CLI's retries.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'

/** Retries that take longer than the test may. */
const ENDLESS = (status) => `stand-in: retry 10 100000 ${status}; text never`

for (const habit of ['newer', 'older']) {
  describe(`failFast with a CLI like ${habit}`, () => {
    it('ends the turn at the first retry, and the session goes on', async (t) => {
      const mgr = world(t).manager({ failFast: ['auth'], env: standInEnv({ habit }) })
      await mgr.spawn('a', { prompt: 'hi' })
      const retries = []
      mgr.on('retry', ({ failure }) => retries.push(failure.kind))
      const response = await mgr.send('a', ENDLESS(401))
      assert.deepEqual([response.isError, response.failure], [true, { kind: 'auth', status: 401 }])
      assert.equal(response.interrupted, undefined)
      assert.deepEqual(retries, ['auth'])
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    })
  })
}

describe('failFast', () => {
  it('is a session’s, too, and leaves other kinds to the CLI', async (t) => {
    const mgr = world(t).manager()
    await mgr.spawn('a', { prompt: 'hi', failFast: ['overloaded', 'rate_limit'] })
    assert.equal((await mgr.send('a', 'stand-in: retry 2 10 500; text done')).text, 'done')
    assert.equal((await mgr.send('a', ENDLESS(529))).failure.kind, 'overloaded')
  })

  it('takes kinds of failures alone', async (t) => {
    const mgr = world(t).manager()
    await assert.rejects(mgr.spawn('a', { failFast: ['auth', 'bad luck'] }), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: /options\.failFast\[1\]/,
    })
  })
})
