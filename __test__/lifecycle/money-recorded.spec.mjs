/** What turns cost by recorded and hand-made results: every kind of running total that versions of the CLI have had. */

import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { standInEnv, standInPath } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { init, near, recording, rejection, result, SESSION_ID } from '../support/turns.mjs'

const recorded = (name) => fileURLToPath(new URL(`../fixtures/transcripts/${name}.ndjson`, import.meta.url))
const replay = (transcript) => ({ env: standInEnv({ transcript }) })

const sum = (amounts) => amounts.reduce((total, amount) => total + amount, 0)

/** Sends so many messages to a session; their costs. */
async function costs(m, name, count) {
  const seen = []
  for (let turn = 0; turn < count; turn += 1) seen.push((await m.send(name, 'x')).cost)
  return seen
}

function equal(actual, expected) {
  assert.equal(actual.length, expected.length)
  actual.forEach((cost, at) => near(cost, expected[at], `turn ${at}`))
}

/** A process for each list of results, one after the other on one session; the costs of all turns. */
async function overProcesses(t, ...processes) {
  const w = world(t)
  const seen = []
  let m
  for (const [at, results] of processes.entries()) {
    const lines = results.flatMap((fields) => [init(), result('answer', fields)])
    m = w.manager(replay(recording(w, `process-${at}`, lines)))
    if (at === 0) await m.spawn('a')
    else await m.resume('a')
    seen.push(...(await costs(m, 'a', results.length)))
    near(m.status('a').totalCostUsd, sum(seen))
    if (at < processes.length - 1) m.stop('a')
    await m.store.flush()
  }
  near(w.readStore().a.totalCostUsd, m.status('a').totalCostUsd)
  return seen
}

for (const [first, inFirst, second, inSecond] of [
  ['plain-three-turns', [0.000175, 0.000175, 0.0175], 'resume', [0.000175, 0.000175]],
  ['v330-plain', [0.00014, 0.014], 'v330-resume', [0.00014]],
  ['v330-clear', [0.00014, 0, 0.00014], 'v330-plain', [0.00014, 0.014]],
  ['slash-commands', [0.000175, 0, 0, 0, 0.000175], 'resume', [0.000175, 0.000175]],
  ['max-budget', [0.000175, 0], 'resume', [0.000175, 0.000175]],
]) {
  test(`the recorded ${first}, resumed with ${second}, costs what the totals say`, async (t) => {
    const w = world(t)
    const [one, two] = [w.manager(replay(recorded(first))), w.manager(replay(recorded(second)))]
    await one.spawn('a')
    equal(await costs(one, 'a', inFirst.length), inFirst)
    one.stop('a')
    await two.resume('a')
    equal(await costs(two, 'a', inSecond.length), inSecond)
    near(w.readStore().a.totalCostUsd, sum([...inFirst, ...inSecond]))
  })
}

test('within one process the running total is subtracted', async (t) => {
  const process = [
    { total_cost_usd: 0.25, tokens: 10, total: 10 },
    { total_cost_usd: 0.75, tokens: 20, total: 30 },
    { total_cost_usd: 0.75, tokens: 0, total: 30 },
    { total_cost_usd: 0.875, tokens: 5, total: 35 },
  ]
  equal(await overProcesses(t, process), [0.25, 0.5, 0, 0.125])
})

test('a total that falls is a new base', async (t) => {
  const process = [
    { total_cost_usd: 0.5, tokens: 10, total: 10 },
    { total_cost_usd: 0, tokens: 0, total: 0 },
    { total_cost_usd: 0.25, tokens: 5, total: 5 },
    { total_cost_usd: 0.125, tokens: 2, total: 2 },
  ]
  equal(await overProcesses(t, process), [0.5, 0, 0.25, 0.125])
})

test('a total that starts again after a resume is a new base, even with a dearer turn', async (t) => {
  const first = [{ total_cost_usd: 0.25, tokens: 10, total: 10 }]
  const dear = [
    { total_cost_usd: 4, tokens: 12, total: 12 },
    { total_cost_usd: 4.5, tokens: 2, total: 14 },
  ]
  equal(await overProcesses(t, first, dear), [0.25, 4, 0.5])
  equal(await overProcesses(t, first, [{ total_cost_usd: 0.25, tokens: 10, total: 10 }]), [0.25, 0.25])
  equal(await overProcesses(t, first, [{ total_cost_usd: 0.125, tokens: 5, total: 5 }]), [0.25, 0.125])
})

