/** What turns cost: both habits of the CLI, over turns, resume, fork, /clear, errors and budgets. All to the cent. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'
import { HABITS, near, PLAIN, rejection } from '../support/turns.mjs'

/** Price of so many tokens by habit. */
const price = (habit, input, output) =>
  habit === 'newer' ? (input * 4 + output * 20) / 1e6 : (input * 5 + output * 25) / 1e6

/** Total of a session, in the snapshot and on disk. */
function total(w, m, name, expected) {
  near(m.status(name).totalCostUsd, expected, `total of ${name}`)
  near(w.readStore()[name].totalCostUsd, expected, `stored total of ${name}`)
  const sum = m.history(name).reduce((costs, { cost }) => costs + cost, 0)
  near(sum, expected, `sum of the history of ${name}`)
}

for (const habit of HABITS) {
  const options = (more = {}) => ({ env: standInEnv({ habit, ...more }) })
  const plain = PLAIN[habit]

  test(`cost is the turn's own, the total adds up (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    let sum = 0
    await m.spawn('a', { allowedTools: ['Bash'] })
    for (const [message, cost, turns] of [
      ['hello', plain, 1],
      ['usage:1000,500', price(habit, 1000, 500), 1],
      ['again', plain, 1],
      ['stand-in: tool Bash {"command":"true"}', 2 * plain, 2],
      ['/context', 0, 0],
      ['stand-in: error 400', 0, 1],
      ['stand-in: error execution x', plain, 1],
      ['usage:2000000,1000000', price(habit, 2e6, 1e6), 1],
      ['usage:1,0', price(habit, 1, 0), 1],
    ]) {
      const response = await m.send('a', message)
      near(response.cost, cost, message)
      assert.equal(response.turns, turns, message)
      near(m.lastOutput('a').cost, cost, message)
      sum += cost
      total(w, m, 'a', sum)
    }
  })

  test(`a hundred turns lose nothing to rounding (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    await m.spawn('a')
    for (let count = 0; count < 100; count += 1) near((await m.send('a', 'x')).cost, plain)
    await m.store.flush()
    total(w, m, 'a', 100 * plain)
    assert.equal(m.status('a').totalTurns, 100)
  })

  test(`a resumed session goes on counting, however dear its turns (${habit} CLI)`, async (t) => {
    const w = world(t)
    let m = w.manager(options())
    await m.spawn('a', { prompt: 'hello' })
    let sum = plain
    for (const [message, cost] of [
      ['usage:100,50', price(habit, 100, 50)],
      ['x', plain],
      ['usage:10,5', plain],
      ['usage:30000,1000', price(habit, 30000, 1000)],
    ]) {
      m.stop('a')
      await m.close()
      m = w.manager(options())
      near((await m.resume('a', message)).cost, cost, message)
      near((await m.send('a', 'more')).cost, plain)
      sum += cost + plain
      total(w, m, 'a', sum)
    }
    assert.equal(m.status('a').totalTurns, 9)
  })

  test(`a resumed session whose first turn costs nothing counts right after it (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    await m.spawn('a', { prompt: 'usage:100,50' })
    m.stop('a')
    near((await m.resume('a', '/context')).cost, 0)
    near((await m.send('a', 'x')).cost, plain)
    m.stop('a')
    near((await m.resume('a', 'stand-in: error 400')).cost, 0)
    near((await m.send('a', 'x')).cost, plain)
    total(w, m, 'a', price(habit, 100, 50) + 2 * plain)
  })

  test(`a session that was killed in a turn and resumed counts what was reported and seen (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options({ saveDelay: 0 }))
    await m.spawn('a', { prompt: 'hello' })
    const { closed } = m.sessions.get('a')
    await rejection(m.send('a', 'stand-in: crash'), 'ERR_PROCESS_EXITED')
    await closed
    const seen = price(habit, 10, 1)
    total(w, m, 'a', plain + seen)
    near((await m.resume('a', 'usage:100,50')).cost, price(habit, 100, 50))
    total(w, m, 'a', plain + seen + price(habit, 100, 50))
  })

  test(`/clear, with or without a restart of the CLI's total, costs nothing and loses nothing (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    await m.spawn('a', { prompt: 'usage:100,50' })
    const before = price(habit, 100, 50)
    near((await m.send('a', '/clear')).cost, 0)
    near((await m.send('a', 'x')).cost, plain)
    near((await m.send('a', 'usage:100,50')).cost, before)
    total(w, m, 'a', 2 * before + plain)
    m.stop('a')
    near((await m.resume('a', 'x')).cost, plain)
    near((await m.send('a', '/clear')).cost, 0)
    near((await m.send('a', 'x')).cost, plain)
    total(w, m, 'a', 2 * before + 3 * plain)
  })

  test(`a fork costs what its turn costs, and goes on from there (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options({ saveDelay: 0 }))
    await m.spawn('a', { prompt: 'usage:1000,500' })
    const { response, session } = await m.fork('a', 'b', { message: 'usage:100,50' })
    const cost = price(habit, 100, 50)
    near(response.cost, cost)
    near(session.totalCostUsd, cost)
    assert.equal(session.totalTurns, 1)
    near(m.lastOutput('b').cost, cost)
    near((await m.send('b', 'x')).cost, plain)
    near((await m.send('b', 'x')).cost, plain)
    total(w, m, 'b', cost + 2 * plain)
    near((await m.send('a', 'x')).cost, plain)
    total(w, m, 'a', price(habit, 1000, 500) + plain)
    m.stop('b')
    near((await m.resume('b', 'x')).cost, plain)
    total(w, m, 'b', cost + 3 * plain)
  })

  test(`a fork of a fork, and of a stored session, costs its own turn (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options({ saveDelay: 0 }))
    await m.spawn('a', { prompt: 'hello' })
    await m.send('a', 'x')
    m.stop('a')
    await m.close()
    near((await m.fork('a', 'b', { message: 'x' })).response.cost, plain)
    near((await m.fork('b', 'c', { message: 'x' })).response.cost, plain)
    near((await m.send('c', 'usage:100,50')).cost, price(habit, 100, 50))
    total(w, m, 'a', 2 * plain)
    total(w, m, 'b', plain)
    total(w, m, 'c', plain + price(habit, 100, 50))
  })

  test(`turns over budget cost what they cost, later ones nothing; a resume counts anew (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    const { response } = await m.spawn('a', { prompt: 'hello', maxBudget: 1.5 * plain })
    assert.equal(response.isError, false)
    const over = await m.send('a', 'usage:100,50')
    assert.deepEqual([over.isError, over.subtype], [true, 'error_max_budget_usd'])
    assert.match(over.errors[0], /Reached maximum budget/)
    near(over.cost, price(habit, 100, 50))
    const refused = await m.send('a', 'more')
    assert.deepEqual([refused.isError, refused.subtype], [true, 'error_max_budget_usd'])
    near(refused.cost, 0)
    total(w, m, 'a', plain + price(habit, 100, 50))
    m.stop('a')
    const resumed = await m.resume('a', 'x')
    assert.equal(resumed.isError, false)
    near(resumed.cost, plain)
    const again = await m.send('a', 'x')
    assert.equal(again.subtype, 'error_max_budget_usd')
    near(again.cost, plain)
    total(w, m, 'a', 3 * plain + price(habit, 100, 50))
  })

  test(`two results for one message are paid once (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    await m.spawn('a')
    const [first, second] = await Promise.all([m.send('a', 'stand-in: two-results; text one'), m.send('a', 'two')])
    assert.equal(first.text, 'one')
    assert.match(second.text, /: two$/)
    near(first.cost, plain)
    near(second.cost, plain)
    total(w, m, 'a', 2 * plain)
    const answers = m.history('a').filter(({ type }) => type === undefined)
    assert.deepEqual(
      answers.map(({ prompt }) => prompt),
      ['stand-in: two-results; text one', 'two'],
    )
  })

  test(`turns of the CLI's own and late ones are in the total (${habit} CLI)`, async (t) => {
    const w = world(t)
    const m = w.manager(options())
    await m.spawn('a')
    const session = m.sessions.get('a')
    const three = new Promise((resolve) => session.on('result', () => m.history('a').length === 3 && resolve()))
    await m.send('a', 'stand-in: background 150 by itself; text started')
    await rejection(m.send('a', 'stand-in: slow 300; usage 100,50', 50), 'ERR_TURN_TIMEOUT')
    await three
    total(w, m, 'a', 3 * plain + price(habit, 100, 50))
  })
}

test('a CLI that is updated between two processes is counted right, in both directions', async (t) => {
  const w = world(t)
  const older = w.manager({ env: standInEnv({ habit: 'older', saveDelay: 0 }) })
  const newer = w.manager({ env: standInEnv({ habit: 'newer' }) })
  await older.spawn('a', { prompt: 'usage:100,50' })
  let sum = price('older', 100, 50)
  for (const [from, to, habit] of [
    [older, newer, 'newer'],
    [newer, older, 'older'],
    [older, newer, 'newer'],
  ]) {
    from.stop('a')
    near((await to.resume('a', 'x')).cost, PLAIN[habit], habit)
    near((await to.send('a', 'usage:100,50')).cost, price(habit, 100, 50), habit)
    sum += PLAIN[habit] + price(habit, 100, 50)
    total(w, to, 'a', sum)
  }
})
