/** However a program ends: no process of its sessions lives on, neither the CLI nor what it has started. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { messagesIn, readLog } from '../support/events.mjs'
import { NO_KEEPER, hostWorld, keeperOf } from '../support/hosts.mjs'
import { descendants, isAlive, until } from '../support/sessions.mjs'

/** The promise is two seconds; more is waited for only because this machine may be busy. */
const PATIENCE_MS = 10_000

const SEVERAL = { concurrency: 2 }

/** Waits for the end of these processes and says how long it took. */
async function gone(t, pids) {
  const begun = performance.now()
  const left = () => pids.filter(isAlive).map((pid) => `${pid} ${commandOf(pid).replaceAll('\0', ' ')}`)
  await until(() => !pids.some(isAlive), 'the end of all', PATIENCE_MS).catch((error) => {
    throw new Error(`left behind:\n${left().join('\n')}`, { cause: error })
  })
  t.diagnostic(`${pids.length} processes were gone ${Math.round(performance.now() - begun)} ms after the end`)
}

/**
 * A program with a session in each of several states, each with processes in sessions of their own: with a parent, without
 * one, and without their environment. It says when all is there, waits for a word, and ends as `way` says.
 */
const owner = async ({ manager, say, heard }, way) => {
  if (way === 'handled SIGTERM') process.on('SIGTERM', () => process.exit(0))
  const mgr = manager({ defaultTimeout: 30_000 })
  const turns = {
    idle: null,
    stubborn: 'stand-in: ignore-signals; silent',
    busy: 'stand-in: silent',
    background: 'stand-in: background 60000; text started',
    tool: 'stand-in: tool Bash {"command":"sleep 101 & env -i sleep 102 & env -i setsid sleep 103 & wait"}',
  }
  const begun = Object.entries(turns).map(async ([name, turn]) => {
    await mgr.spawn(name, { prompt: 'stand-in: spawn-children 1', allowedTools: ['Bash'] })
    await mgr.send(name, 'stand-in: spawn-orphans 1')
    if (turn !== null) mgr.send(name, turn).catch(() => {})
  })
  await Promise.all(begun)
  say([...mgr.sessions.values()].map(({ pid }) => pid))
  await heard()
  if (way === 'exit') process.exit(0)
  if (way === 'abort') process.abort()
  if (way === 'throw') setImmediate(() => { throw new Error('on purpose') }) // prettier-ignore
  if (way === 'reject') Promise.reject(new Error('on purpose'))
  if (way === 'stop and exit') {
    mgr.stopAll()
    process.exit(0)
  }
}

/** Starts that program and waits until all of it is there: resolves with its CLIs, and with them all. */
async function startOwner(w, way, options = {}) {
  const log = join(w.dir, 'owner.log')
  const host = w.start(owner, { args: [way], env: { ...standInEnv({ log }), ...options.env }, options })
  const clis = await host.said()
  const sent = () => messagesIn(readLog(log)).filter((message) => !/spawn-/.test(message)).length
  await until(() => sent() === 4, 'all turns run')
  const tool = (pids) => pids.filter((pid) => /^sleep\0?10[123]/.test(commandOf(pid)))
  await until(() => tool(descendants(host.pid)).length === 3, 'the tool has started its processes')
  const pids = [...new Set([...descendants(host.pid), ...w.processes()])].filter((pid) => pid !== host.pid)
  // A CLI, a child and an orphan for each of five sessions; three processes of the tool and its shell.
  assert.ok(pids.length >= 5 * 3 + 4, `${pids.length} processes`)
  return { host, clis, pids, keeper: keeperOf(host.pid) }
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

describe('nothing is left of a program that ends', SEVERAL, () => {
  for (const [what, way, end, code] of [
    ['by process.exit()', 'exit', null, 0],
    ['by process.exit() right after stopAll()', 'stop and exit', null, 0],
    ['of an uncaught exception', 'throw', null, 1],
    ['of an unhandled rejection', 'reject', null, 1],
    ['by process.abort()', 'abort', null, 'SIGABRT'],
    ['by SIGTERM', '', 'SIGTERM', 'SIGTERM'],
    ['by SIGTERM that it handles by process.exit()', 'handled SIGTERM', 'SIGTERM', 0],
    ['by SIGINT', '', 'SIGINT', 'SIGINT'],
    ['by SIGHUP', '', 'SIGHUP', 'SIGHUP'],
    ['by SIGKILL', '', 'SIGKILL', 'SIGKILL'],
  ]) {
    test(what, async (t) => {
      const w = hostWorld(t)
      const { host, pids, keeper } = await startOwner(w, way)
      if (end === null) host.tell('end')
      else host.kill(end)
      const closed = await host.closed
      assert.deepEqual(closed, typeof code === 'number' ? { code, signal: null } : { code: null, signal: code })
      await gone(t, pids)
      await until(() => !isAlive(keeper), 'the keeper ends, too')
      // A program that could not say so has left records of which nobody is the owner any more.
      for (const { name, status, lostAt } of w.manager().list()) {
        assert.equal(status, 'stopped', name)
        assert.equal(lostAt === undefined, typeof code === 'number', name)
      }
    })
  }

  test('by signals to its whole process group, as a terminal sends them', async (t) => {
    const w = hostWorld(t)
    const { host, pids } = await startOwner(w, '', { detached: true })
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGKILL']) process.kill(-host.pid, signal)
    await host.closed
    await gone(t, pids)
  })

  test('by the end of it and all its descendants, as some tools kill a tree', async (t) => {
    const w = hostWorld(t)
    const { host, pids, keeper } = await startOwner(w, '')
    const tree = descendants(host.pid)
    assert.ok(!tree.includes(keeper))
    for (const pid of [host.pid, ...tree]) process.kill(pid, 'SIGKILL')
    await host.closed
    await gone(t, pids)
  })

  test('right after its first spawn', async (t) => {
    const w = hostWorld(t)
    const host = w.host(({ manager, say }) => {
      manager()
        .spawn('a', { prompt: 'stand-in: spawn-children 2; silent' })
        .catch(() => {})
      say('spawned')
      process.kill(process.pid, 'SIGKILL')
    })
    await host.closed
    await until(() => w.processes().length === 0, 'the end of what it started', PATIENCE_MS)
  })

  test('with 50 sessions', async (t) => {
    const w = hostWorld(t)
    const host = w.host(async ({ manager, say, heard }) => {
      const mgr = manager()
      const names = Array.from({ length: 50 }, (_, at) => `s${at}`)
      await mgr.batch(names.map((name) => ({ name, prompt: 'stand-in: spawn-children 1' })))
      for (const name of names.slice(25)) mgr.send(name, 'stand-in: silent').catch(() => {})
      say([...mgr.sessions.values()].map(({ pid }) => pid))
      await heard()
    })
    assert.equal((await host.said()).length, 50)
    const pids = descendants(host.pid)
    assert.equal(pids.length, 100)
    host.kill('SIGKILL')
    await host.closed
    await gone(t, pids)
  })

  test('while it forks', async (t) => {
    const w = hostWorld(t)
    const log = join(w.dir, 'fork.log')
    const message = 'stand-in: silent'
    const host = w.start(
      async ({ manager, say }, given) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'hello' })
        mgr.fork('a', 'b', { message: given }).catch(() => {})
        say('forking')
      },
      { args: [message], env: standInEnv({ log }) },
    )
    await host.said()
    await until(() => descendants(host.pid).length === 2, 'the fork runs')
    const pids = descendants(host.pid)
    host.kill('SIGKILL')
    await host.closed
    await gone(t, pids)
  })
})

