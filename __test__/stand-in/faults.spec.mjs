/** The stand-in CLI, run directly: its ends, its faults, its log, and what it replays. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, describe, test } from 'node:test'

import { standInEnv, standInPath } from '../../testing/index.js'
import { until } from '../support/sessions.mjs'
import { Client, STREAMING, isAlive, makeHome, takeLeftovers } from '../support/stand-in-client.mjs'
import { OLDER, askOnce, isToolUse } from '../support/stand-ins.mjs'

const CONCURRENT = { concurrency: 3 }

// They look into /proc.
const ON_LINUX = { skip: process.platform !== 'linux' }

const TRANSCRIPTS = new URL('../fixtures/transcripts/', import.meta.url).pathname

after(() => assert.deepEqual(takeLeftovers(), [], 'every process has ended'))

describe('ends', CONCURRENT, () => {
  test('SIGINT: aborted result, exit 0; SIGTERM: no result, exit 143', async (t) => {
    const cli = new Client(makeHome(t), [...STREAMING, '--allowedTools', 'Bash'])
    cli.send('stand-in: tool Bash {"command":"sleep 30"}')
    await cli.line(isToolUse)
    assert.equal((await cli.signal('SIGINT')).code, 0)
    assert.equal(cli.lines.at(-1).terminal_reason, 'aborted_tools')
    const other = new Client(makeHome(t))
    other.send('stand-in: silent')
    await other.init()
    assert.equal((await other.signal('SIGTERM')).code, 143)
    assert.equal(other.lines.at(-1).subtype, 'init')
  })

  test('children run in sessions of their own and outlive a SIGKILL', ON_LINUX, async (t) => {
    const cli = new Client(makeHome(t))
    const pids = JSON.parse((await cli.ask('stand-in: spawn-children 2')).result)
    const orphans = JSON.parse((await cli.ask('stand-in: spawn-orphans 2')).result)
    const own = sessionOf(cli.child.pid)
    await cli.signal('SIGKILL')
    for (const pid of [...pids, ...orphans]) {
      assert.ok(isAlive(pid))
      assert.notEqual(sessionOf(pid), own)
      assert.match(readFileSync(`/proc/${pid}/environ`, 'latin1'), /CLAUDE_CODE_SESSION_ID=/)
      process.kill(pid, 'SIGKILL')
    }
  })

  test('a normal end takes the children along', async (t) => {
    const { result } = await askOnce(t, 'stand-in: spawn-children 1')
    // A signal is sent, and the kernel ends the process a moment later.
    await until(() => !JSON.parse(result.result).some(isAlive), 'they are gone')
  })

  test('ignore-signals ends at the limit at the latest', async (t) => {
    const cli = new Client(makeHome(t), STREAMING, { CLEARCTX_STAND_IN_MAX_LIFE_MS: '600' })
    await cli.ask('stand-in: ignore-signals')
    cli.child.kill('SIGINT')
    cli.child.kill('SIGTERM')
    assert.deepEqual(await cli.end(), { code: null, signal: 'SIGKILL' })
  })

  test('exit, exit before init, exit after the result, half a line', async (t) => {
    const seen = async (content) => {
      const cli = new Client(makeHome(t))
      cli.send(content)
      const { code } = await cli.closed
      return [code, cli.lines.length, cli.rest !== '']
    }
    assert.deepEqual(await seen('stand-in: exit 3'), [3, 1, false])
    assert.deepEqual(await seen('stand-in: exit-before-init 4'), [4, 0, false])
    assert.deepEqual(await seen('stand-in: then exit 5; text hi'), [5, 3, false])
    assert.deepEqual(await seen('stand-in: half-line'), [0, 2, true])
  })

  test('close-stdout closes it and lives on', async (t) => {
    const cli = new Client(makeHome(t))
    cli.send('stand-in: close-stdout')
    await new Promise((resolve) => cli.child.stdout.once('end', resolve))
    assert.ok(isAlive(cli.child.pid))
    assert.equal((await cli.end()).code, 0)
    assert.equal(cli.lines.length, 1)
  })

  test('the older habit loses unread output when input ends before the result, the newer one waits', async (t) => {
    for (const [env, complete] of [
      [OLDER, false],
      [{}, true],
    ]) {
      const cli = new Client(makeHome(t), STREAMING, env)
      cli.child.stdout.pause()
      cli.send('stand-in: stream 20000')
      cli.child.stdin.end()
      if (!complete) await new Promise((resolve) => cli.child.once('exit', resolve))
      cli.child.stdout.resume()
      await cli.closed
      assert.equal(
        cli.lines.some((line) => line?.type === 'result'),
        complete,
      )
    }
  })
})

describe('hard output', CONCURRENT, () => {
  test('garbage stands between good lines', async (t) => {
    const { cli, result } = await askOnce(t, 'stand-in: garbage; text fine')
    assert.equal(result.result, 'fine')
    assert.ok(cli.lines.filter((line) => line === null).length > 8)
    assert.notEqual(cli.bytes().toString(), cli.bytes().toString('latin1'))
  })

  test('dribble cuts characters apart', async (t) => {
    const { result } = await askOnce(t, 'stand-in: dribble 3 hi')
    assert.equal(result.result, 'echo(2): hi 🙂 grüße 日本')
  })

  test('big answers keep memory small and wait for their reader', ON_LINUX, async (t) => {
    const cli = new Client(makeHome(t))
    let total = 0
    let peak = 0
    let reads = 0
    const { stdout } = cli.child
    stdout.removeAllListeners('data')
    stdout.on('data', (data) => {
      total += data.length
      reads += 1
      if (reads % 100 !== 0) return
      // A reader that takes its time: unread output would pile up in the writer if it did not wait.
      peak = Math.max(peak, rssMebibytes(cli.child.pid))
      stdout.pause()
      setImmediate(() => stdout.resume())
    })
    cli.send('stand-in: big 40')
    await cli.end()
    t.diagnostic(`peak ${peak} MiB`)
    assert.ok(total > 80 * 1024 * 1024, `${total} bytes`)
    assert.ok(peak < 150, `${peak} MiB`)
  })

  test('surrogates, two results, partial messages, stderr, chunks', async (t) => {
    const { cli } = await askOnce(t, 'stand-in: surrogate')
    assert.equal(
      cli
        .bytes()
        .toString()
        .match(/\\ud83d end/g).length,
      2,
    )
    assert.equal(
      (await askOnce(t, 'stand-in: two-results')).cli.lines.filter(({ type }) => type === 'result').length,
      2,
    )
    const partial = await askOnce(t, 'stand-in: partial; text a b c')
    assert.equal(partial.cli.lines.filter(({ event }) => event?.type === 'content_block_delta').length, 3)
    assert.equal((await askOnce(t, 'stand-in: stderr 0.5')).cli.stderr.length, 512 * 1024)
    assert.equal((await askOnce(t, 'x', { env: { CLEARCTX_STAND_IN_CHUNK: '7' } })).result.result, 'echo(2): x')
  })

  test('an unknown directive is an error result', async (t) => {
    assert.match((await askOnce(t, 'stand-in: tool Bash {bad')).result.result, /^stand-in: tool Bash: .*JSON/)
    const { result, exit } = await askOnce(t, 'stand-in: slow 1; nonsense')
    assert.deepEqual([result.is_error, result.result, exit.code], [true, "stand-in: unknown directive 'nonsense'", 1])
  })
})

describe('log, environment and replay', CONCURRENT, () => {
  test('the log tells what the process saw, in order', async (t) => {
    const home = makeHome(t)
    const log = path.join(home.root, 'log')
    const cli = new Client(home, STREAMING, standInEnv({ log, every: 'slow 5; text every' }))
    assert.equal((await cli.ask('a')).result, 'every')
    await cli.end()
    const entries = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.deepEqual(
      entries.map(({ event }) => event),
      ['start', 'message', 'eof', 'exit'],
    )
    assert.ok(entries.every(({ pid }) => pid === cli.child.pid))
    assert.equal(entries[1].raw.message.content, 'a')
  })

  test('standInEnv names its variables and refuses unknown options', () => {
    assert.deepEqual(standInEnv({ habit: 'older', agents: ['a', 'b'], steerOwnTurns: true, configDir: '/x' }), {
      CLEARCTX_STAND_IN_HABIT: 'older',
      CLEARCTX_STAND_IN_AGENTS: 'a,b',
      CLEARCTX_STAND_IN_STEER_OWN_TURNS: '1',
      CLAUDE_CONFIG_DIR: '/x',
    })
    assert.throws(() => standInEnv({ nope: 1 }), TypeError)
    assert.ok(path.isAbsolute(standInPath))
  })

  test('a replay writes the recording byte for byte', async (t) => {
    const home = makeHome(t)
    for (const name of [
      'plain-three-turns',
      'non-json-stdout',
      'lone-surrogate-tool-result',
      'control-requests',
      'v330-background',
    ]) {
      const transcript = path.join(TRANSCRIPTS, `${name}.ndjson`)
      const cli = new Client(
        home,
        STREAMING,
        standInEnv({ transcript, chunkBytes: name.startsWith('lone') ? 1000 : undefined }),
      )
      for (let i = 0; i < 12; i += 1) {
        cli.send('x')
        cli.write({ type: 'control_request', request_id: 'x', request: { subtype: 'x' } })
      }
      assert.equal((await cli.end()).code, 0)
      assert.ok(cli.bytes().equals(readFileSync(transcript)), name)
    }
  })

  test('a replay waits for each message and names it in its lines', async (t) => {
    const transcript = path.join(TRANSCRIPTS, 'v330-queued.ndjson')
    const cli = new Client(makeHome(t), STREAMING, standInEnv({ transcript, exitCode: 7 }))
    const first = await cli.ask('x', { uuid: 'u-1' })
    assert.deepEqual(first.user_message_uuids, ['u-1'])
    const second = await cli.ask('y', { uuid: 'u-2' })
    assert.deepEqual([second.user_message_uuid, second.user_message_uuids], ['u-2', ['u-2']])
    assert.equal((await cli.end()).code, 7)
  })

  test('a replayed start failure needs no message', async (t) => {
    const transcript = path.join(TRANSCRIPTS, 'resume-unknown.ndjson')
    const cli = new Client(makeHome(t), STREAMING, standInEnv({ transcript }))
    assert.equal((await cli.closed).code, 1)
    assert.equal(cli.lines.length, 1)
  })
})

/** Session of a process, from its state on. */
const sessionOf = (pid) => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1).split(' ')[3]

const rssMebibytes = (pid) => {
  const found = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return found ? Number(found[1]) / 1024 : 0
}
