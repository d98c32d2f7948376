// The recorder: what it writes down replays as the same conversation, holds nothing of this machine, and its presence
// changes nothing for whoever runs it.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { recorderEnv, recorderPath, standInEnv, standInPath } from '../../testing/index.js'
import { CASES, PRICES } from '../fixtures/recorded/cases.mjs'
import { world } from '../support/sessions.mjs'
import { near } from '../support/turns.mjs'

const ON_POSIX = { skip: process.platform === 'win32' }

/** Options of a session that records the stand-in. */
function recording(w, env = {}) {
  const transcript = join(w.dir, 'transcript.ndjson')
  return { transcript, claudePath: recorderPath, env: { ...recorderEnv({ cli: standInPath, transcript }), ...env } }
}

/** Takes a session through a conversation; what came of it. */
async function converse(session, messages) {
  const answers = []
  session.start()
  for (const message of messages) {
    const { text, cost, turns, sessionId, isError, subtype, permissionDenials } = await session.send(message)
    answers.push({ text, cost, turns, sessionId, isError, subtype, permissionDenials })
  }
  session.stop()
  return { answers, end: await session.closed, totalCostUsd: session.totalCostUsd, interactions: session.interactions }
}

for (const habit of ['newer', 'older']) {
  test(`a recording of the stand-in replays as the same conversation (${habit})`, async (t) => {
    const w = world(t)
    const messages = [
      'hello',
      'stand-in: tool Bash {"command":"echo hi"}; usage 100,20',
      'stand-in: tool Write {"file_path":"x"}',
      '/clear',
      'stand-in: surrogate',
      'stand-in: error 400',
      'recall',
    ]
    const { transcript, ...options } = recording(w, standInEnv({ habit }))
    const said = await converse(w.session({ allowedTools: ['Bash'], ...options }), messages)
    const replay = w.session({ env: standInEnv({ transcript }) })
    const heard = await converse(replay, messages)
    assert.deepEqual(heard.answers, said.answers)
    assert.deepEqual(heard.end, said.end)
    assert.equal(heard.totalCostUsd, said.totalCostUsd)
    const timeless = ({ interactions }) => interactions.map((turn) => ({ ...turn, timestamp: '' }))
    assert.deepEqual(timeless(heard), timeless(said))
    assert.ok(said.totalCostUsd > 0)
  })
}

test('a recording holds no place, secret or port of this machine, while the caller gets all of it', async (t) => {
  const w = world(t)
  const places = Object.fromEntries(['home', 'home/project', 'temporary'].map((name) => [name, join(w.dir, name)]))
  for (const place of Object.values(places)) mkdirSync(place)
  const secrets = { ANTHROPIC_API_KEY: 'sk-ant-api03-not_a_key', MY_TOKEN: 'tell "nobody"', DB_PASSWORD: 'p4ssw0rd' }
  const folder = places['home/project'].replace(/[^A-Za-z0-9]/g, '-')
  const words = [...Object.values(places), ...Object.values(secrets), `/x/${folder}/y`, 'http://127.0.0.1:4711/v1']
  const { transcript, ...options } = recording(w, { HOME: places.home, TMPDIR: places.temporary, ...secrets })
  const session = w.session({ workDir: places['home/project'], ...options })
  const { answers } = await converse(session, [`stand-in: text ${words.join(' ')}`])
  assert.equal(answers[0].text, words.join(' '))

  const recorded = readFileSync(transcript, 'utf8')
  for (const word of [w.dir, folder, ...Object.values(secrets), '4711']) {
    assert.ok(!recorded.includes(word) && !recorded.includes(JSON.stringify(word).slice(1, -1)), word)
  }
  const lines = recorded.trimEnd().split('\n').map(JSON.parse)
  assert.equal(lines.find(({ subtype }) => subtype === 'init').cwd, '/home/user/project')
  assert.equal(
    lines.find(({ type }) => type === 'result').result,
    '/home/user /home/user/project /tmp scrubbed scrubbed scrubbed /x/-home-user-project/y http://127.0.0.1:8080/v1',
  )
  assert.equal(lines.at(-1).session_id, session.id)
})

test('each process gets a file of its own, and none is overwritten', async (t) => {
  const w = world(t)
  const { transcript, ...options } = recording(w)
  const first = w.session(options)
  await converse(first, ['hello'])
  await converse(w.session({ ...options, sessionId: first.id }), ['recall'])
  assert.match(readFileSync(transcript, 'utf8'), /echo\(2\): hello/)
  const second = join(w.dir, 'transcript-2.ndjson')
  const { answers } = await converse(w.session({ env: standInEnv({ transcript: second }) }), ['x'])
  assert.equal(answers[0].text, 'hello')
})

