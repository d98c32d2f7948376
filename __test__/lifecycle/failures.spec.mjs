/** Why a turn failed: `failure` of responses and errors. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { HABITS, rejection } from '../support/turns.mjs'

const CASES = [
  ['error 401', { kind: 'auth', status: 401 }],
  ['error 400', { kind: 'invalid_request', status: 400 }],
  ['error 413', { kind: 'too_long', status: 413 }],
  ['error 429', { kind: 'rate_limit', status: 429 }],
  ['error 500', { kind: 'server', status: 500 }],
  ['error 529', { kind: 'overloaded', status: 529 }],
  ['error login', { kind: 'auth' }],
  ['error max-turns', { kind: 'max_turns' }],
  ['error budget', { kind: 'budget' }],
  ['error budget unmarked', { kind: 'budget' }],
  ['error execution something', { kind: 'other' }],
  ['refusal', { kind: 'refused' }],
]

for (const habit of HABITS) {
  test(`each kind of failure, ${habit} CLI`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ habit }) })
    const { response } = await m.spawn('a', { prompt: 'hello' })
    assert.equal(response.failure, null)
    for (const [directive, failure] of CASES) {
      const failed = await m.send('a', `stand-in: ${directive}`)
      assert.equal(failed.isError, true, directive)
      assert.deepEqual(failed.failure, failure, directive)
      assert.equal(m.lastOutput('a').isError, true, directive)
    }
    assert.equal((await m.send('a', 'stand-in: retry 2 0; text fine')).failure, null)
  })

  test(`a usage limit says when it ends, ${habit} CLI`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ habit }) })
    const before = Date.now()
    const { response } = await m.spawn('a', { prompt: 'stand-in: error usage-limit 600' })
    const { kind, status, resetsAt } = response.failure
    assert.deepEqual([kind, status], ['usage_limit', 429])
    assert.ok(resetsAt > before + 598_000 && resetsAt <= Date.now() + 600_000, String(resetsAt - before))
  })
}

test('an error that ends a first turn has a failure', async (t) => {
  const w = world(t)
  const refusing = w.manager({ env: standInEnv({ start: 'error-result:Invalid API key · Please run /login' }) })
  const start = await rejection(refusing.spawn('a', { prompt: 'hello' }), 'ERR_START_FAILED')
  assert.deepEqual(start.failure, { kind: 'auth' })
  const dying = w.manager({ env: standInEnv({ start: 'exit:1:Invalid API key · Please run /login' }) })
  const exit = await rejection(dying.spawn('b', { prompt: 'hello' }), 'ERR_PROCESS_EXITED')
  assert.deepEqual(exit.failure, { kind: 'auth' })

  const m = w.manager()
  await m.spawn('c', { prompt: 'hello' })
  const fork = await rejection(m.fork('c', 'd', { message: 'stand-in: error 401' }), 'ERR_FORK_FAILED')
  assert.deepEqual(fork.failure, { kind: 'auth', status: 401 })
  const crash = await rejection(m.fork('c', 'd', { message: 'stand-in: exit 3' }), 'ERR_FORK_FAILED')
  assert.deepEqual(crash.failure, { kind: 'other' })
})

test('each retry of the CLI is told at once', async (t) => {
  const session = world(t).session()
  const retries = []
  session.on('retry', (retry) => retries.push(retry))
  session.start()
  const { failure } = await session.send('stand-in: retry 2 5 401; retry 1 7 429; retry 1 0 none; text fine')
  assert.equal(failure, null)
  assert.deepEqual(retries, [
    { attempt: 1, delay: 5, failure: { kind: 'auth', status: 401 } },
    { attempt: 2, delay: 5, failure: { kind: 'auth', status: 401 } },
    { attempt: 1, delay: 7, failure: { kind: 'rate_limit', status: 429, retryAfter: 7 } },
    { attempt: 1, delay: 0, failure: { kind: 'network' } },
  ])
})