test('a CLI that works is asked to leave before it is killed, once; an idle one leaves by itself', async (t) => {
  for (const end of ['SIGKILL', 'exit']) {
    const w = hostWorld(t)
    const log = join(w.dir, 'signals.log')
    const host = w.start(
      async ({ manager, say, heard }) => {
        const mgr = manager()
        await mgr.spawn('idle', { prompt: 'hello' })
        await mgr.spawn('busy', { prompt: 'hello' })
        mgr.send('busy', 'stand-in: silent').catch(() => {})
        say([...mgr.sessions.values()].map(({ pid }) => pid))
        await heard()
        process.exit()
      },
      { env: standInEnv({ log }) },
    )
    const [idle, busy] = await host.said()
    await until(() => messagesIn(readLog(log)).includes('stand-in: silent'), 'the turn runs')
    if (end === 'exit') host.tell('end')
    else host.kill(end)
    await host.closed
    await gone(t, [idle, busy])
    const events = (pid) => readLog(log).filter((entry) => entry.pid === pid && /signal|exit/.test(entry.event))
    assert.deepEqual(
      events(idle).map(({ signal, code }) => signal ?? code),
      [0],
    )
    assert.deepEqual(
      events(busy).map(({ signal, code }) => signal ?? code),
      ['SIGINT', 0],
    )
  }
})

test('a worker that is terminated: what its sessions run ends soon, their records say stopped', async (t) => {
  const w = hostWorld(t)
  const host = w.start(
    async ({ worker, say, heard }) => {
      const thread = worker('owner')
      say(await new Promise((resolve) => thread.once('message', resolve)))
      await heard()
      await thread.terminate()
      say('terminated')
      await heard()
    },
    {
      workers: {
        owner: async ({ manager, say }) => {
          // Longer than anybody would wait: they are for sessions that somebody still owns.
          const mgr = manager({ stopTimeout: 60_000, killTimeout: 60_000 })
          await mgr.spawn('stubborn', { prompt: 'stand-in: spawn-children 1' })
          await mgr.spawn('background', { prompt: 'stand-in: background 60000; text started' })
          await mgr.spawn('stopped', { prompt: 'stand-in: spawn-children 1' })
          const turn = new Promise((resolve) => mgr.sessions.get('stubborn').once('init', resolve))
          mgr.send('stubborn', 'stand-in: ignore-signals; silent').catch(() => {})
          await turn
          mgr.send('stopped', 'stand-in: silent').catch(() => {})
          mgr.stop('stopped')
          say('there')
          setInterval(() => {}, 1000)
        },
      },
    },
  )
  assert.equal(await host.said(), 'there')
  const pids = descendants(host.pid)
  assert.ok(pids.length >= 5)
  host.tell('terminate')
  assert.equal(await host.said(), 'terminated')
  await gone(t, pids)
  for (const { name, status } of Object.values(w.readStore())) assert.equal(status, 'stopped', name)
  host.tell('end')
  await host.finished()
})

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