/** Runs a program, alone or recorded, on some input; `signal` is sent when it has said `ready`. */
async function runProgram(w, program, { recorded, input = '', signal } = {}) {
  const transcript = join(w.dir, 'bytes.ndjson')
  const env = { ...process.env, ...w.env, ...(recorded ? recorderEnv({ cli: program, transcript }) : {}) }
  const child = spawn(recorded ? recorderPath : program, ['an argument', '--flag'], { env, stdio: 'pipe' })
  child.stdin.end(input)
  const output = { stdout: [], stderr: [] }
  for (const name of ['stdout', 'stderr']) {
    child[name].on('data', (chunk) => {
      output[name].push(chunk)
      if (signal && chunk.includes('ready')) child.kill(signal)
    })
  }
  const [code, killedBy] = await once(child, 'close')
  return { code, killedBy, stdout: Buffer.concat(output.stdout), stderr: Buffer.concat(output.stderr).toString() }
}

function makeProgram(w, name, source) {
  const file = join(w.dir, name)
  writeFileSync(file, `#!/usr/bin/env node\n${source}`, { mode: 0o755 })
  return file
}

test('arguments, input, output and exit code pass through byte for byte', ON_POSIX, async (t) => {
  const w = world(t)
  const program = makeProgram(
    w,
    'odd.cjs',
    `const { RECORD, argv } = { RECORD: Object.keys(process.env).filter((n) => n.startsWith('CLEARCTX_RECORD')), argv: process.argv.slice(2) }
process.stderr.write('some words on ' + JSON.stringify({ RECORD, argv }))
process.stdin.on('data', (chunk) => process.stdout.write(chunk))
process.stdin.on('end', () => { process.stdout.write(Buffer.from([0xff, 0xfe, 10, 0, 0xc3])); process.exitCode = 7 })`,
  )
  const input = Buffer.concat([Buffer.from('{"a":"ä"}\r\n\n'), Buffer.alloc(3_000_000, 'x'), Buffer.from('\nlast')])
  const alone = await runProgram(w, program, { input })
  const recorded = await runProgram(w, program, { input, recorded: true })
  assert.equal(recorded.code, 7)
  assert.match(recorded.stderr, /"RECORD":\[\],"argv":\["an argument","--flag"\]/)
  assert.deepEqual(recorded, alone)
  assert.ok(readFileSync(join(w.dir, 'bytes.ndjson')).equals(alone.stdout))
})

test('signals reach the program, and an end by a signal is one for the caller too', ON_POSIX, async (t) => {
  const w = world(t)
  const wait = `console.log('ready'); setInterval(() => {}, 1000)`
  const polite = makeProgram(
    w,
    'polite.cjs',
    `process.on('SIGINT', () => { console.log('bye'); process.exit(3) });${wait}`,
  )
  const { code, stdout } = await runProgram(w, polite, { recorded: true, signal: 'SIGINT' })
  assert.deepEqual([code, stdout.toString()], [3, 'ready\nbye\n'])

  const plain = makeProgram(w, 'plain.cjs', wait)
  const { killedBy } = await runProgram(w, plain, { recorded: true, signal: 'SIGTERM' })
  assert.equal(killedBy, 'SIGTERM')
})

test('what is missing or unknown is said', ON_POSIX, async (t) => {
  const w = world(t)
  const none = await runProgram(w, recorderPath)
  assert.deepEqual([none.code, none.stderr], [1, 'recorder: CLEARCTX_RECORD_CLI is not set\n'])
  const missing = await runProgram(w, join(w.dir, 'none'), { recorded: true })
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^recorder: .*ENOENT/)
  assert.throws(() => recorderEnv({ cli: 'x', transcript: 'y', more: 1 }), /unknown option 'more'/)
  assert.throws(() => recorderEnv({ cli: 'x' }), /option 'transcript' must be a path/)
})

for (const [version, [input, output]] of Object.entries(PRICES)) {
  for (const [name, { options, steps }] of Object.entries(CASES)) {
    test(`${name}, recorded from the CLI ${version}, replays with its answers and costs`, async (t) => {
      const w = world(t)
      const transcript = fileURLToPath(new URL(`../fixtures/recorded/${version}/${name}.ndjson`, import.meta.url))
      assert.ok(existsSync(transcript))
      const session = w.session({ ...options, env: standInEnv({ transcript, exitCode: 0 }) })
      const turns = []
      session.on('result', (response, { type }) => turns.push({ ...response, type }))
      session.start()
      let total = 0
      for (const [index, expected] of steps.entries()) {
        const idBefore = session.id
        if (expected.message !== undefined) await session.send(expected.message)
        while (turns.length <= index) await once(session, 'result')
        const turn = turns[index]
        assert.match(turn.text, expected.answer)
        assert.equal(turn.type, expected.message === undefined ? 'background' : undefined)
        assert.equal(turn.isError, expected.isError ?? false)
        assert.deepEqual(
          turn.permissionDenials.map(({ tool_name }) => tool_name),
          expected.denied ?? [],
        )
        if (expected.clears) assert.notEqual(session.id, idBefore)
        const cost = expected.tokens[0] * input + expected.tokens[1] * output
        near(turn.cost, cost, `cost of ${expected.message}`)
        total += cost
        near(session.totalCostUsd, total, `total after ${expected.message}`)
      }
      assert.equal(turns.length, steps.length)
      session.stop()
      assert.deepEqual(await session.closed, { code: 0, signal: null })
    })
  }
}