test('a total that goes on after a resume is subtracted, also over several processes', async (t) => {
  const processes = [
    [{ total_cost_usd: 0.25, tokens: 10, total: 10 }],
    [
      { total_cost_usd: 0.375, tokens: 5, total: 15 },
      { total_cost_usd: 0.5, tokens: 5, total: 20 },
    ],
    [{ total_cost_usd: 4.5, tokens: 100, total: 120 }],
  ]
  equal(await overProcesses(t, ...processes), [0.25, 0.125, 0.125, 4])
})

test('enough money but too few tokens means that the total started again', async (t) => {
  const first = [{ total_cost_usd: 0.25, tokens: 1000, total: 1000 }]
  equal(await overProcesses(t, first, [{ total_cost_usd: 0.5, tokens: 20, total: 20 }]), [0.25, 0.5])
  equal(await overProcesses(t, first, [{ total_cost_usd: 0.125, tokens: 9000, total: 9000 }]), [0.25, 0.125])
})

test('a total that has room for all that was saved went on, also where the turn names no usage of its own', async (t) => {
  const first = [{ total_cost_usd: 0.25, tokens: 10, total: 10 }]
  equal(await overProcesses(t, first, [{ total_cost_usd: 0.5, tokens: 0, total: 30 }]), [0.25, 0.25])
  equal(await overProcesses(t, first, [{ total_cost_usd: 0.5, tokens: 0, total: 5 }]), [0.25, 0.5])
})

test('the figure of the turn itself comes before all totals', async (t) => {
  const own = (costUSD) => ({ model_usage_since_last_result: { a: { costUSD }, b: { costUSD: 0.125 } } })
  const first = [
    { total_cost_usd: 9, ...own(0.25) },
    { total_cost_usd: 3, ...own(0.5) },
  ]
  const second = [
    { total_cost_usd: 100, ...own(1) },
    { total_cost_usd: 0, model_usage_since_last_result: {} },
    { total_cost_usd: 0.5, tokens: 1 },
  ]
  equal(await overProcesses(t, first, second), [0.375, 0.625, 1.125, 0, 0.5])
})

test('cost_usd is understood where there is no total_cost_usd', async (t) => {
  const process = [
    { cost_usd: 0.25, tokens: 5, total: 5 },
    { cost_usd: 0.75, tokens: 5, total: 10 },
  ]
  equal(await overProcesses(t, process), [0.25, 0.5])
})

test('a result without figures, or with absurd ones, costs nothing and spoils nothing', async (t) => {
  const absurd = [undefined, null, 'much', {}, [], true, -5]
  const process = [
    { total_cost_usd: 0.25, tokens: 5, total: 5 },
    ...absurd.map((total_cost_usd) => ({ total_cost_usd, num_turns: total_cost_usd, tokens: 0, total: 5 })),
    { total_cost_usd: 0.5, tokens: 5, total: 10, usage: 'none', modelUsage: 7 },
  ]
  equal(await overProcesses(t, process), [0.25, ...absurd.map(() => 0), 0.25])
})

/** A program that replays one recording for a fork and another one for a session. */
function forking(w, forFork, forSession) {
  const script = join(w.dir, `claude-${forFork.length}-${Math.random()}.sh`)
  const set = (file) => `export CLEARCTX_STAND_IN_TRANSCRIPT='${file}'`
  const choose = `case "$*" in *--fork-session*) ${set(forFork)};; *) ${set(forSession)};; esac`
  writeFileSync(script, `#!/bin/sh\n${choose}\nexec ${standInPath} "$@"\n`)
  chmodSync(script, 0o755)
  return script
}

const FORKED = { session_id: '99999999-2222-4333-8444-555555555555' }

test('the recorded fork of the older CLI costs its own turn', async (t) => {
  const w = world(t)
  const m = w.manager({ claudePath: forking(w, recorded('fork-json'), recorded('plain-three-turns')) })
  await m.spawn('a')
  await costs(m, 'a', 3)
  const { response, session } = await m.fork('a', 'b', { message: 'side question' })
  assert.equal(response.text, 'echo(12): side question')
  near(response.cost, 0.000175)
  near(session.totalCostUsd, 0.000175)
})

