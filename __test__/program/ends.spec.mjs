/** The end of a program: by itself when nothing is left to do, or with live sessions. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { gone, hostWorld } from '../support/hosts.mjs'
import { isAlive } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('a program ends by itself', SEVERAL, () => {
  // Each of these programs would be killed, or end with another code, if something held it open or let it go too early.
  for (const [what, program, said] of [
    [
      'after close()',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'hello' })
        await mgr.close()
        say(process.getActiveResourcesInfo().filter((kind) => !/^(PipeWrap|FSReq)/.test(kind)))
      },
      [[]],
    ],
    [
      'after stop(), once the process is gone and the turn in flight answered',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a')
        const session = mgr.sessions.get('a')
        mgr.send('a', 'stand-in: slow 100 late').then(({ text }) => say(text))
        session.on('close', (code) => say(code))
        mgr.stop('a')
        say('stopped')
      },
      ['stopped', 'echo(2): late', 0],
    ],
    [
      'after stopAll() of idle sessions',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.batch([{ name: 'a' }, { name: 'b', prompt: 'hello' }])
        mgr.stopAll()
        say(mgr.sessions.size)
      },
      [0],
    ],
    [
      'after kill()',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'hello' })
        const session = mgr.sessions.get('a')
        session.on('close', (code, signal) => say(signal))
        mgr.kill('a')
      },
      ['SIGKILL'],
    ],
    [
      'after its last session ended by itself',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'stand-in: then exit 0; text bye' })
        mgr.sessions.get('a')?.on('close', () => say('closed'))
      },
      ['closed'],
    ],
    [
      'after a spawn that failed, before and after the start',
      async ({ manager, say }) => {
        const mgr = manager({ env: { CLEARCTX_STAND_IN_START: 'exit:3:no' } })
        await mgr.spawn('a', { workDir: '/no/such/dir' }).catch(({ code }) => say(code))
        await mgr.spawn('a', { prompt: 'hello' }).catch(({ code }) => say(code))
      },
      ['ERR_WORKDIR', 'ERR_PROCESS_EXITED'],
    ],
    [
      'after a fork that failed, and one that succeeded',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'hello' })
        await mgr.fork('a', 'b', { message: 'stand-in: exit 3' }).catch(({ code }) => say(code))
        say((await mgr.fork('a', 'c', { message: 'hi' })).response.text)
        mgr.stopAll()
      },
      ['ERR_FORK_FAILED', 'echo(4): hi'],
    ],
    [
      'after using only the store',
      async ({ manager, say }) => {
        const mgr = manager()
        mgr.store.set('a', { name: 'a', status: 'stopped' })
        mgr.list()
        await mgr.store.flush()
        await mgr.close()
        say('done')
      },
      ['done'],
    ],
    [
      'after a session without a manager',
      async ({ clearctx, say }) => {
        const session = new (clearctx().StreamSession)({ name: 'solo' })
        session.start()
        say((await session.send('hello')).text)
        session.stop()
        say(await session.closed)
      },
      ['echo(2): hello', { code: 0, signal: null }],
    ],
    [
      'not before: an idle session keeps it alive, and a turn of the CLI’s own is heard',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'stand-in: background 250 done by itself; text started' })
        mgr.sessions.get('a').on('result', ({ text }) => {
          say(text)
          mgr.stop('a')
        })
        process.on('beforeExit', () => say('over'))
      },
      ['done by itself', 'over'],
    ],
    [
      'not before: a paused session keeps it alive',
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a')
        mgr.pause('a')
        // Its own timers do not: only the session does.
        setTimeout(() => (say('still here'), mgr.kill('a')), 150).unref()
      },
      ['still here'],
    ],
    [
      'not before: a session without a manager keeps it alive',
      ({ clearctx, say }) => {
        const session = new (clearctx().StreamSession)({ name: 'solo' })
        session.start()
        setTimeout(() => (say('still here'), session.stop()), 150).unref()
      },
      ['still here'],
    ],
  ]) {
    test(what, async (t) => {
      const w = hostWorld(t)
      assert.deepEqual(await w.host(program).finished(), said)
    })
  }

  test('a live session keeps it alive until the session ends', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const mgr = manager()
      await mgr.spawn('a', { prompt: 'hello' })
      say(mgr.sessions.get('a').pid)
    })
    const pid = await host.said()
    const other = w.manager()
    assert.equal(other.status('a').status, 'ready')
    // Longer than the program would need to end.
    assert.equal((await other.spawn('b', { prompt: 'stand-in: slow 200 b' })).response.text, 'echo(2): b')
    assert.ok(!host.over)
    process.kill(pid, 'SIGTERM')
    await host.finished()
    assert.equal(other.status('a').lostAt, undefined)
  })
})

describe('a program that ends with live sessions', SEVERAL, () => {
  const owner = async ({ manager, say, heard }, way) => {
    const mgr = manager()
    await mgr.spawn('idle', { prompt: 'hello' })
    await mgr.spawn('busy', { prompt: 'hello' })
    await mgr.spawn('paused', { prompt: 'hello' })
    mgr.pause('paused')
    mgr.send('busy', 'stand-in: silent').catch(() => {})
    await new Promise((resolve) => mgr.sessions.get('busy').once('init', resolve))
    say([...mgr.sessions.values()].map(({ pid }) => pid))
    await heard()
    if (way === 'exit') process.exit(7)
    if (way === 'throw') setImmediate(() => { throw new Error('on purpose') }) // prettier-ignore
    if (way === 'listener') mgr.sessions.get('idle').on('result', () => process.exit(7))
    if (way === 'listener') mgr.send('idle', 'more')
  }

  for (const [what, way, code] of [
    ['process.exit()', 'exit', 7],
    ['process.exit() in a listener', 'listener', 7],
    ['an uncaught exception', 'throw', 1],
  ]) {
    test(`by ${what} leaves records that say stopped, and no process`, async (t) => {
      const w = hostWorld(t)
      const host = w.host(owner, way)
      const pids = await host.said()
      host.tell('end')
      assert.deepEqual(await host.closed, { code, signal: null })
      // The file itself, as clearctx 3 would read it.
      for (const { name, status, lostAt } of Object.values(w.readStore())) {
        assert.deepEqual([status, lostAt], ['stopped', undefined], name)
      }
      await gone(pids)
      const mgr = w.manager()
      assert.equal(mgr.list('stopped').length, 3)
      assert.equal(mgr.list()[0].lostAt, undefined)
      assert.match((await mgr.resume('paused', 'recall')).text, /^hello/)
      await mgr.spawn('busy')
    })
  }

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
    test(`by ${signal} leaves no idle process, and names that are free`, async (t) => {
      const w = hostWorld(t)
      const host = w.host(async ({ manager, say }) => {
        const mgr = manager()
        const results = await mgr.batch([{ name: 'a', prompt: 'hello' }, { name: 'b' }])
        say(results.map(({ session }) => session.pid))
      })
      const pids = await host.said()
      host.kill(signal)
      assert.deepEqual(await host.closed, { code: null, signal })
      await gone(pids)
      const mgr = w.manager()
      assert.equal(mgr.list('stopped').length, 2)
      await mgr.spawn('b')
    })
  }

  test('right after a spawn that was not awaited', async (t) => {
    const w = hostWorld(t)
    const host = w.host(({ manager, say }) => {
      const mgr = manager()
      mgr.spawn('a', { prompt: 'hello' })
      say(mgr.status('a').pid)
      process.exit()
    })
    const [pid] = await host.finished()
    assert.equal(w.readStore().a.status, 'stopped')
    await gone([pid])
  })

  test('whose workers have live sessions: the same', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ worker, say }) => {
        const pid = await new Promise((resolve) => worker('owner').once('message', resolve))
        say(pid)
        process.exit()
      },
      {
        workers: {
          owner: async ({ manager, say }) => {
            const mgr = manager()
            await mgr.spawn('a', { prompt: 'hello' })
            say(mgr.sessions.get('a').pid)
          },
        },
      },
    )
    const [pid] = await host.finished()
    assert.equal(w.readStore().a.status, 'stopped')
    await gone([pid])
  })

  test('leaves no process behind although a child of its own lives on', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const { spawn } = await import('node:child_process')
      const mgr = manager()
      await mgr.spawn('a', { prompt: 'hello' })
      const child = spawn('sleep', ['100'], { detached: true, stdio: 'ignore' })
      await mgr.spawn('b', { prompt: 'hello' })
      say({ child: child.pid, pids: [...mgr.sessions.values()].map(({ pid }) => pid) })
    })
    const { child, pids } = await host.said()
    host.kill('SIGKILL')
    await host.closed
    // The end of their input tells them, if no other process holds the pipe.
    try {
      await gone(pids)
      assert.ok(isAlive(child))
    } finally {
      process.kill(child, 'SIGKILL')
      await gone([child])
    }
  })

  test('after a Ctrl-C that it handles: the signal reaches the program alone, turns finish', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ manager, say }) => {
        const mgr = manager()
        await mgr.spawn('a')
        const answer = mgr.send('a', 'stand-in: slow 300 finished')
        await new Promise((resolve) => mgr.sessions.get('a').once('init', resolve))
        process.once('SIGINT', async () => {
          await mgr.close()
          say((await answer).text)
        })
        say('running')
      },
      { options: { detached: true } },
    )
    assert.equal(await host.said(), 'running')
    // As a terminal does: to the whole process group.
    process.kill(-host.pid, 'SIGINT')
    assert.deepEqual(await host.finished(), ['echo(2): finished'])
    assert.equal(w.readStore().a.interactions.length, 1)
  })

  test('tools of a turn that runs end with it', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say, heard }) => {
      const mgr = manager()
      await mgr.spawn('a', { allowedTools: ['Bash'] })
      const { text } = await mgr.send('a', 'stand-in: spawn-children 1')
      const used = new Promise((resolve) => mgr.sessions.get('a').once('tool_use', resolve))
      mgr.send('a', 'stand-in: tool Bash {"command":"sleep 100"}').catch(() => {})
      await used
      say([mgr.sessions.get('a').pid, ...JSON.parse(text)])
      await heard()
      process.exit()
    })
    const pids = await host.said()
    host.tell('end')
    await host.finished()
    await gone(pids)
  })
})
