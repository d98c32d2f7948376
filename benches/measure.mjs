// npm run bench: the figures of the README, measured on this machine on the bundled stand-in of the CLI. Each figure is a
// median of several runs; where there is a peer (plain pipes: child_process, one line per message, JSON.parse), both run
// in turn, in the same process.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'

import { SessionManager, StreamSession } from '../index.js'
import { standInEnv, standInPath } from '../testing/index.js'

const RUNS = 5
const TURNS = 200
const BUSY_SESSIONS = 50
const IDLE_SESSIONS = 50
const HISTORY = 2000

const dir = mkdtempSync(join(tmpdir(), 'clearctx-bench-'))
const env = standInEnv({ configDir: join(dir, 'claude') })

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]
const rows = []

function report(what, values, unit, digits = 0) {
  const text = (value) => value.toFixed(digits)
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(text)
  rows.push({ what, median: `${middle} ${unit}`, least, most })
  console.log(`${what}: ${middle} ${unit} (${least} to ${most})`)
}

function solo(name) {
  const session = new StreamSession({ name, claudePath: standInPath, env })
  session.start()
  return session
}

async function end(sessions) {
  for (const session of sessions) session.kill()
  await Promise.all(sessions.map((session) => session.closed))
}

/** Median µs of a turn. */
async function timeTurns(turn) {
  const times = []
  for (let count = 0; count < TURNS; count += 1) {
    const start = performance.now()
    await turn()
    times.push((performance.now() - start) * 1000)
  }
  return median(times)
}

async function engineTurn() {
  const session = solo('turn')
  await session.send('warm up')
  const time = await timeTurns(() => session.send('hello'))
  await end([session])
  return time
}

async function pipesTurn() {
  const args = ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose']
  const child = spawn(standInPath, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'ignore'] })
  let answered
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (JSON.parse(line).type === 'result') answered()
  })
  const turn = () =>
    new Promise((resolve) => {
      answered = resolve
      // The same message that the engine writes: the CLI answers with as many lines.
      const message = { type: 'user', message: { role: 'user', content: 'hello' }, uuid: randomUUID() }
      child.stdin.write(`${JSON.stringify(message)}\n`)
    })
  await turn()
  const time = await timeTurns(turn)
  child.kill('SIGKILL')
  await once(child, 'close')
  return time
}

/** Longest delay of the event loop, in ms, while many sessions answer. */
async function loopDelay() {
  const sessions = Array.from({ length: BUSY_SESSIONS }, (_, index) => solo(`busy-${index}`))
  await Promise.all(sessions.map((session) => session.send('warm up')))
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await Promise.all(
    sessions.map(async (session) => {
      for (let count = 0; count < 20; count += 1) await session.send('hello')
    }),
  )
  delay.disable()
  await end(sessions)
  // The histogram counts its own resolution of 1 ms.
  return { p99: delay.percentile(99) / 1e6 - 1, longest: delay.max / 1e6 - 1 }
}

/** Resident memory of this process, in KB. */
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])

async function idleMemory() {
  globalThis.gc?.()
  const before = resident()
  const sessions = Array.from({ length: IDLE_SESSIONS }, (_, index) => solo(`idle-${index}`))
  await Promise.all(sessions.map((session) => session.send('hello')))
  globalThis.gc?.()
  const after = resident()
  await end(sessions)
  return (after - before) / IDLE_SESSIONS
}

/** Median µs of a recorded turn with this many interactions in the store. */
async function recordedTurn(history) {
  const mgr = new SessionManager({ dataDir: mkdtempSync(join(dir, 'data-')), claudePath: standInPath, env })
  const interaction = { prompt: 'p', response: 'r'.repeat(2000), cost: 0, turns: 1, duration: 1, timestamp: '' }
  if (history > 0)
    mgr.store.set('old', {
      name: 'old',
      status: 'stopped',
      interactions: Array.from({ length: history }, () => interaction),
    })
  await mgr.spawn('turn', { prompt: 'warm up' })
  const time = await timeTurns(() => mgr.send('turn', 'hello'))
  mgr.kill('turn')
  await mgr.close()
  return time
}

async function repeat(measure) {
  const results = []
  for (let run = 0; run < RUNS; run += 1) results.push(await measure())
  return results
}

const pairs = await repeat(async () => ({ pipes: await pipesTurn(), engine: await engineTurn() }))
report(
  'a turn, plain pipes',
  pairs.map(({ pipes }) => pipes),
  'µs',
)
report(
  'a turn, clearctx',
  pairs.map(({ engine }) => engine),
  'µs',
)
report(
  'ratio clearctx / plain pipes',
  pairs.map(({ pipes, engine }) => engine / pipes),
  '',
  2,
)

const delays = await repeat(loopDelay)
report(
  `event loop delay, ${BUSY_SESSIONS} busy sessions, p99`,
  delays.map(({ p99 }) => p99),
  'ms',
  1,
)
report(
  `event loop delay, ${BUSY_SESSIONS} busy sessions, longest`,
  delays.map(({ longest }) => longest),
  'ms',
  1,
)

report('host memory per idle session', await repeat(idleMemory), 'KB')

report('a recorded turn, empty store', await repeat(() => recordedTurn(0)), 'µs')
report(`a recorded turn, ${HISTORY} interactions of 2 KB stored`, await repeat(() => recordedTurn(HISTORY)), 'µs')

rmSync(dir, { recursive: true, force: true })
console.table(rows)
