// Turns that the CLI starts by itself, since a command in the background has ended.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { background, bash } from './messages.mjs'
import { createBooks } from './prices.mjs'
import { assertMoney, createWorld, until } from './support.mjs'

/** Messages that meet the end of a command. */
const ENCOUNTERS = 50

const isBackground = ({ type }) => type === 'background'

test('a turn that the CLI starts by itself settles nobody and is kept apart', async (t) => {
  const world = await createWorld(t)
  const books = await createBooks(world)
  const command = { run_in_background: true, description: 'USAGE:700,70' }
  const { manager, response } = await world.spawned('a', bash('sleep 1; echo done', command), {
    allowedTools: ['Bash'],
  })
  assert.match(response.text, /^tool: /)
  await until(() => manager.history('a').some(isBackground), 'the CLI has had its own turn')
  assert.equal((await manager.send('a', 'after')).text.replace(/\d+/, 'n'), 'echo(n): after')
  assert.deepEqual(
    manager.history('a').map(({ type }) => type),
    [undefined, 'background', undefined],
  )
  const [, own] = manager.history('a')
  assert.match(own.response, /^noted: /)
  assertMoney(own.cost, books.price({ input: 700, output: 70 }), 'cost of the turn of its own')
  assertMoney(manager.status('a').totalCostUsd, books.spent(), 'totalCostUsd')
})

test(`${ENCOUNTERS} messages that meet the end of a command in the background get answers of their own`, async (t) => {
  const world = await createWorld(t)
  const books = await createBooks(world)
  const manager = world.manager()
  // Two sessions at once: while one waits, the other works.
  await Promise.all(['a', 'b'].map((name) => meetEnds(world, manager, name, ENCOUNTERS / 2)))

  const turns = ['a', 'b'].flatMap((name) => manager.history(name))
  const own = turns.filter(isBackground).length
  assert.equal(turns.length - own, 2 + 2 * ENCOUNTERS)
  assert.ok(own > ENCOUNTERS / 2, `the CLI had only ${own} turns of its own`)
  const total = manager.status('a').totalCostUsd + manager.status('b').totalCostUsd
  assertMoney(total, books.spent(), 'totalCostUsd of both')
})

async function meetEnds(world, manager, name, encounters) {
  await manager.spawn(name, { prompt: `I am ${name}`, workDir: world.workDir, allowedTools: ['Bash'] })
  for (let number = 1; number <= encounters; number += 1) {
    const gate = world.file(`${name}-${number}`)
    await manager.send(name, background(gate, { description: `command ${name}-${number}` }))
    await writeFile(gate, '')
    // From the very moment of the end to well into the CLI's own turn, which begins 20 to 100 ms after it.
    await delay((number * 7) % 100)
    const message = `${name}${number}`
    assert.match((await manager.send(name, message)).text, new RegExp(`^echo\\(\\d+\\): ${message}$`))
    assert.equal(world.api.asked(message).length, 1, `how often the model was asked ${message}`)
  }
  const last = `"command ${name}-${encounters}" completed`
  const isTold = ({ notifications }) => notifications.some((text) => text.includes(last))
  await until(() => world.api.requests.some(isTold), 'the model knows of every end')
  // A command whose end was told to the model inside a turn of ours gets no turn of its own.
  const told = () =>
    world.api.requests.filter(({ notified, text }) => notified && text.includes(`command ${name}-`)).length
  await until(() => manager.history(name).filter(isBackground).length === told(), 'every turn of its own has ended')
}
