// npm run record: makes the recorded conversations of `__test__/fixtures/recorded` again, from the real CLI at each version
// that is recorded, on a mock of the API.
//
//   node scripts/test/record.mjs [CASE...]        without a CASE, all of cases.mjs

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { CASES } from '../../__test__/fixtures/recorded/cases.mjs'
import { startMockApi } from '../../__test__/support/mock-api.mjs'
import { RECORDED } from '../lib/claude-versions.mjs'
import { fetchClaude } from '../lib/fetch-claude.mjs'
import { Problem, main, prepare, root, step } from '../lib/tools.mjs'

const TARGET = join(root, '__test__/fixtures/recorded')

/** Longest time of one turn. */
const TURN_TIMEOUT_MS = 60_000

/** All that the CLI needs from this machine. */
const INHERITED = ['PATH', 'SYSTEMROOT', 'COMSPEC', 'PATHEXT']

await main(async () => {
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter((name) => !Object.hasOwn(CASES, name))
  if (unknown.length > 0)
    throw new Problem(`no such case: ${unknown.join(', ')}. There are ${Object.keys(CASES).join(', ')}`)
  await prepare()
  for (const version of RECORDED) {
    const cli = await step(`fetching Claude Code ${version}`, () => fetchClaude(version))
    for (const name of wanted.length > 0 ? wanted : Object.keys(CASES)) {
      await step(`recording ${name} from ${version}`, () => recordCase(cli, CASES[name], join(TARGET, version, name)))
    }
  }
})

/** Records one case into `target`.ndjson, in a home, a working directory and an environment of its own. */
async function recordCase(cli, { options, before = [], steps }, target) {
  const { StreamSession } = await import('../../index.js')
  const { recorderPath, recorderEnv } = await import('../../testing/index.js')
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'clearctx-record-')))
  const api = await startMockApi()
  try {
    for (const name of ['home', 'home/project', 'tmp']) await mkdir(join(folder, name))
    const env = environment(folder, api)
    const common = { name: 'recorded', workDir: join(folder, 'home/project'), timeout: TURN_TIMEOUT_MS, ...options }
    let sessionId
    if (before.length > 0) {
      const first = new StreamSession({ ...common, claudePath: cli, env })
      await run(
        first,
        before.map((message) => ({ message })),
      )
      sessionId = first.id
    }
    const transcript = join(folder, 'transcript.ndjson')
    const recorded = { ...env, ...recorderEnv({ cli, transcript }) }
    await run(new StreamSession({ ...common, claudePath: recorderPath, env: recorded, sessionId }), steps)
    await mkdir(join(target, '..'), { recursive: true })
    await writeFile(`${target}.ndjson`, await readFile(transcript))
  } finally {
    await api.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Takes a session through its steps, checks each answer, and ends it. */
async function run(session, steps) {
  session.start()
  try {
    let own = nextOwnTurn(session)
    for (const { message, answer } of steps) {
      const { text } = message === undefined ? await own : await session.send(message)
      if (message === undefined) own = nextOwnTurn(session)
      if (answer) assert.match(text, answer)
    }
  } finally {
    session.stop()
    await session.closed
  }
}

/** Resolves with the answer of the next turn that the CLI starts by itself. */
function nextOwnTurn(session) {
  return new Promise((resolve) => {
    session.on('result', (response, { type }) => type === 'background' && resolve(response))
  })
}

function environment(folder, api) {
  const removed = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]))
  const kept = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => INHERITED.includes(name.toUpperCase())),
  )
  return {
    ...removed,
    ...kept,
    HOME: join(folder, 'home'),
    USERPROFILE: join(folder, 'home'),
    TMPDIR: join(folder, 'tmp'),
    CLAUDE_CONFIG_DIR: join(folder, 'home/.claude'),
    ANTHROPIC_BASE_URL: api.url,
    ANTHROPIC_API_KEY: 'a-key-that-opens-nothing',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
    DISABLE_TELEMETRY: '1',
  }
}
