/** The program around the sessions: workers, its end, its environment, its own children, its mistakes. */

import assert from 'node:assert/strict'
import * as processes from 'node:child_process'
import { readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { describe, test } from 'node:test'

import { block } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { isAlive, until, world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

const gone = (pids) => until(() => !pids.some(isAlive), `the processes ${pids} end`, 10_000)

describe('worker threads', SEVERAL, () => {
  test('have managers of their own, beside the main program’s, on one directory', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ manager, worker, say }) => {
        const ends = ['one', 'two'].map((name) => {
          const thread = worker('talker', name)
          const messages = []
          thread.on('message', (message) => messages.push(message))
          return new Promise((resolve) => thread.once('exit', (code) => resolve({ code, messages })))
        })
        const mgr = manager()
        await mgr.spawn('main', { prompt: 'hello' })
        say(await Promise.all(ends))
        say((await mgr.send('main', 'again')).text)
        await mgr.close()
      },
      {
        workers: {
          talker: async ({ manager, say }, name) => {
            const mgr = manager()
            const texts = []
            const { session } = await mgr.spawn(name)
            mgr.sessions.get(name).on('text', (text) => texts.push(text))
            say([
              session.status,
              (await mgr.send(name, 'hello')).text,
              (await mgr.send(name, 'stand-in: stream 2 x')).text,
            ])
            say(texts)
            await mgr.close()
          },
        },
      },
    )
    const messages = [
      ['ready', 'echo(2): hello', 'x 2'],
      ['echo(2): hello', 'x 1', 'x 2'],
    ]
    assert.deepEqual(await host.said(), [
      { code: 0, messages },
      { code: 0, messages },
    ])
    assert.deepEqual(await host.finished(), ['echo(4): again'])
    const records = Object.values(w.readStore())
    assert.deepEqual(records.map(({ name, status }) => `${name} ${status}`).toSorted(), [
      'main stopped',
      'one stopped',
      'two stopped',
    ])
  })

  for (const [what, end] of [
    ['calls process.exit()', 'exit'],
    ['is terminated', 'terminate'],
    ['dies of an uncaught exception', 'throw'],
  ]) {
    test(`one that ${what} with live sessions: their processes end, their records say stopped`, async (t) => {
      const w = hostWorld(t)
      const host = w.start(
        async ({ manager, worker, say, heard }, way) => {
          const thread = worker('owner', way)
          thread.on('error', () => {})
          const pids = await new Promise((resolve) => thread.once('message', resolve))
          if (way === 'terminate') await thread.terminate()
          else await new Promise((resolve) => thread.once('exit', resolve))
          say(pids)
          await heard()
          const mgr = manager()
          say(mgr.list().map(({ name, status, lostAt }) => ({ name, status, lostAt })))
          say((await mgr.resume('idle', 'more')).text)
          say((await mgr.spawn('busy', { prompt: 'anew' })).response.text)
          await mgr.close()
        },
        {
          args: [end],
          workers: {
            owner: async ({ manager, say }, way) => {
              const mgr = manager({ stopTimeout: 300, killTimeout: 300 })
              await mgr.spawn('idle', { prompt: 'hello' })
              await mgr.spawn('busy')
              mgr.send('busy', 'stand-in: silent', 1000).catch(() => {})
              await new Promise((resolve) => mgr.sessions.get('busy').once('init', resolve))
              say([...mgr.sessions.values()].map(({ pid }) => pid))
              if (way === 'exit') process.exit()
              if (way === 'throw') throw new Error('on purpose')
              await new Promise(() => {})
            },
          },
        },
      )
      const pids = await host.said()
      assert.equal(pids.length, 2)
      await gone(pids)
      host.tell('go on')
      assert.deepEqual(await host.said(), [
        { name: 'idle', status: 'stopped' },
        { name: 'busy', status: 'stopped' },
      ])
      assert.equal(await host.said(), 'echo(4): more')
      assert.equal(await host.said(), 'echo(2): anew')
      await host.finished()
    })
  }

  test('the addon may be loaded only in one that ends; the main program goes on and may load it later', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ manager, worker, say }) => {
        const { execFileSync } = await import('node:child_process')
        const thread = worker('short')
        say(await new Promise((resolve) => thread.once('message', resolve)))
        say(await new Promise((resolve) => thread.once('exit', resolve)))
        await new Promise((resolve) => setTimeout(resolve, 20))
        say(execFileSync(process.execPath, ['-p', '1 + 1']).toString().trim())
        const mgr = manager()
        say((await mgr.spawn('main', { prompt: 'hello' })).response.text)
        await mgr.close()
      },
      {
        workers: {
          short: async ({ manager, say }) => {
            const mgr = manager()
            say((await mgr.spawn('short', { prompt: 'hello' })).response.text)
            await mgr.close()
          },
        },
      },
    )
    assert.deepEqual(await host.finished(), ['echo(2): hello', 0, '2', 'echo(2): hello'])
  })

  test('the addon may be loaded only in one that is terminated with a live session', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ worker, say }) => {
        const thread = worker('short')
        say(await new Promise((resolve) => thread.once('message', resolve)))
        await thread.terminate()
        say('terminated')
      },
      {
        workers: {
          short: async ({ manager, say }) => {
            const mgr = manager()
            await mgr.spawn('short', { prompt: 'hello' })
            say(mgr.sessions.get('short').pid)
          },
        },
      },
    )
    const [pid, word] = await host.finished()
    assert.equal(word, 'terminated')
    await gone([pid])
    assert.equal(w.readStore().short.status, 'stopped')
  })

  test('many that come and go, some in the middle of a flood of events, crash nothing', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ worker, say }) => {
        const pids = []
        for (let round = 0; round < 4; round += 1) {
          const threads = [0, 1].map((number) => worker('flood', `${round}-${number}`))
          await Promise.all(
            threads.map(async (thread) => {
              pids.push(await new Promise((resolve) => thread.once('message', resolve)))
              await thread.terminate()
            }),
          )
        }
        say(pids)
      },
      {
        workers: {
          flood: async ({ manager, say }, name) => {
            const mgr = manager({ stopTimeout: 100, killTimeout: 100 })
            await mgr.spawn(name)
            const session = mgr.sessions.get(name)
            let count = 0
            session.on('message', () => (count += 1) === 100 && say(session.pid))
            await session.send('stand-in: stream 20000', 500).catch(() => {})
          },
        },
      },
    )
    const [pids] = await host.finished()
    assert.equal(pids.length, 8)
    await gone(pids)
  })

  test('have an environment of their own, which their sessions get', async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ manager, worker, say }) => {
        process.env.CLEARCTX_TEST_PLACE = 'main'
        const thread = worker('other')
        say(await new Promise((resolve) => thread.once('message', resolve)))
        const mgr = manager()
        say((await mgr.spawn('main', { prompt: 'stand-in: env CLEARCTX_TEST_PLACE' })).response.text)
        await mgr.close()
      },
      {
        workers: {
          other: async ({ manager, say }) => {
            process.env.CLEARCTX_TEST_PLACE = 'worker'
            const mgr = manager()
            say((await mgr.spawn('worker', { prompt: 'stand-in: env CLEARCTX_TEST_PLACE' })).response.text)
            await mgr.close()
          },
        },
      },
    )
    assert.deepEqual(await host.finished(), ['{"CLEARCTX_TEST_PLACE":"worker"}', '{"CLEARCTX_TEST_PLACE":"main"}'])
  })
})

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

