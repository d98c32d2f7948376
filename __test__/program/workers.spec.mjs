/** Worker threads with sessions of their own: they work, end, and are terminated. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { gone, hostWorld } from '../support/hosts.mjs'

const SEVERAL = { concurrency: 2 }

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
