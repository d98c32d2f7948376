/** Costs that the CLI does not tell: first turns of resumes with subagents, and turns that are cut. */

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { hostWorld } from '../support/hosts.mjs'
import { until, world } from '../support/sessions.mjs'
import { near, PLAIN, rejection } from '../support/turns.mjs'

/** Price of so many tokens in the older habit. */
const price = (input, output) => (input * 5 + output * 25) / 1e6

/** A subagent, whose tokens are in the totals alone, beside a tool call and the answer. */
const SUBAGENT = 'stand-in: subagent 0 spends 5000,1000'
const SUBAGENT_COST = price(5000, 1000) + 4 * PLAIN.older

/** The last interaction, as it is in memory and on disk. */
function last(w, m, name) {
  const interaction = m.lastOutput(name)
  assert.deepEqual(w.readStore()[name].interactions.at(-1), interaction)
  return interaction
}

function total(w, m, name, expected) {
  near(m.status(name).totalCostUsd, expected)
  near(w.readStore()[name].totalCostUsd, expected)
  near(
    m.history(name).reduce((sum, { cost }) => sum + cost, 0),
    expected,
  )
}

for (const go of ['resume', 'fork']) {
  test(`the first turn of a ${go} with big subagents is charged whole (older CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit: 'older' }) })
    const first = await m.spawn('a', { prompt: 'hello' })
    let response
    if (go === 'fork') {
      response = (await m.fork('a', 'b', { message: SUBAGENT })).response
    } else {
      m.stop('a')
      response = await m.resume('a', SUBAGENT)
    }
    near(response.cost, SUBAGENT_COST)
    assert.equal('costEstimated' in response, false)
    assert.equal('costEstimated' in first.response, false)
    const name = go === 'fork' ? 'b' : 'a'
    assert.equal('costEstimated' in last(w, m, name), false)
    total(w, m, name, go === 'fork' ? SUBAGENT_COST : SUBAGENT_COST + PLAIN.older)
  })
}

test('where neither the version nor the tokens decide, the cost is marked as an estimate', async (t) => {
  const w = world(t)
  const m = w.manager({ env: standInEnv({ habit: 'older', version: '2.1.280' }) })
  await m.spawn('a', { prompt: 'hello' })
  m.stop('a')
  const response = await m.resume('a', SUBAGENT)
  assert.equal(response.costEstimated, true)
  assert.equal(last(w, m, 'a').costEstimated, true)
  const next = await m.send('a', 'more')
  near(next.cost, PLAIN.older)
  assert.equal('costEstimated' in next, false)
})

for (const habit of ['older', 'newer']) {
  test(`a turn that a kill cuts is booked as far as it was seen (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit, saveDelay: 0 }) })
    await m.spawn('a', { prompt: 'hello', allowedTools: ['Bash'] })
    const session = m.sessions.get('a')
    const results = []
    session.on('result', (result) => results.push(result))
    const called = new Promise((resolve) => session.once('tool_use', resolve))
    const killed = rejection(m.send('a', 'stand-in: tool Bash {"command":"true"}; silent'), 'ERR_SESSION_KILLED')
    await called
    m.kill('a')
    await killed
    await session.closed
    await m.store.flush()
    // The line of the call has 10 + 1 tokens, at the price that the first turn has shown.
    const seen = habit === 'older' ? price(10, 1) : (10 * 4 + 20) / 1e6
    const { prompt, response, cost, costEstimated, isError } = last(w, m, 'a')
    assert.match(prompt, /silent$/)
    assert.deepEqual([response, costEstimated, isError], ['', true, true])
    near(cost, seen)
    near(session.totalCostUsd, PLAIN[habit] + seen)
    total(w, m, 'a', PLAIN[habit] + seen)
    assert.deepEqual(results, [], 'nobody was answered')
    // The next process counts on.
    near((await m.resume('a', 'more')).cost, PLAIN[habit])
    total(w, m, 'a', 2 * PLAIN[habit] + seen)
  })
}