describe('process.env and process.cwd()', SEVERAL, () => {
  test('are read at each call, and a process keeps what it got', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const question = 'stand-in: env CLEARCTX_TEST_A CLEARCTX_TEST_B'
      const mgr = manager()
      process.env.CLEARCTX_TEST_A = 'one'
      say((await mgr.spawn('a', { prompt: question })).response.text)
      process.env.CLEARCTX_TEST_A = 'two ü 🙂'
      process.env.CLEARCTX_TEST_B = ''
      say((await mgr.spawn('b', { prompt: question })).response.text)
      delete process.env.CLEARCTX_TEST_A
      say((await mgr.fork('a', 'c', { message: question })).response.text)
      say((await mgr.send('a', question)).text)
      mgr.stop('a')
      say((await mgr.resume('a', question)).text)
      await mgr.close()
    })
    assert.deepEqual(
      (await host.finished()).map((text) => Object.values(JSON.parse(text))),
      [
        ['one', null],
        ['two ü 🙂', ''],
        [null, ''],
        ['one', null],
        [null, ''],
      ],
    )
  })

  test('CLEARCTX_CLAUDE_PATH and PATH are looked up at each start', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const fs = await import('node:fs')
      const mgr = manager()
      const standIn = process.env.CLEARCTX_CLAUDE_PATH
      process.env.CLEARCTX_CLAUDE_PATH = '/no/such/claude'
      await mgr.spawn('a').catch(({ code, message }) => say([code, message.includes('/no/such/claude')]))
      delete process.env.CLEARCTX_CLAUDE_PATH
      const path = process.env.PATH
      process.env.PATH = '/no/such/bin'
      await mgr.spawn('a').catch(({ code, message }) => say([code, message.includes('claude')]))
      const bin = `${mgr.store.dataDir}/bin`
      fs.mkdirSync(bin)
      fs.symlinkSync(standIn, `${bin}/claude`)
      process.env.PATH = `${bin}:${path}`
      say((await mgr.spawn('a', { prompt: 'hello' })).response.text)
      await mgr.close()
    })
    assert.deepEqual(await host.finished(), [
      ['ERR_CLI_NOT_FOUND', true],
      ['ERR_CLI_NOT_FOUND', true],
      'echo(2): hello',
    ])
  })

  test('a relative claudePath is one of the program’s directory, wherever the session works', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const fs = await import('node:fs')
      const mgr = manager({ claudePath: './bin/my-claude' })
      const home = fs.realpathSync(mgr.store.dataDir)
      fs.mkdirSync(`${home}/bin`)
      fs.mkdirSync(`${home}/work`)
      fs.symlinkSync(process.env.CLEARCTX_CLAUDE_PATH, `${home}/bin/my-claude`)
      process.chdir(home)
      say((await mgr.spawn('a', { workDir: 'work', prompt: 'stand-in: cwd' })).response.text === `${home}/work`)
      say((await mgr.fork('a', 'b', { message: 'stand-in: cwd' })).response.text === `${home}/work`)
      await mgr.close()
    })
    assert.deepEqual(await host.finished(), [true, true])
  })

  test('marks of an outer Claude Code and ANTHROPIC_LOG are not passed on, unless env sets them', async (t) => {
    const w = hostWorld(t)
    const names = ['CLAUDECODE', 'CLAUDE_CODE_SESSION_ID', 'CLAUDE_CODE_CHILD_SESSION', 'ANTHROPIC_LOG']
    const host = w.host(async ({ manager, say }, variables) => {
      for (const name of variables) process.env[name] = 'outer'
      const prompt = `stand-in: env ${variables.join(' ')}`
      const mgr = manager()
      say((await mgr.spawn('a', { prompt })).response.text)
      say((await mgr.fork('a', 'b', { message: prompt })).response.text)
      await mgr.close()
      const own = manager({ env: Object.fromEntries(variables.map((name) => [name, 'mine'])) })
      say((await own.spawn('c', { prompt })).response.text)
      await own.close()
    }, names)
    const values = (await host.finished()).map((text) => Object.values(JSON.parse(text)))
    assert.deepEqual(values, [Array(4).fill(null), Array(4).fill(null), Array(4).fill('mine')])
  })

  test('a directory that was given relatively stays the same one after chdir', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, say }, dir) => {
      const fs = await import('node:fs')
      fs.mkdirSync(`${dir}/one/sub`, { recursive: true })
      fs.mkdirSync(`${dir}/two`)
      process.chdir(`${dir}/one`)
      const mgr = new (clearctx().SessionManager)({ dataDir: 'records' })
      say((await mgr.spawn('here', { prompt: 'stand-in: cwd' })).response.text)
      say((await mgr.spawn('sub', { workDir: 'sub', prompt: 'stand-in: cwd' })).response.text)
      process.chdir(`${dir}/two`)
      say((await mgr.spawn('two', { prompt: 'stand-in: cwd' })).response.text)
      say((await mgr.fork('sub', 'branch', { message: 'stand-in: cwd' })).response.text)
      mgr.stop('sub')
      say((await mgr.resume('sub', 'stand-in: cwd')).text)
      say(Object.keys(mgr.store.loadAll()))
      await mgr.close()
      say([fs.existsSync(`${dir}/one/records/sessions.json`), fs.existsSync(`${dir}/two/records`)])
    }, realpathSync(w.dir))
    const dir = realpathSync(w.dir)
    assert.deepEqual(await host.finished(), [
      `${dir}/one`,
      `${dir}/one/sub`,
      `${dir}/two`,
      `${dir}/one/sub`,
      `${dir}/one/sub`,
      ['here', 'sub', 'two', 'branch'],
      [true, false],
    ])
  })
})

