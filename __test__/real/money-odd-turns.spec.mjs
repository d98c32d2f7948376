// Money on the real CLI in turns that are not plain: all kinds of tokens, failed, interrupted and nested turns, turns of
// the CLI's own, and commands.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'

import { ENDLESS, background, bash, tool } from './messages.mjs'
import { createBooks } from './prices.mjs'
import { assertMoney, createWorld, isNewer, isSince, stopped, until } from './support.mjs'

/** A manager in `world` whose session `a` is charged against books; `check` compares after each step. */
async function audited(world, options) {
  const books = await createBooks(world)
  const manager = world.manager({
    stopTimeout: 300,
    // An interrupted CLI that is killed before it is through does not tell what it has spent.
    killTimeout: 60_000,
    env: { ...world.env, CLAUDE_CODE_MAX_RETRIES: '2' },
  })
  let total = 0
  const check = (what, cost, expected) => {
    total += expected
    assertMoney(cost, expected, `cost of ${what}`)
    assertMoney(manager.status('a').totalCostUsd, total, `totalCostUsd after ${what}`)
    const sum = manager.history('a').reduce((all, turn) => all + turn.cost, 0)
    assertMoney(sum, total, `sum of the history after ${what}`)
  }
  const ask = async (message, method = 'send') => {
    const response = await manager[method]('a', message)
    check(message, response.cost, books.spent())
    return response
  }
  const { response } = await manager.spawn('a', { prompt: 'USAGE:1000,100', workDir: world.workDir, ...options })
  check('the first turn', response.cost, books.spent())
  return { books, manager, check, ask }
}

test('every kind of token counts, in turns of every kind, and none twice', async (t) => {
  const world = await createWorld(t)
  const { books, manager, check, ask } = await audited(world, { allowedTools: ['Bash'] })
  await ask('USAGE:1000,100,2000,300,4000:all kinds')
  await ask('USAGE:7,3,0,0,12345:mostly from the cache')
  await ask(`USAGE:200,20,100:AGENT:USAGE:50,5,0,10:${bash('echo from sub')}`)
  for (const error of ['ERROR:400', 'ERROR:401:never', 'ERROR:429:3600', 'FAIL:1:500', 'FAIL:3:529']) await ask(error)

  const gate = world.file('gate')
  await ask(`USAGE:300,30:${background(gate, { description: 'USAGE:700,70,7' })}`)
  await writeFile(gate, '')
  await until(() => manager.lastOutput('a').type === 'background', 'the CLI has had a turn of its own')
  check('a turn of its own', manager.lastOutput('a').cost, books.spent())

  await ask('/cost')
  await ask('/compact')
  await ask('USAGE:400,40:after /compact')
  await ask('/clear')
  await ask('USAGE:500,50,5,5,5:after /clear')
  await ask('/clear')
  await stopped(manager, 'a')
  await ask('USAGE:600,60:after a resume', 'resume')
})

const endsBesideSubagents = {
  skip: !isSince('2.1.179') && 'up to 2.1.178 a turn does not end before the subagent that it starts in the background',
}

test(
  'a subagent in the background is paid for once, by the turn that called it or its own',
  endsBesideSubagents,
  async (t) => {
    const world = await createWorld(t)
    const { books, manager, check, ask } = await audited(world)
    const agent = { description: 'sub job', subagent_type: 'general-purpose', run_in_background: true }
    const before = manager.status('a').totalCostUsd
    await manager.send('a', `USAGE:200,20:${tool('Agent', { ...agent, prompt: 'USAGE:50,5:HOLD:sub' })}`)
    await world.api.waitFor(({ text }) => text === 'USAGE:50,5:HOLD:sub')
    world.api.release('sub')
    await until(() => manager.lastOutput('a').type === 'background', 'the CLI has had a turn of its own')
    check('both turns', manager.status('a').totalCostUsd - before, books.spent())
    await ask('USAGE:300,30:after it')
  },
)

