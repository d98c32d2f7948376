// Money on the real CLI: what a turn cost is what its tokens cost, over turns, resumes and forks.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { bash, tools } from './messages.mjs'
import { createBooks } from './prices.mjs'
import { assertMoney, createWorld, stopped } from './support.mjs'

test('costs are the price of the tokens, to the cent and far beyond, over turns, resumes and forks', async (t) => {
  const world = await createWorld(t)
  const { price } = await createBooks(world)
  const manager = world.manager()
  const totals = {}
  let step = 0

  /** A message whose turn costs something that no other turn costs. */
  function next(command = 'text') {
    step += 1
    const usage = { input: 1_000 + 37 * step, output: 100 + 11 * step }
    return { message: `USAGE:${usage.input},${usage.output}:${command}`, cost: price(usage) }
  }
  function check(name, response, cost, what) {
    totals[name] = (totals[name] ?? 0) + cost
    assertMoney(response.cost, cost, `cost of ${what}`)
    assertMoney(manager.status(name).totalCostUsd, totals[name], `totalCostUsd after ${what}`)
    assertMoney(manager.lastOutput(name).cost, cost, `cost in the history of ${what}`)
  }
  async function turn(name, what, { method = 'send', calls = 1, command } = {}) {
    const { message, cost } = next(command)
    check(name, await manager[method](name, message), cost * calls, what)
  }
  async function fork(source, name, what, { calls = 1, command } = {}) {
    const { message, cost } = next(command)
    check(name, (await manager.fork(source, name, { message })).response, cost * calls, what)
    assertMoney(manager.status(source).totalCostUsd, totals[source], `totalCostUsd of the source after ${what}`)
  }
  const stop = (name) => stopped(manager, name)

  const first = next()
  const { response } = await manager.spawn('a', {
    prompt: first.message,
    workDir: world.workDir,
    allowedTools: ['Bash'],
  })
  check('a', response, first.cost, 'the first turn')
  await turn('a', 'the second turn')
  await turn('a', 'a turn with a tool', { calls: 2, command: bash('echo hello') })
  await turn('a', 'a turn with two tools', {
    calls: 2,
    command: tools([
      ['Bash', { command: 'echo one' }],
      ['Bash', { command: 'echo two' }],
    ]),
  })
  check('a', await manager.send('a', 'ERROR:400'), 0, 'a refused turn')
  await turn('a', 'the turn after a refused one')
  await fork('a', 'of-live', 'the fork of a live session')
  await turn('of-live', 'the second turn of the fork of a live session')

  await stop('a')
  await turn('a', 'a resume', { method: 'resume' })
  await turn('a', 'the second turn after a resume')
  await fork('a', 'of-resumed', 'the fork of a live session that was resumed')
  await turn('of-resumed', 'its second turn')

  await stop('a')
  await fork('a', 'of-stopped', 'the fork of a stopped session, with a tool', { calls: 2, command: bash('echo hi') })
  await turn('of-stopped', 'its second turn')
  await stop('of-stopped')
  await turn('of-stopped', 'its resume', { method: 'resume' })

  const inNewHost = next()
  const { results } = await world.host([['resume', 'a', inNewHost.message]])
  check('a', results[0].value, inNewHost.cost, 'a resume in a new host')

  await turn('a', 'a resume after a new host', { method: 'resume' })
  manager.kill('a')
  await fork('a', 'of-killed', 'the fork of a session that was killed after a resume')
  await turn('of-killed', 'its second turn')
  await turn('a', 'a resume after a kill', { method: 'resume' })
  check('a', await manager.send('a', '/clear'), 0, '/clear')
  await turn('a', 'the turn after /clear')
  await stop('a')
  await turn('a', 'a resume after /clear', { method: 'resume' })
})

test('a session over its budget says so, and its cost counts', async (t) => {
  const world = await createWorld(t)
  const { price } = await createBooks(world)
  const { manager, response } = await world.spawned('a', 'USAGE:5000,500:dear', { maxBudget: 0.0001 })
  assert.equal(response.isError, true)
  assert.equal(response.subtype, 'error_max_budget_usd')
  assert.match(response.errors.join(), /budget/)
  const cost = price({ input: 5_000, output: 500 })
  assertMoney(response.cost, cost, 'cost')
  const second = await manager.send('a', 'more')
  assert.equal(second.subtype, 'error_max_budget_usd')
  assertMoney(second.cost, 0, 'cost of a message that was refused')
  assertMoney(manager.status('a').totalCostUsd, cost, 'totalCostUsd')
  assert.deepEqual(world.api.asked('more'), [])
})