describe('the program’s own children', SEVERAL, () => {
  test('tell of their ends before, during and after sessions, and the sessions of theirs', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const { spawn, spawnSync, execFile } = await import('node:child_process')
      const exitOf = (code) =>
        new Promise((resolve) => spawn('/bin/sh', ['-c', `exit ${code}`]).once('close', (...end) => resolve(end)))
      say(await Promise.all([1, 2, 3].map(exitOf)))
      const mgr = manager()
      await mgr.spawn('a', { prompt: 'hello' })
      await mgr.spawn('b', { prompt: 'hello' })
      const ends = []
      for (const name of ['a', 'b']) mgr.sessions.get(name).on('close', (...end) => ends.push([name, ...end]))
      say(await Promise.all([4, 5, 6].map(exitOf)))
      say(spawnSync('/bin/sh', ['-c', 'exit 7']).status)
      const during = [8, 9, 10, 11, 12].map(exitOf)
      mgr.kill('a')
      const shell = spawn('/bin/sh', ['-c', 'exec sleep 100'])
      const killed = new Promise((resolve) => shell.once('close', (...end) => resolve(end)))
      mgr.stop('b')
      shell.kill('SIGTERM')
      say(await Promise.all([...during, killed]))
      await mgr.close()
      say(ends.toSorted())
      say(await new Promise((resolve) => execFile('/bin/echo', ['fine'], (error, out) => resolve([error, out]))))
      say(await exitOf(13))
    })
    const exits = (...codes) => codes.map((code) => [code, null])
    assert.deepEqual(await host.finished(), [
      exits(1, 2, 3),
      exits(4, 5, 6),
      7,
      [...exits(8, 9, 10, 11, 12), [null, 'SIGTERM']],
      [
        ['a', null, 'SIGKILL'],
        ['b', 0, null],
      ],
      [null, 'fine\n'],
      [13, null],
    ])
  })

  test('do not inherit the pipes of sessions, and sessions not those of each other', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    const inherited = () => processes.execFileSync('/bin/sh', ['-c', 'ls /proc/$$/fd']).toString()
    const before = inherited()
    const results = await mgr.batch(['a', 'b', 'c'].map((name) => ({ name, prompt: 'hello' })))
    assert.equal(inherited(), before)
    const linksOf = (pid, descriptors) =>
      descriptors.flatMap((descriptor) => {
        try {
          return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)]
        } catch {
          return []
        }
      })
    const pids = results.map(({ session }) => session.pid)
    for (const pid of pids) {
      const own = linksOf(pid, ['0', '1', '2'])
      assert.equal(own.length, 3)
      for (const other of pids.filter((each) => each !== pid)) {
        const theirs = new Set(linksOf(other, readdirSync(`/proc/${other}/fd`)))
        assert.deepEqual(
          own.filter((link) => theirs.has(link)),
          [],
        )
      }
    }
  })

  test('may use up all file descriptors: spawn fails with a code and works again later', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const fs = await import('node:fs')
      const mgr = manager()
      await mgr.spawn('a', { prompt: 'hello' })
      const open = []
      try {
        for (;;) open.push(fs.openSync('/dev/null'))
      } catch ({ code }) {
        say(code)
      }
      await mgr.spawn('b', { prompt: 'hello' }).catch(({ code }) => say(code))
      say(mgr.sessions.has('b'))
      for (const descriptor of open) fs.closeSync(descriptor)
      say((await mgr.spawn('b', { prompt: 'hello' })).response.text)
      say((await mgr.send('a', 'again')).text)
      await mgr.close()
    })
    if (processes.spawnSync('prlimit', ['--pid', String(host.pid), '--nofile=256:256']).status !== 0)
      t.skip('prlimit is missing')
    const [limit, code, live, ...answers] = await host.finished()
    assert.equal(limit, 'EMFILE')
    assert.ok(['ERR_START_FAILED', 'ERR_STORE', 'ERR_CLI_NOT_FOUND', 'ERR_WORKDIR'].includes(code), code)
    assert.equal(live, false)
    assert.deepEqual(answers, ['echo(2): hello', 'echo(4): again'])
  })
})