test('a turn whose tool was interrupted by stop() costs what the model was asked, also after a resume', async (t) => {
  const world = await createWorld(t)
  const { books, manager, check, ask } = await audited(world, { allowedTools: ['Bash'] })
  const session = manager.sessions.get('a')
  const sending = assert.rejects(manager.send('a', `USAGE:800,80,8:${ENDLESS}`, 1_500), { code: 'ERR_TURN_TIMEOUT' })
  await until(() => existsSync(world.file('started')), 'the tool runs')
  manager.stop('a')
  await sending
  await session.closed
  const [, cut] = manager.history('a')
  const spent = books.spent()
  if (cut.costEstimated) {
    assert.ok(!isSince('2.1.160'), 'only 2.1.150 ends without a result for such a turn, whose cost is then an estimate')
    assert.ok(cut.isError && cut.cost > 0 && cut.cost <= spent, `${cut.cost} of ${spent}`)
    check('an interrupted tool, as estimated', cut.cost, cut.cost)
  } else {
    assert.deepEqual([cut.late, cut.isError], [true, true])
    check('an interrupted tool', cut.cost, spent)
  }
  await ask('USAGE:900,90:after it', 'resume')
})

test('what the CLI still asks when stop() ends a command in the background is paid for', async (t) => {
  const world = await createWorld(t)
  const { books, manager, check, ask } = await audited(world, { allowedTools: ['Bash'] })
  await ask(background(world.file('gate'), { description: 'USAGE:700,70' }))
  const before = manager.status('a').totalCostUsd
  await stopped(manager, 'a')
  // 2.1.197 starts a turn of its own about the command that was ended, 2.1.330 does not.
  check('the end of the command', manager.status('a').totalCostUsd - before, books.spent())
  await ask('USAGE:900,90:after it', 'resume')
})

test('a text that was interrupted by stop() costs what the CLI says, and nothing of it counts again', async (t) => {
  const world = await createWorld(t)
  const { books, manager, check, ask } = await audited(world)
  const session = manager.sessions.get('a')
  const results = []
  session.on('message', (message) => message.type === 'result' && results.push(message))
  const sending = assert.rejects(manager.send('a', 'USAGE:800,80,8:DRIP:5000:20', 800), { code: 'ERR_TURN_TIMEOUT' })
  await world.api.waitFor(({ text }) => text.includes('DRIP'))
  manager.stop('a')
  await sending
  await session.closed
  books.spent()
  // Now and then the CLI ends without a result for what it was interrupted in.
  const [, cut] = manager.history('a')
  if (isNewer && results.length > 0) {
    const [{ outputTokens }] = Object.values(results[0].model_usage_since_last_result)
    assert.ok(outputTokens > 0)
    check('an interrupted text', cut.cost, books.price({ input: 800, written: 8, output: outputTokens }))
  } else {
    check('an interrupted text', cut?.cost ?? 0, 0)
  }
  await ask('USAGE:900,90:after it', 'resume')
})

test('a turn that kill() cut is booked as far as it was seen, and its tokens in no later turn', async (t) => {
  const world = await createWorld(t)
  const { books, check, manager, ask } = await audited(world, { allowedTools: ['Bash'] })
  const sending = assert.rejects(manager.send('a', `USAGE:800,80:${ENDLESS}`), { code: 'ERR_SESSION_KILLED' })
  await until(() => existsSync(world.file('started')), 'the tool runs')
  manager.kill('a')
  await sending
  const { cost, costEstimated } = await until(() => manager.history('a')[1], 'the cut turn is in the history')
  assert.equal(costEstimated, true)
  // The beginning of the answer has the input, and hardly any of the output.
  const spent = books.spent()
  assert.ok(cost > spent / 2 && cost <= spent, `${cost} of ${spent}`)
  check('the cut turn', cost, cost)
  await ask('USAGE:900,90:after it', 'resume')
  await ask('USAGE:910,91:and after that')
})

test('a first turn after a resume or in a fork whose subagent is dear is charged whole', async (t) => {
  const world = await createWorld(t)
  const { books, check, ask, manager } = await audited(world, { allowedTools: ['Bash'] })
  const dear = `USAGE:2000,200:AGENT:USAGE:50000,5000:${bash('echo from sub')}`
  await stopped(manager, 'a')
  const { costEstimated } = await ask(dear, 'resume')
  assert.equal(costEstimated, undefined)
  const { response } = await manager.fork('a', 'b', { message: dear })
  assertMoney(response.cost, books.spent(), 'cost of the fork')
  check('nothing', 0, 0)
})
