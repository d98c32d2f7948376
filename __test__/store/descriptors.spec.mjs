/** What a data directory holds open, and when it gives that back. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { until, world } from '../support/sessions.mjs'

/** Files below a directory that this program has open. */
const openIn = (dir) =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${fd}`)
      return file.startsWith(dir) ? [file.slice(dir.length + 1)] : []
    } catch {
      return []
    }
  })

const locksIn = (dir) => readdirSync(join(dir, 'hosts')).filter((name) => name.endsWith('.lock'))

const skip = existsSync('/proc/self/fd') ? false : 'needs /proc'

test('a closed manager leaves no file of its directory open, and opens them again at need', { skip }, async (t) => {
  const w = world(t)
  const m = w.manager()
  for (const prompt of ['one', 'two']) {
    await (m.store.get('a') === null ? m.spawn('a', { prompt }) : m.resume('a', prompt))
    assert.notDeepEqual(openIn(w.dataDir), [])
    await m.close()
    assert.deepEqual(openIn(w.dataDir), [])
    assert.deepEqual(locksIn(w.dataDir), [])
    assert.equal(m.status('a').status, 'stopped')
    assert.equal(m.history('a').at(-1).prompt, prompt)
  }
})

test('a hundred directories cost no more descriptors than one', { skip }, async (t) => {
  const w = world(t)
  const before = readdirSync('/proc/self/fd').length
  for (let at = 0; at < 100; at += 1) {
    const m = w.manager({ dataDir: join(w.dir, `data-${at}`) })
    m.store.set('a', { name: 'a', status: 'stopped' })
    await m.close()
  }
  assert.deepEqual(openIn(w.dir), [])
  assert.ok(readdirSync('/proc/self/fd').length <= before + 1)
})

test('a session that lives keeps its directory, whatever other managers on it are closed', { skip }, async (t) => {
  const w = world(t)
  const [m, other] = [w.manager(), w.manager()]
  await m.spawn('a', { prompt: 'one' })
  other.store.set('b', { name: 'b', status: 'stopped' })
  await other.close()
  assert.equal(locksIn(w.dataDir).filter((name) => !name.includes('conversation')).length, 1)
  assert.equal(other.status('a').status, 'ready')
  assert.match((await m.send('a', 'two')).text, /: two$/)
  await m.close()
  await until(() => openIn(w.dataDir).length === 0, 'the files are closed')
})
