/** Turns that the CLI starts by itself: they settle nobody, count, and no message is written into them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { reached, until, world } from '../support/sessions.mjs'
import { HABITS, init, near, PLAIN, record, recording, rejection, result, standInLog } from '../support/turns.mjs'

/** Resolves with the interaction of the next turn of the CLI's own. */
const ownTurn = (session) =>
  new Promise((resolve) => {
    const look = (_response, interaction) => {
      if (interaction.type !== 'background') return
      session.off('result', look)
      resolve(interaction)
    }
    session.on('result', look)
  })

/** A session "a" whose CLI is just beginning a turn of its own, which takes `ms` and answers "by itself". */
async function inOwnTurn(m, ms) {
  await m.spawn('a')
  const session = m.sessions.get('a')
  const inits = record(session, 'init')
  const own = ownTurn(session)
  await m.send('a', `stand-in: background 80 turn ${ms} by itself; text started`)
  await until(() => inits.length === 2, 'the own turn')
  return { session, own }
}

for (const habit of HABITS) {
  test(`a turn of the CLI's own is an event, history and money, and answers nobody (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager({ env: standInEnv({ habit }) })
    await m.spawn('a')
    const session = m.sessions.get('a')
    const inits = record(session, 'init')
    const own = ownTurn(session)
    const { text, turns } = await m.send('a', 'stand-in: background 100 it is done; text started')
    assert.deepEqual([text, turns], ['started', 2])
    const interaction = await own
    assert.deepEqual(interaction, {
      ...{ prompt: '', response: 'it is done', cost: interaction.cost, turns: 1, duration: interaction.duration },
      ...{ timestamp: interaction.timestamp, type: 'background' },
    })
    near(interaction.cost, PLAIN[habit])
    assert.equal(inits.length, 2)
    assert.equal(m.history('a').length, 2)
    assert.equal(m.history('a')[1], interaction)
    assert.deepEqual(w.readStore().a.interactions[1], interaction)
    near(m.status('a').totalCostUsd, 3 * PLAIN[habit])
    near(w.readStore().a.totalCostUsd, 3 * PLAIN[habit])
    assert.equal(m.status('a').totalTurns, 3)
    await reached(session, 'ready')
    assert.match((await m.send('a', 'next')).text, /: next$/)
  })

  for (const steerOwnTurns of [false, true]) {
    const trap = steerOwnTurns ? 'a steering trap' : 'no trap'
    test(`a message is not written while a turn of the CLI's own runs (${habit} CLI, ${trap})`, async (t) => {
      const w = world(t)
      const log = standInLog(w)
      const m = w.manager({ env: { ...log.env, ...standInEnv({ habit, steerOwnTurns }) } })
      const { own } = await inOwnTurn(m, 300)
      const answers = await Promise.all([m.send('a', 'one'), m.send('a', 'two')])
      assert.deepEqual(
        answers.map(({ text }) => text.replace(/^echo\(\d+\)/, '')),
        [': one', ': two'],
      )
      const { timestamp, response } = await own
      assert.equal(response, 'by itself')
      const [, one, two] = log.messages()
      assert.ok(one.at >= Date.parse(timestamp), 'it was written into the turn')
      assert.ok(two.at >= Date.parse(m.history('a')[2].timestamp))
      assert.deepEqual(
        m.history('a').map(({ type, prompt }) => type ?? prompt),
        [m.history('a')[0].prompt, 'background', 'one', 'two'],
      )
    })
  }

  test(`a message that meets the beginning of such a turn still gets its own answer (${habit} CLI)`, async (t) => {
    const m = world(t).manager({ env: standInEnv({ habit, steerOwnTurns: true }) })
    const delays = [20, 25, 30, 35, 40]
    await m.batch(
      delays.map((delay) => ({ name: `${delay}`, prompt: `stand-in: background ${delay} turn 30; text x` })),
    )
    await Promise.all(
      delays.map(async (delay) => {
        for (let count = 0; count < 12; count += 1) {
          const { text } = await m.send(`${delay}`, `${delay} ${count}`)
          assert.match(text, new RegExp(`: ${delay} ${count}$`))
        }
        await until(() => m.history(`${delay}`).some(({ type }) => type === 'background'), 'the own turn')
        assert.equal(m.history(`${delay}`).length, 14)
      }),
    )
  })
}

test('a turn of the CLI’s own does not stop the clock of a message that waits for it', async (t) => {
  const m = world(t).manager()
  const { session, own } = await inOwnTurn(m, 1000)
  assert.equal(session.status, 'busy')
  const error = await rejection(m.send('a', 'late', 100), 'ERR_TURN_TIMEOUT')
  assert.deepEqual([error.sent, error.stillRunning], [false, false])
  await own
  assert.equal(m.history('a').length, 2)
  assert.match((await m.send('a', 'next')).text, /: next$/)
})

for (const habit of HABITS) {
  test(`stop during a turn of the CLI's own lets it finish and records it (${habit} CLI)`, async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: { ...log.env, ...standInEnv({ habit }) } })
    const { session } = await inOwnTurn(m, 300)
    m.stop('a')
    assert.equal(m.sessions.has('a'), false)
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    const { interactions, totalTurns } = w.readStore().a
    const { type, response, timestamp } = interactions.at(-1)
    assert.deepEqual([type, response, totalTurns], ['background', 'by itself', 3])
    assert.ok(log.events('eof')[0].at >= Date.parse(timestamp), 'the input ended before the result was read')
  })
}

test('a result of a foreign origin before ours settles nobody, whatever the order of its keys', async (t) => {
  const w = world(t)
  const origin = { kind: 'task-notification', producer: 'x' }
  const { type, ...own } = result('own', { total_cost_usd: 0.25, origin })
  const transcript = recording(w, 'own-first', [
    init(),
    { ...own, type },
    init(),
    result('ours', { total_cost_usd: 0.75, total: 30 }),
  ])
  const m = w.manager({ env: standInEnv({ transcript }) })
  const { response } = await m.spawn('a', { prompt: 'hello' })
  assert.equal(response.text, 'ours')
  near(response.cost, 0.5)
  assert.deepEqual(
    m.history('a').map(({ type: kind, cost }) => [kind, cost]),
    [
      ['background', 0.25],
      [undefined, 0.5],
    ],
  )
})

test('an origin that is the user is not foreign', async (t) => {
  const w = world(t)
  const transcript = recording(w, 'human', [init(), result('ours', { origin: { kind: 'human' }, total_cost_usd: 0 })])
  const m = w.manager({ env: standInEnv({ transcript }) })
  const { response } = await m.spawn('a', { prompt: 'hello' })
  assert.equal(response.text, 'ours')
  assert.equal('type' in m.lastOutput('a'), false)
})
