// Why a turn failed, by what the real CLI says of it.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { createWorld } from './support.mjs'

/** What the mock does, and the failure. */
const CASES = [
  ['ERROR:401', { kind: 'auth', status: 401 }],
  ['ERROR:403:never', { kind: 'auth', status: 403 }],
  ['ERROR:400', { kind: 'invalid_request', status: 400 }],
  ['ERROR:413:never', { kind: 'too_long', status: 413 }],
  ['ERROR:429', { kind: 'rate_limit', status: 429 }],
  ['ERROR:429:3600', { kind: 'rate_limit', status: 429 }],
  ['ERROR:500', { kind: 'server', status: 500 }],
  ['ERROR:529', { kind: 'overloaded', status: 529 }],
  ['CUT', { kind: 'network' }],
]

test('errors of the API have their kinds', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ env: { ...world.env, CLAUDE_CODE_MAX_RETRIES: '1' } })
  const { response } = await manager.spawn('a', { prompt: 'hello', workDir: world.workDir })
  assert.equal(response.failure, null)
  for (const [prompt, failure] of CASES) {
    const failed = await manager.send('a', prompt)
    assert.equal(failed.isError, true, prompt)
    assert.deepEqual(failed.failure, failure, prompt)
  }
})

test('no connection, no model, no login, no budget', async (t) => {
  const world = await createWorld(t)
  const ask = async (name, env, options) => {
    const manager = world.manager({ env: { ...world.env, CLAUDE_CODE_MAX_RETRIES: '1', ...env } })
    const { response } = await manager.spawn(name, { prompt: 'hello', workDir: world.workDir, ...options })
    return response
  }
  const unconnected = await ask('a', { ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' })
  assert.deepEqual(unconnected.failure, { kind: 'network' }, unconnected.text)
  const unknown = await ask('b', {}, { model: 'no-such-model' })
  assert.deepEqual(unknown.failure, { kind: 'invalid_request', status: 404 }, unknown.text)
  const nobody = await ask('c', { ANTHROPIC_API_KEY: undefined })
  assert.deepEqual(nobody.failure, { kind: 'auth' }, nobody.text)
  const poor = await ask('d', {}, { maxBudget: 0.000001 })
  assert.deepEqual([poor.isError, poor.failure], [true, { kind: 'budget' }])
})
