/** The keeper of a program: when it starts and ends, and what it ends when the program is killed. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { NO_KEEPER, hostWorld, keeperOf } from '../support/hosts.mjs'
import { PATIENCE_MS, gone } from '../support/owners.mjs'
import { descendants, isAlive, until } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('the keeper', SEVERAL, () => {
  /** A program with a session in mid-turn that takes no notice of signals; it answers questions on another session. */
  const busyOwner = async ({ manager, say, heard }) => {
    const mgr = manager()
    await mgr.spawn('busy', { prompt: 'stand-in: spawn-children 1' })
    await mgr.spawn('idle', { prompt: 'hello' })
    const turn = new Promise((resolve) => mgr.sessions.get('busy').once('init', resolve))
    mgr.send('busy', 'stand-in: ignore-signals; silent').catch(() => {})
    await turn
    process.on('warning', ({ code, message }) => say({ code, message }))
    for (let name = 'there'; ; name = await heard()) {
      if (name !== 'there') await mgr.spawn(name, { prompt: 'stand-in: spawn-children 1' })
      say(name)
    }
  }

  const startBusy = async (w) => {
    const host = w.host(busyOwner)
    assert.equal(await host.said(), 'there')
    const keeper = keeperOf(host.pid)
    assert.ok(keeper)
    return { host, keeper }
  }

  test('is one process for all sessions, nobody’s child, in a session of its own, and knows nothing', async (t) => {
    const w = hostWorld(t)
    const { host, keeper } = await startBusy(w)
    assert.ok(!descendants(host.pid).includes(keeper))
    const [, , , session] = readFileSync(`/proc/${keeper}/stat`, 'utf8').split(') ')[1].split(' ')
    assert.equal(Number(session), keeper)
    assert.equal(readFileSync(`/proc/${keeper}/environ`, 'utf8'), '')
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM']) process.kill(keeper, signal)
    host.tell('more')
    assert.equal(await host.said(), 'more')
    assert.equal(keeperOf(host.pid), keeper)
    const pids = descendants(host.pid)
    host.kill('SIGKILL')
    await gone(t, pids)
  })

  test('that is killed is replaced, and the next one knows all sessions', async (t) => {
    const w = hostWorld(t)
    const { host, keeper } = await startBusy(w)
    process.kill(keeper, 'SIGKILL')
    await until(() => keeperOf(host.pid) !== undefined, 'the next keeper')
    host.tell('more')
    assert.equal(await host.said(), 'more')
    const pids = descendants(host.pid)
    host.kill('SIGKILL')
    await gone(t, pids)
  })

  test('that is killed again and again is given up with a warning; sessions work on', async (t) => {
    const w = hostWorld(t)
    const { host } = await startBusy(w)
    let keepers = 0
    const warned = host.said()
    let over = false
    warned.then(() => (over = true))
    await until(
      () => {
        const keeper = keeperOf(host.pid)
        if (keeper !== undefined) {
          process.kill(keeper, 'SIGKILL')
          keepers += 1
        }
        return over
      },
      'the warning',
      PATIENCE_MS,
    )
    assert.equal((await warned).code, 'CLEARCTX_NO_KEEPER')
    assert.ok(keepers > 1)
    host.tell('more')
    assert.equal(await host.said(), 'more')
    host.kill('SIGKILL')
    await host.closed
    w.manager()
    await until(() => w.processes().length === 0, 'the end of what was left', PATIENCE_MS)
  })

  test('that does not run for a while holds nothing up, and does its work later', async (t) => {
    const w = hostWorld(t)
    const { host, keeper } = await startBusy(w)
    process.kill(keeper, 'SIGSTOP')
    host.tell('more')
    assert.equal(await host.said(), 'more')
    const pids = descendants(host.pid)
    host.kill('SIGKILL')
    await host.closed
    process.kill(keeper, 'SIGCONT')
    await gone(t, pids)
  })

  test('that is killed together with its program: the next manager on the directory does its work', async (t) => {
    const w = hostWorld(t)
    const { host, keeper } = await startBusy(w)
    const [busy] = descendants(host.pid)
    process.kill(keeper, 'SIGSTOP')
    host.kill('SIGKILL')
    await host.closed
    process.kill(keeper, 'SIGKILL')
    assert.ok(isAlive(busy), 'it works on')
    w.manager()
    await until(() => w.processes().length === 0, 'the end of what was left', PATIENCE_MS)
  })

  test('of one program leaves the sessions of another alone, and all other processes', async (t) => {
    const w = hostWorld(t)
    const { host } = await startBusy(w)
    const other = w.host(async ({ manager, say, heard }) => {
      const mgr = manager()
      const { session } = await mgr.spawn('other', { prompt: 'hello' })
      const { text } = await mgr.send('other', 'stand-in: spawn-children 1')
      say([session.pid, ...JSON.parse(text)])
      await heard()
      say((await mgr.send('other', 'stand-in: text still here')).text)
      await mgr.close()
    })
    const others = await other.said()
    const bystander = spawn('sleep', ['30'], { env: { ...process.env, CLEARCTX_SESSION: 'somebody else’s' } })
    t.after(() => bystander.kill('SIGKILL'))
    assert.notEqual(keeperOf(other.pid), keeperOf(host.pid))
    const pids = descendants(host.pid)
    host.kill('SIGKILL')
    await gone(t, pids)
    assert.deepEqual(others.filter(isAlive), others)
    assert.ok(isAlive(bystander.pid))
    other.tell('go on')
    assert.deepEqual(await other.finished(), ['still here'])
  })

  test('ends what a session that was stopped in order was told to leave running, with the program', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say, heard }) => {
      const mgr = manager()
      await mgr.spawn('a')
      const { text } = await mgr.send('a', 'stand-in: spawn-orphans 1')
      const { closed } = mgr.sessions.get('a')
      mgr.stop('a')
      await closed
      say(JSON.parse(text))
      await heard()
    })
    const [orphan] = await host.said()
    assert.ok(isAlive(orphan))
    host.kill('SIGKILL')
    await gone(t, [orphan])
  })

  for (const [what, program, reason] of [
    ['is not there', () => NO_KEEPER.CLEARCTX_KEEPER, /\/no\/such\/keeper: No such file/],
    ['may not be run', (w) => textFile(w, 0o644), /keeper: Permission denied/],
    ['is no program', (w) => textFile(w, 0o755), /keeper: Exec format error/],
    ['fails', () => '/bin/false', /\/bin\/false: exit status: 1/],
    ['ends at once', () => '/bin/true', /again and again/],
  ]) {
    test(`that ${what}: one warning, and sessions work`, async (t) => {
      const w = hostWorld(t)
      const host = w.start(
        async ({ manager, say, worker }) => {
          process.on('warning', ({ code, message }) => say({ code, message }))
          const mgr = manager()
          const spawned = ['a', 'b', 'c'].map((name) => mgr.spawn(name, { prompt: 'hello' }))
          await Promise.all(spawned)
          const thread = worker('other')
          await new Promise((resolve) => thread.once('message', resolve))
          say((await mgr.fork('a', 'd', { message: 'hi' })).response.text)
          await mgr.close()
        },
        {
          env: { CLEARCTX_KEEPER: program(w) },
          workers: {
            other: async ({ manager, say }) => {
              const mgr = manager()
              await mgr.spawn('w', { prompt: 'hello' })
              await mgr.close()
              say('done')
            },
          },
        },
      )
      const said = await host.finished()
      assert.equal(said.at(-1), 'echo(4): hi')
      assert.equal(said.length, 2, JSON.stringify(said))
      assert.equal(said[0].code, 'CLEARCTX_NO_KEEPER')
      assert.match(said[0].message, reason)
    })
  }

  const textFile = (w, mode) => {
    const file = join(w.dir, 'keeper')
    writeFileSync(file, '\x01 no program', { mode })
    return file
  }
})
