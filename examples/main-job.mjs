// What `npm start` runs: four sessions at work at the same time, a follow-up question to each, a fork that takes another
// direction, and a restart after which a session continues. At the end it shows what each session cost.
//
//   npm start               on the bundled stand-in of the Claude Code CLI: no account, no network, no cost
//   npm start -- --real     on the installed `claude`: about a cent

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'

import { SessionManager } from '../index.js'
import { standInEnv, standInPath } from '../testing/index.js'

const real = process.argv.includes('--real')
const started = performance.now()

// --- the job ---------------------------------------------------------------------------------------------------------

/** What each session is asked first. `answer`, `ms` and `usage` (tokens in, out) are for the stand-in: it has no model. */
const QUESTIONS = {
  http: {
    text: 'What does HTTP status 409 mean? One short sentence.',
    answer: 'The request conflicts with the present state of the resource.',
    ms: 1300,
    usage: '2100,180',
  },
  sql: {
    text: 'What is a covering index? One short sentence.',
    answer: 'An index that holds every column a query needs, so the table is never read.',
    ms: 800,
    usage: '2050,210',
  },
  git: {
    text: 'What does git bisect do? One short sentence.',
    answer: 'It finds the commit that broke something by halving the range again and again.',
    ms: 1600,
    usage: '1980,160',
  },
  unix: {
    text: 'What is a zombie process? One short sentence.',
    answer: 'A process that has ended but whose parent has not yet asked how.',
    ms: 500,
    usage: '2010,150',
  },
}

const FOLLOW_UP = { text: 'And when does that matter in practice? One short sentence.', usage: '2400,220' }
const FOLLOW_UP_ANSWERS = {
  http: { ms: 900, answer: 'When two people save the same document and the second must not overwrite the first.' },
  sql: { ms: 500, answer: 'On hot read paths, where each saved page read counts a thousand times a second.' },
  git: { ms: 700, answer: 'When a test fails today, passed last month, and there are 400 commits between.' },
  unix: { ms: 1100, answer: 'In long-running programs that start many children and forget to wait for them.' },
}
const OTHER_WAY = {
  text: 'Leave that aside: which status fits a failed precondition better? One short sentence.',
  answer: '412 Precondition Failed, since the client stated its condition itself.',
  ms: 600,
  usage: '2500,140',
}
const AFTER_RESTART = {
  text: 'What was my very first question? Quote it.',
  answer: `"${QUESTIONS.git.text}"`,
  ms: 400,
  usage: '2600,60',
}

async function job(dataDir) {
  const options = managerOptions(dataDir)
  mgr = new Narrated(options)

  heading('Four sessions in parallel')
  await Promise.all(Object.entries(QUESTIONS).map(([name, ask]) => say(name, ask, 'spawn')))

  heading('A follow-up to each')
  await Promise.all(
    Object.entries(FOLLOW_UP_ANSWERS).map(([name, answer]) => say(name, { ...FOLLOW_UP, ...answer }, 'send')),
  )

  heading('A fork of "http" takes another direction')
  await say('http-fork', OTHER_WAY, 'fork', 'http')

  heading('The program restarts; "git" continues by its name')
  await mgr.close()
  mgr = new Narrated(options)
  await say('git', AFTER_RESTART, 'resume')
  await mgr.close()

  report(mgr.list())
}

/** Sends one message in the given way, and shows the question and the answer. */
async function say(name, ask, way, source) {
  tell(name, dim(`> ${ask.text}`))
  const message = toMessage(ask)
  const calls = {
    spawn: () => mgr.spawn(name, { prompt: message }),
    send: () => mgr.send(name, message),
    resume: () => mgr.resume(name, message),
    fork: () => mgr.fork(source, name, { message }),
  }
  const outcome = await calls[way]()
  const response = outcome.response ?? outcome
  if (response.isError)
    throw new Error(`the CLI answered "${name}" with an error: ${response.text || response.errors[0]}`)
  tell(name, `< ${response.text.trim()}  ${dim(`${dollars(response.cost)}, ${seconds(response.duration)}`)}`)
}

