/** Killing needs proof of death: copies of a data directory, and lock files that somebody removed, end nobody's sessions. */

import assert from 'node:assert/strict'
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { hostWorld } from '../support/hosts.mjs'
import { isAlive } from '../support/sessions.mjs'

/** A program with an idle session `idle` and one in a turn without end, `busy`, each with a process of its own. */
async function owner(w) {
  const host = w.host(async ({ manager, say, heard }) => {
    const mgr = manager()
    const pids = []
    for (const name of ['idle', 'busy']) {
      const { session } = await mgr.spawn(name, { prompt: name })
      pids.push(session.pid, ...JSON.parse((await mgr.send(name, 'stand-in: spawn-children 1')).text))
    }
    mgr.send('busy', 'stand-in: silent').catch(() => {})
    say({ pids, ids: ['idle', 'busy'].map((name) => mgr.status(name).id) })
    await heard()
    say((await mgr.send('idle', 'recall')).text)
    await mgr.close({ timeout: 1 })
  })
  return { host, ...(await host.said()) }
}

/** Everything is still there, and the program has noticed nothing. */
async function unharmed({ host, pids }) {
  assert.deepEqual(
    pids.filter((pid) => !isAlive(pid)),
    [],
    'processes of the original were ended',
  )
  host.tell('go on')
  assert.match(await host.said(), /^idle/)
  await host.finished()
}

const hostsOf = (dataDir) => join(dataDir, 'hosts')

test('a copy of the directory of a running program: its sessions read as stopped, and nothing is killed', async (t) => {
  const w = hostWorld(t)
  const original = await owner(w)
  const copy = join(w.dir, 'copy')
  cpSync(w.dataDir, copy, { recursive: true, preserveTimestamps: true })
  const m = w.manager({ dataDir: copy })
  assert.deepEqual(
    m.list().map(({ name, status }) => [name, status]),
    [
      ['idle', 'stopped'],
      ['busy', 'stopped'],
    ],
  )
  await m.recover()
  m.kill('idle')
  m.delete('busy')
  await w.manager({ dataDir: copy }).close()
  await unharmed(original)
})

test('a backup without the lock files, opened while the original runs, kills nothing', async (t) => {
  const w = hostWorld(t)
  const original = await owner(w)
  const copy = join(w.dir, 'backup')
  cpSync(w.dataDir, copy, { recursive: true, filter: (path) => !path.includes('hosts') })
  const m = w.manager({ dataDir: copy })
  await m.recover()
  assert.equal(m.status('busy').status, 'stopped')
  await assert.rejects(m.resume('busy'), { code: 'ERR_SESSION_HELD', holderPid: original.host.pid })
  await m.close()
  await unharmed(original)
})

test('a resume in a copy never ends the CLI of the original, though its lock of the conversation is lost', async (t) => {
  const w = hostWorld(t)
  const original = await owner(w)
  const copy = join(w.dir, 'copy')
  cpSync(w.dataDir, copy, { recursive: true })
  // As a cleaner of temporary files does.
  const user = `/tmp/clearctx-${process.geteuid()}`
  const mine = (file) => original.ids.some((id) => file.startsWith(id))
  for (const file of readdirSync(user).filter(mine)) rmSync(join(user, file))
  const m = w.manager({ dataDir: copy })
  await assert.rejects(m.resume('busy'), { code: 'ERR_SESSION_HELD' })
  await m.close()
  await unharmed(original)
})

test('a cleaner that removes all lock files ends nobody: the sessions are alive, and their names taken', async (t) => {
  const w = hostWorld(t)
  const original = await owner(w)
  for (const file of readdirSync(hostsOf(w.dataDir))) rmSync(join(hostsOf(w.dataDir), file))
  const m = w.manager()
  assert.deepEqual(await m.recover(), [])
  assert.deepEqual(
    m.list().map(({ status }) => status),
    ['ready', 'ready'],
  )
  await assert.rejects(m.spawn('idle'), { code: 'ERR_SESSION_EXISTS' })
  await assert.rejects(m.resume('busy'), { code: 'ERR_SESSION_HELD', holderPid: original.host.pid })
  assert.equal(m.cleanup(0), 0)
  await m.close()
  await unharmed(original)
})

for (const [what, change] of [
  ['an earlier boot', { boot: '00000000-0000-4000-8000-000000000000' }],
  ['another pid namespace', { ns: 'pid:[1]' }],
  ['no facts at all, as the alpha wrote it', { boot: undefined, ns: undefined, start: undefined, dir: undefined }],
]) {
  test(`a record of ${what} reads as stopped, and what seems to be its process is left alone`, async (t) => {
    const w = hostWorld(t)
    const original = await owner(w)
    const copy = join(w.dir, 'other')
    cpSync(w.dataDir, copy, { recursive: true })
    const other = w.manager({ dataDir: copy })
    await other.spawn('own', { prompt: 'x' })
    // As if it had been written here.
    const { dir } = other.store.get('own').owner
    await other.close()
    const file = join(copy, 'sessions.json')
    const records = JSON.parse(readFileSync(file, 'utf8'))
    for (const name of ['idle', 'busy']) records[name].owner = { ...records[name].owner, dir, ...change }
    writeFileSync(file, JSON.stringify(records))
    const m = w.manager({ dataDir: copy })
    assert.equal(m.status('busy').status, 'stopped')
    await m.recover()
    await m.close()
    await unharmed(original)
  })
}
