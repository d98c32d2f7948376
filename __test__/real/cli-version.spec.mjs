// What is told of a version of the real CLI that is older than the oldest supported one; the newer ones are no news.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { OLDEST } from '../../scripts/lib/claude-versions.mjs'
import { createWorld, version } from './support.mjs'

const patch = (text) => Number(text.split('.')[2])

test('a version is warned of exactly if it is older than the oldest supported one', async (t) => {
  const told = []
  const hear = ({ code, message }) => code === 'CLEARCTX_CLI_VERSION' && told.push(message)
  process.on('warning', hear)
  t.after(() => process.off('warning', hear))
  const world = await createWorld(t)
  const { manager, response } = await world.spawned('a', 'first')
  assert.equal(response.isError, false)
  await manager.send('a', 'second')
  await new Promise(setImmediate)
  assert.equal(told.length, patch(version) < patch(OLDEST) ? 1 : 0)
  for (const message of told) assert.ok(message.includes(version) && message.includes(OLDEST), message)
})