describe('a listener that throws', SEVERAL, () => {
  test('is an uncaught exception; later events and promises come all the same, in order', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const order = []
      process.on('uncaughtException', ({ message }) => order.push(`caught ${message}`))
      const mgr = manager()
      await mgr.spawn('a', { allowedTools: ['Bash'] })
      const session = mgr.sessions.get('a')
      for (const event of ['init', 'tool_use', 'tool_result', 'text', 'result', 'close']) {
        session.on(event, () => {
          order.push(event)
          throw new Error(event)
        })
      }
      const answer = await mgr.send('a', 'stand-in: tool Bash {"command":"echo hi"}; text done')
      order.push(`answered ${answer.text}`)
      say(order.splice(0))
      say([session.status, session.interactions.length, mgr.store.get('a').interactions.length])
      mgr.stop('a')
      await session.closed
      say(order)
      say([mgr.sessions.size, mgr.store.get('a').status])
    })
    const [turn, state, end, after] = await host.finished()
    assert.deepEqual(
      turn.filter((entry) => !entry.startsWith('caught ')),
      ['init', 'tool_use', 'tool_result', 'text', 'result', 'answered done'],
    )
    assert.deepEqual(
      turn.filter((entry) => entry.startsWith('caught ')),
      ['init', 'tool_use', 'tool_result', 'text', 'result'].map((event) => `caught ${event}`),
    )
    assert.deepEqual(state, ['ready', 1, 1])
    assert.deepEqual(end, ['close', 'caught close'])
    assert.deepEqual(after, [0, 'stopped'])
  })

  test('of error, stderr, message or status costs no turn, no end, no record', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const caught = []
      process.on('uncaughtException', ({ message }) => caught.push(message))
      const mgr = manager()
      await mgr.spawn('a')
      const session = mgr.sessions.get('a')
      await mgr.send('a', 'warm')
      for (const event of ['error', 'stderr', 'message']) {
        session.on(event, () => {
          throw new Error(event)
        })
      }
      say((await mgr.send('a', 'stand-in: stderr 0.001; text one')).text)
      await mgr.send('a', 'stand-in: exit 3').catch(({ code }) => say(code))
      say(await session.closed)
      say([mgr.sessions.size, mgr.store.get('a').status, mgr.store.get('a').interactions.length])
      say(['error', 'stderr', 'message'].map((event) => caught.includes(event)))
      say((await mgr.resume('a', 'stand-in: text more')).text)
      await mgr.close()
    })
    assert.deepEqual(await host.finished(), [
      'one',
      'ERR_PROCESS_EXITED',
      { code: 3, signal: null },
      [0, 'failed', 2],
      [true, true, true],
      'more',
    ])
  })

  test('of status, during a call, neither loses the message nor the session', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, say }) => {
      const caught = []
      process.on('uncaughtException', ({ message }) => caught.push(message))
      const session = new (clearctx().StreamSession)({ name: 'solo' })
      session.on('status', (status) => {
        throw new Error(status)
      })
      const attempt = (call) => {
        try {
          return call()
        } catch ({ message }) {
          caught.push(message)
        }
      }
      attempt(() => session.start())
      say(session.status)
      const answer = attempt(() => session.send('hello'))
      say(
        await answer.then(
          ({ text }) => text,
          ({ message }) => `lost: ${message}`,
        ),
      )
      attempt(() => session.pause())
      say(session.status)
      attempt(() => session.resume())
      say(session.status)
      attempt(() => session.stop())
      say(await session.closed)
      say(caught)
    })
    assert.deepEqual(await host.finished(), [
      'ready',
      'echo(2): hello',
      'paused',
      'ready',
      { code: 0, signal: null },
      ['ready', 'busy', 'ready', 'paused', 'ready', 'stopped'],
    ])
  })

  test('of status, during a spawn, leaves a session or nothing, but no process that nobody knows', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, dataDir, say }) => {
      process.on('uncaughtException', () => {})
      let made
      class Mine extends clearctx().SessionManager {
        _wireEvents(session) {
          super._wireEvents(session)
          made = session
          session.on('status', () => {
            throw new Error('mine')
          })
        }
      }
      const mgr = new Mine({ dataDir })
      const outcome = await mgr.spawn('a', { prompt: 'hello' }).then(
        () => 'spawned',
        ({ message }) => message,
      )
      if (mgr.sessions.has('a')) await mgr.close()
      else say(await made.closed)
      say([outcome, made.pid, mgr.sessions.size])
    })
    const said = await host.finished()
    const [outcome, pid, live] = said.at(-1)
    assert.ok(['spawned', 'mine'].includes(outcome), outcome)
    assert.equal(live, 0)
    await gone([pid])
  })

  test('or a history that cannot be extended: that costs no answer either', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ clearctx, say }) => {
      process.on('uncaughtException', () => {})
      const session = new (clearctx().StreamSession)({ name: 'solo' })
      session.start()
      session.interactions = Object.freeze([])
      const late = new Promise((resolve) => setTimeout(resolve, 3000, { text: 'never' }).unref())
      say((await Promise.race([session.send('hello'), late])).text)
      say(session.status)
      session.interactions = []
      say((await Promise.race([session.send('more'), late])).text)
      session.kill()
    })
    assert.deepEqual(await host.finished(), ['echo(2): hello', 'ready', 'echo(4): more'])
  })

  test('in _wireEvents makes the spawn reject, and nothing was started', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    let made
    mgr._wireEvents = (session) => {
      made = session
      throw new Error('mine')
    }
    await assert.rejects(mgr.spawn('a', { prompt: 'hello' }), { message: 'mine' })
    assert.equal(made.pid, null)
    assert.equal(mgr.sessions.size, 0)
    assert.deepEqual(mgr.list(), [])
    delete mgr._wireEvents
    assert.equal((await mgr.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
  })

  test('ends the program if nobody catches it, and the records say stopped', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say }) => {
      const mgr = manager()
      await mgr.spawn('a')
      say(mgr.sessions.get('a').pid)
      mgr.sessions.get('a').on('text', () => {
        throw new Error('on purpose')
      })
      await mgr.send('a', 'hello')
    })
    const pid = await host.said()
    assert.deepEqual(await host.closed, { code: 1, signal: null })
    assert.match(host.stderr, /on purpose/)
    assert.equal(w.readStore().a.status, 'stopped')
    await gone([pid])
  })
})

