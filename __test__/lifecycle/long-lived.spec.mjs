/** A session that lives for long keeps what its record keeps. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { world } from '../support/sessions.mjs'

test('interactions obey maxHistory while the session lives', async (t) => {
  const w = world(t)
  const m = w.manager({ maxHistory: 3 })
  await m.spawn('a')
  const { interactions } = m.sessions.get('a')
  for (const message of ['1', '2', '3', '4', '5']) await m.send('a', message)
  assert.deepEqual(
    interactions.map(({ prompt }) => prompt),
    ['3', '4', '5'],
  )
  assert.equal(m.history('a').length, 3)
  assert.equal(m.sessions.get('a').toJSON().interactionCount, 3)
  assert.equal(m.sessions.get('a').totalTurns, 5)
  await m.close()
})