test('a turn that exceeds its time and is killed then is booked, too', async (t) => {
  const w = world(t)
  const m = w.manager({ env: standInEnv({ habit: 'older' }) })
  await m.spawn('a', { prompt: 'hello', allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const called = new Promise((resolve) => session.once('tool_use', resolve))
  await rejection(m.send('a', 'stand-in: tool Bash {"command":"true"}; silent', 1500), 'ERR_TURN_TIMEOUT')
  await called
  m.kill('a')
  await session.closed
  await m.store.flush()
  assert.equal(last(w, m, 'a').costEstimated, true)
  total(w, m, 'a', PLAIN.older + price(10, 1))
})

test('a crash in mid-turn is booked; a turn of which nothing was seen leaves nothing', async (t) => {
  const w = world(t)
  const m = w.manager({ env: standInEnv({ habit: 'older' }) })
  await m.spawn('a', { prompt: 'hello', allowedTools: ['Bash'] })
  const { closed } = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: tool Bash {"command":"true"}; exit 3'), 'ERR_PROCESS_EXITED')
  await closed
  await m.store.flush()
  total(w, m, 'a', PLAIN.older + price(10, 1))
  await m.resume('a')
  const again = m.sessions.get('a')
  await rejection(m.send('a', 'stand-in: exit 3'), 'ERR_PROCESS_EXITED')
  await again.closed
  await m.store.flush()
  assert.equal(m.history('a').length, 2)
})

test('where no price was shown the cost is 0, and marked', async (t) => {
  const w = world(t)
  // A model that no session of this process has used.
  const m = w.manager({ env: standInEnv({ habit: 'older' }) })
  await m.spawn('a', { model: 'never-priced', allowedTools: ['Bash'] })
  const session = m.sessions.get('a')
  const called = new Promise((resolve) => session.once('tool_use', resolve))
  const killed = rejection(m.send('a', 'stand-in: tool Bash {"command":"true"}; silent'), 'ERR_SESSION_KILLED')
  await called
  m.kill('a')
  await killed
  await session.closed
  await m.store.flush()
  const { cost, costEstimated } = last(w, m, 'a')
  assert.deepEqual([cost, costEstimated], [0, true])
})

/** All that the CLI keeps of its conversations. */
function transcript(w) {
  const folder = join(w.dir, 'claude')
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith('.jsonl'))
  return files.map((file) => readFileSync(join(folder, file), 'utf8')).join('\n')
}

for (const [what, message, verdict, cost] of [
  [
    'answered',
    'stand-in: tool Bash {"command":"true"}; late-result 20000; text the answer',
    'answered',
    2 * PLAIN.older,
  ],
  ['unanswered', 'stand-in: tool Bash {"command":"true"}; silent', 'unanswered', PLAIN.older],
]) {
  test(`recover books what the transcript tells of a lost turn: ${what}`, async (t) => {
    const w = hostWorld(t)
    const host = w.start(
      async ({ manager, say }, text) => {
        const mgr = manager()
        await mgr.spawn('a', { prompt: 'hello', allowedTools: ['Bash'] })
        mgr.send('a', text).catch(() => {})
        say('sent')
        setInterval(() => {}, 1000)
      },
      { args: [message], env: standInEnv({ habit: 'older', saveDelay: 0 }) },
    )
    await host.said()
    const mark = what === 'answered' ? 'the answer"}]' : 'tool_result'
    await until(() => transcript(w).includes(mark), 'the lost turn')
    host.kill('SIGKILL')
    await host.closed
    const m = w.manager({ env: standInEnv({ habit: 'older' }) })
    const [lost] = await m.recover({ resume: true })
    assert.equal(lost.verdict, verdict)
    if (verdict === 'answered') {
      near(lost.response.cost, cost)
      assert.equal(lost.response.costEstimated, true)
    }
    const interaction = last(w, m, 'a')
    near(interaction.cost, cost)
    assert.deepEqual([interaction.costEstimated, interaction.recovered], [true, true])
    total(w, m, 'a', PLAIN.older + cost)
  })
}