describe('a blocked event loop', SEVERAL, () => {
  test('loses no event and no answer; what waits is sent on in the meantime', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    const names = ['a', 'b', 'c']
    await mgr.batch(names.map((name) => ({ name, prompt: 'warm' })))
    const texts = Object.fromEntries(names.map((name) => [name, []]))
    const answers = []
    for (const name of names) {
      mgr.sessions.get(name).on('text', (text) => texts[name].push(text))
      for (const round of [1, 2, 3]) answers.push(mgr.send(name, `stand-in: stream 50 ${name}${round}`))
    }
    const before = Date.now()
    block(1000)
    assert.ok(names.every((name) => texts[name].length === 0 && mgr.history(name).length === 1))
    for (const answer of answers) await answer
    for (const name of names) {
      const expected = [1, 2, 3].flatMap((round) =>
        Array.from({ length: 50 }, (_, line) => `${name}${round} ${line + 1}`),
      )
      assert.deepEqual(texts[name], expected)
      // All of it happened while this thread stood still.
      const last = mgr.history(name).at(-1)
      assert.ok(Date.parse(last.timestamp) < before + 1000, last.timestamp)
      assert.equal(w.readStore()[name].interactions.length, 4)
    }
  })

  test('makes no timeout of an answer that came in time', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'warm' })
    const quick = mgr.send('a', 'stand-in: text in time', 300)
    const slow = assert.rejects(mgr.send('a', 'stand-in: slow 400 too late', 200), {
      code: 'ERR_TURN_TIMEOUT',
      sent: true,
    })
    block(700)
    assert.equal((await quick).text, 'in time')
    await slow
    assert.deepEqual(
      mgr.history('a').map(({ response, late }) => [response, late]),
      [
        ['echo(2): warm', undefined],
        ['in time', undefined],
        ['echo(6): too late', true],
      ].slice(0, mgr.history('a').length),
    )
  })

  test('stops a flood at a bound, and then takes it all in order', async (t) => {
    const w = world(t)
    const session = w.session()
    const numbers = []
    session.on('message', ({ type, message }) => {
      if (type === 'assistant') numbers.push(Number(message.content[0].text.split(' ').at(-1)))
    })
    session.start()
    const answer = session.send('stand-in: stream 30000 line number')
    block(1000)
    assert.equal((await answer).text, 'line number 30000')
    assert.equal(numbers.length, 30_000)
    assert.ok(numbers.every((number, index) => number === index + 1))
  })

  test('sees an end that happened meanwhile', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a', { prompt: 'warm' })
    const session = mgr.sessions.get('a')
    const answer = assert.rejects(mgr.send('a', 'stand-in: exit 5'), { code: 'ERR_PROCESS_EXITED', exitCode: 5 })
    block(400)
    assert.ok(!isAlive(session.pid))
    assert.equal(session.status, 'busy')
    assert.ok(mgr.sessions.has('a'))
    assert.equal(mgr.status('a').status, 'busy')
    await answer
    await session.closed
    assert.equal(mgr.status('a').status, 'failed')
    assert.ok(!mgr.sessions.has('a'))
  })

  test('is not blocked by us: what has piled up is handed on in slices', async (t) => {
    const w = world(t)
    const session = w.session()
    session.start()
    await session.send('warm')
    let turns = 0
    let before
    const tick = () => {
      turns += 1
      if (session.status === 'busy') setImmediate(tick)
    }
    // As slow as a listener that does something: more is there at any time than is handed on.
    session.on('text', () => {
      before ??= turns
      const end = performance.now() + 0.1
      while (performance.now() < end);
    })
    const answer = session.send('stand-in: stream 3000 some words to make a line')
    setImmediate(tick)
    block(1000)
    await answer
    assert.ok(turns - before >= 30, `${turns - before} turns of the event loop during 3000 events`)
  })
})

test('a turn during which nobody holds a reference to the session is answered', async (t) => {
  const w = hostWorld(t)
  const host = w.start(
    async ({ manager, say }) => {
      await (async () => {
        const mgr = manager()
        await mgr.spawn('a')
        mgr.sessions.get('a').on('result', ({ text }) => (say(text), mgr.stop('a')))
        void mgr.send('a', 'stand-in: slow 100 kept')
      })()
      for (let round = 0; round < 5; round += 1) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      say('collected')
    },
    { env: { NODE_OPTIONS: '--expose-gc' } },
  )
  assert.deepEqual(await host.finished(), ['collected', 'echo(2): kept'])
})
