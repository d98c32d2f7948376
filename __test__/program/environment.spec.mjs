/** The environment, the working directory and the own children of a program with sessions. */

import assert from 'node:assert/strict'
import * as processes from 'node:child_process'
import { readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { describe, test } from 'node:test'

import { hostWorld } from '../support/hosts.mjs'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

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