/** Shows when processes start and end. Subclassing is one way to see every session; `mgr.sessions.get(name)` is another. */
class Narrated extends SessionManager {
  _wireEvents(session) {
    super._wireEvents(session)
    session.on('status', (now, before) => {
      if (before === 'starting') tell(session.name, dim(`  process ${session.pid} started`))
    })
    session.on('close', (code, signal) => tell(session.name, dim(`  process ended (${signal ?? `code ${code}`})`)))
  }
}

// --- the stand-in or the real CLI ------------------------------------------------------------------------------------

function managerOptions(dataDir) {
  const common = { dataDir, defaultModel: 'haiku', defaultTimeout: 120_000 }
  if (real) return common
  return { ...common, claudePath: standInPath, env: standInEnv({ configDir: join(dataDir, 'stand-in') }) }
}

/** The stand-in also gets the answer to give; the real CLI gets only the question. */
function toMessage({ text, answer, ms, usage }) {
  return real ? text : `stand-in: slow ${ms}; usage ${usage}; text ${answer}`
}

// --- what is shown ---------------------------------------------------------------------------------------------------

const COLUMN = 11
const colours = ['cyan', 'yellow', 'green', 'magenta', 'blue']
const colourOf = new Map()

function paint(style, text) {
  return process.stdout.isTTY && !process.env.NO_COLOR ? styleText(style, text) : text
}

function dim(text) {
  return paint('gray', text)
}

function heading(text) {
  console.log(`\n${paint('bold', text)}`)
}

function tell(name, text) {
  if (!colourOf.has(name)) colourOf.set(name, colours[colourOf.size % colours.length])
  const time = ((performance.now() - started) / 1000).toFixed(2).padStart(6)
  console.log(`${dim(time)}  ${paint(colourOf.get(name), name.padEnd(COLUMN))} ${text}`)
}

function dollars(usd) {
  return `$${usd.toFixed(4)}`
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`
}

function report(records) {
  heading('What it came to')
  const row = (name, status, turns, time, cost) =>
    `${name.padEnd(COLUMN)} ${status.padEnd(9)} ${turns.padStart(5)} ${time.padStart(8)} ${cost.padStart(9)}`
  const sum = { turns: 0, ms: 0, cost: 0 }
  console.log(dim(row('session', 'status', 'turns', 'time', 'cost')))
  for (const record of records) {
    const ms = record.interactions.reduce((total, turn) => total + turn.duration, 0)
    sum.turns += record.interactions.length
    sum.ms += ms
    sum.cost += record.totalCostUsd
    const cells = [String(record.interactions.length), seconds(ms), dollars(record.totalCostUsd)]
    console.log(row(record.name, record.status, ...cells))
  }
  console.log(paint('bold', row('total', '', String(sum.turns), seconds(sum.ms), dollars(sum.cost))))
  const price = real ? '' : ' The stand-in asks no model: these costs are invented.'
  console.log(`\n${seconds(sum.ms)} of turns took ${seconds(performance.now() - started)} in all.${price}`)
}

// --- from start to end -----------------------------------------------------------------------------------------------

let mgr

/** Ends whatever still runs: after an error, and at Ctrl-C. */
async function cleanUp() {
  for (const name of [...(mgr?.sessions.keys() ?? [])]) mgr.kill(name)
  await mgr?.close()
  await rm(dataDir, { recursive: true, force: true })
}

process.once('SIGINT', () => {
  console.log('\nstopping ...')
  process.exitCode = 130
  void cleanUp()
})

const dataDir = await mkdtemp(join(tmpdir(), 'clearctx-demo-'))
console.log(
  `clearctx drives ${real ? 'the installed Claude Code CLI' : 'the bundled stand-in of the Claude Code CLI'}.`,
)
try {
  await job(dataDir)
} catch (error) {
  // After Ctrl-C the sessions end on request.
  if (process.exitCode === undefined) fail(error)
} finally {
  await cleanUp()
}

function fail(error) {
  console.error(`\n${error.message}`)
  if (real) console.error('Is `claude` installed and logged in? `npm start` without --real needs neither.')
  process.exitCode = 1
}
