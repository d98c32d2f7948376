/** Whatever happens in whatever order: each send settles once, nothing is lost, paid twice or left behind. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { dice } from '../support/dice.mjs'
import { isAlive, world } from '../support/sessions.mjs'
import { HABITS, near, standInLog } from '../support/turns.mjs'

const EXPECTED = new Set([
  ...['ERR_PROCESS_EXITED', 'ERR_TURN_TIMEOUT', 'ERR_SESSION_STOPPED', 'ERR_SESSION_KILLED', 'ERR_SESSION_NOT_ALIVE'],
  ...['ERR_SESSION_NOT_FOUND', 'ERR_NO_SESSION_ID', 'ERR_SESSION_EXISTS', 'ERR_START_FAILED', 'ERR_FORK_FAILED'],
])

/** One random life of a name: a series of calls, some awaited, some not. Collects what each send came to. */
async function live(m, name, roll, outcomes) {
  let count = 0
  const settle = (what, promise) =>
    promise.then(
      (response) => response && outcomes.push({ what, response: response.response ?? response }),
      (error) => outcomes.push({ what, error }),
    )
  const message = (directive) => `stand-in: ${directive}; text ${name}-${(count += 1)}`
  const say = (directive, timeout) => {
    const what = message(directive)
    return settle(what, m.send(name, what, timeout))
  }
  const quietly = (call) => {
    try {
      call()
    } catch (error) {
      outcomes.push({ what: 'call', error })
    }
  }
  const open = []
  await settle('spawn', m.spawn(name))
  for (let step = 0; step < 25; step += 1) {
    const choice = roll(20)
    if (choice < 7) open.push(say('slow 5'))
    else if (choice < 9) await say('slow 1')
    else if (choice < 10) open.push(say('slow 60', 20))
    else if (choice < 11) open.push(say('error 400'))
    else if (choice < 12) open.push(say(['exit 3', 'crash', 'half-line', 'crash-before-init'][roll(4)]))
    else if (choice < 13) open.push(say('then exit 0'))
    else if (choice < 14) quietly(() => m.pause(name))
    else if (choice < 16) quietly(() => m.stop(name))
    else if (choice < 17) quietly(() => m.kill(name))
    else open.push(settle('resume', m.resume(name)))
    if (roll(3) === 0) await Promise.race([...open, new Promise(setImmediate)])
  }
  quietly(() => m.stop(name))
  await Promise.all(open)
}

describe('random lives', { concurrency: 2 }, () => {
  for (const habit of HABITS) {
    for (const seed of [1, 2, 3]) {
      test(`of four names with the ${habit} CLI, seed ${seed}`, async (t) => {
        const w = world(t)
        const log = standInLog(w)
        const env = { ...log.env, ...standInEnv({ habit, saveDelay: 0 }) }
        const m = w.manager({ env, stopTimeout: 300, killTimeout: 300, defaultTimeout: 10_000 })
        const sessions = new Set()
        m._wireEvents = (session) => sessions.add(session)
        const roll = dice(seed)
        const outcomes = []
        const names = ['a', 'b', 'c', 'd']
        await Promise.all(names.map((name) => live(m, name, roll, outcomes)))
        await m.close()

        for (const { error } of outcomes) if (error) assert.ok(EXPECTED.has(error.code), error.stack)
        const turns = [...sessions].flatMap((session) => session.interactions)
        const answered = outcomes.filter(({ response, what }) => response && what !== 'spawn')
        for (const { what, response } of answered) {
          assert.ok(response.isError || what.endsWith(`text ${response.text}`), `${what}: ${response.text}`)
          assert.ok(
            turns.some(({ prompt }) => prompt === what),
            `not in the history: ${what}`,
          )
        }
        const received = log.messages().map(({ text }) => text)
        assert.equal(new Set(received).size, received.length, 'a message was sent twice')
        for (const { what, error } of outcomes) {
          const unsent = error?.code === 'ERR_SESSION_STOPPED' || error?.sent === false
          if (unsent && what.startsWith('stand-in')) assert.equal(received.includes(what), false, what)
        }
        for (const name of names) {
          const { status, interactions, totalCostUsd, totalTurns, pid } = w.readStore()[name]
          assert.ok(['stopped', 'killed', 'failed'].includes(status), status)
          assert.equal(pid, null)
          near(
            interactions.reduce((sum, { cost }) => sum + cost, 0),
            totalCostUsd,
            `costs of ${name}`,
          )
          assert.equal(
            interactions.reduce((sum, turn) => sum + turn.turns, 0),
            totalTurns,
          )
          assert.equal(new Set(interactions.map(({ prompt }) => prompt)).size, interactions.length, 'recorded twice')
        }
        assert.deepEqual(
          log.events('start').filter(({ pid }) => isAlive(pid)),
          [],
        )
      })
    }
  }
})

test('a resume that meets the end of a stopped turn finds it in history and totals, or in neither', async (t) => {
  const m = world(t).manager()
  for (let round = 0; round < 16; round += 1) {
    const name = `a${round}`
    await m.spawn(name, { prompt: 'hello' })
    const old = m.send(name, 'stand-in: slow 20')
    m.stop(name)
    const meets = performance.now() + 20 + round / 4
    while (performance.now() < meets);
    const resumed = m.resume(name, 'more')
    const session = m.sessions.get(name)
    await Promise.all([old, resumed])
    const { interactions, totalTurns, totalCostUsd } = m.store.get(name)
    assert.equal(interactions.length, totalTurns, `round ${round}`)
    near(
      interactions.reduce((sum, { cost }) => sum + cost, 0),
      totalCostUsd,
    )
    assert.deepEqual(session.interactions, interactions)
    m.kill(name)
  }
})
