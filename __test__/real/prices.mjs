// What the CLI charges, by its own figures, and the books that the tests compare with the engine's.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

import { claudePath } from './support.mjs'

/** So many tokens of one kind tell the price of one. */
const TOKENS = 100_000

/** Kinds of tokens, and the mock's command for an answer with `TOKENS` of that kind alone. */
const KINDS = {
  input: `USAGE:${TOKENS},0`,
  output: `USAGE:0,${TOKENS}`,
  written: `USAGE:0,0,${TOKENS}`,
  writtenLong: `USAGE:0,0,0,${TOKENS}`,
  read: `USAGE:0,0,0,0,${TOKENS}`,
}

/** Asked for once in each file of tests. */
let pricesOfThisVersion

/**
 * Books of all that the model was asked in a world, from now on.
 *
 * - `price(usage)`: what the CLI charges for `{ input, output, written, writtenLong, read }` tokens, in USD.
 * - `spent()`: the price of all answers since the last call.
 */
export async function createBooks(world) {
  pricesOfThisVersion ??= pricesPerToken(world)
  const perToken = await pricesOfThisVersion
  const price = (usage) => Object.keys(usage).reduce((sum, kind) => sum + usage[kind] * perToken[kind], 0)
  let seen = world.api.requests.length
  return {
    price,
    spent() {
      const fresh = world.api.requests.slice(seen)
      seen += fresh.length
      return fresh.reduce((sum, { usage }) => sum + price(usage), 0)
    },
  }
}

/** One process of the CLI, without the engine, and one turn for each kind of token. */
async function pricesPerToken(world) {
  const args = [
    '-p',
    '--input-format',
    'stream-json',
    '--output-format',
    'stream-json',
    '--verbose',
    '--model',
    'sonnet',
  ]
  const cli = spawn(claudePath, args, {
    cwd: world.workDir,
    env: world.cleanEnv,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const prices = {}
  const kinds = Object.keys(KINDS)
  let total = 0
  ask(kinds[0])
  for await (const line of createInterface({ input: cli.stdout })) {
    const message = JSON.parse(line)
    if (message.type !== 'result') continue
    const kind = kinds.shift()
    prices[kind] = (message.total_cost_usd - total) / TOKENS
    assert.ok(prices[kind] > 0, `the CLI charges nothing for ${kind} tokens`)
    total = message.total_cost_usd
    if (kinds.length > 0) ask(kinds[0])
    else cli.stdin.end()
  }
  assert.ok(prices.output > prices.input && prices.input > prices.read, `odd prices: ${JSON.stringify(prices)}`)
  return prices

  function ask(kind) {
    const message = { type: 'user', message: { role: 'user', content: KINDS[kind] } }
    cli.stdin.write(`${JSON.stringify(message)}\n`)
  }
}