// What 2.1.330 says in its one-shot answer: the saved total of the source plus the turn, and the saved total is written
// only when a process of the source ends in peace.
const forks = [
  ['whose process never ended: nothing of the source is in it', [[0.006, 60]], 'live', [0.0015, 15]],
  ['that ended: its total is in it', [[0.006, 60]], 'stop', [0.0075, 75]],
  [
    'that was resumed and lives: the total before that resume',
    [
      [0.003, 30],
      [0.006, 60],
    ],
    'live',
    [0.0045, 45],
  ],
  [
    'that was killed after a resume: the total before that resume',
    [
      [0.003, 30],
      [0.006, 60],
    ],
    'kill',
    [0.0045, 45],
  ],
  [
    'that was resumed and ended: all of it',
    [
      [0.003, 30],
      [0.006, 60],
    ],
    'stop',
    [0.0075, 75],
  ],
]

for (const [what, processes, end, [total, tokens]] of forks) {
  test(`a fork of a source ${what}`, async (t) => {
    const w = world(t)
    const answer = result('forked', { ...FORKED, total_cost_usd: total, tokens: 15, total: tokens })
    const forFork = recording(w, 'fork', [init({ session_id: FORKED.session_id }), answer])
    let m
    for (const [at, [usd, upTo]] of processes.entries()) {
      const turn = { total_cost_usd: usd, tokens: at === 0 ? upTo : 30, total: upTo }
      const lines = [init(), result('answer', turn)]
      m = w.manager({ claudePath: forking(w, forFork, recording(w, `process-${at}`, lines)) })
      if (at === 0) await m.spawn('a', { prompt: 'x' })
      else await m.resume('a', 'x')
      if (at < processes.length - 1) {
        m.stop('a')
        await m.close()
      }
    }
    near(m.status('a').totalCostUsd, processes.at(-1)[0])
    if (end !== 'live') {
      const { closed } = m.sessions.get('a')
      m[end]('a')
      await closed
    }
    const { response } = await m.fork('a', 'b', { message: 'x' })
    near(response.cost, 0.0015)
    near(m.status('b').totalCostUsd, 0.0015)
    assert.equal(response.sessionId, FORKED.session_id)
  })
}

test('a fork goes on from the total of its first turn, also when the CLI begins again', async (t) => {
  for (const [first, tokens, cost] of [
    [0.009, 90, 0.0015],
    [0.0015, 15, 0.0015],
  ]) {
    await t.test(`${first}`, async (part) => {
      const w = world(part)
      const id = { session_id: FORKED.session_id }
      const source = recording(w, 's', [init(), result('s', { total_cost_usd: 0.006, tokens: 60, total: 60 })])
      const turn = result('b', { ...id, total_cost_usd: first, tokens: 15, total: tokens })
      const forked = result('f', { ...id, total_cost_usd: 0.0075, tokens: 15, total: 75 })
      const forFork = recording(w, 'f', [init(id), forked, init(id), turn])
      const one = w.manager({ claudePath: forking(w, forFork, source) })
      await one.spawn('a', { prompt: 'x' })
      one.stop('a')
      await one.close()
      const two = w.manager({ claudePath: forking(w, forFork, source) })
      near((await two.fork('a', 'b', { message: 'x' })).response.cost, 0.0015)
      near((await two.send('b', 'x')).cost, cost)
      near(w.readStore().b.totalCostUsd, 0.003)
    })
  }
})

test('a fork that fails says what it cost, to the cent, after a total that went on', async (t) => {
  const w = world(t)
  const lines = [init(), result('answer', { total_cost_usd: 0.006, tokens: 60, total: 60 })]
  const failed = {
    ...FORKED,
    is_error: true,
    subtype: 'error_during_execution',
    errors: ['no luck'],
    result: undefined,
  }
  const answer = result('', { ...failed, total_cost_usd: 0.0075, tokens: 15, total: 75 })
  const m = w.manager({ claudePath: forking(w, recording(w, 'fork', [answer]), recording(w, 'source', lines)) })
  await m.spawn('a', { prompt: 'x' })
  m.stop('a')
  await m.close()
  const error = await rejection(m.fork('a', 'b'), 'ERR_FORK_FAILED')
  assert.equal(error.message, 'Fork failed: no luck')
  near(error.cost, 0.0015)
  assert.equal(error.sessionId, FORKED.session_id)
  assert.equal(m.store.get('a').claudeSessionId, SESSION_ID)
})
