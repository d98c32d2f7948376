// Short ways to ask the stand-in, for tests of the stand-in itself.

import assert from 'node:assert/strict'

import { Client, STREAMING, makeHome } from './stand-in-client.mjs'

export const OLDER = { CLEARCTX_STAND_IN_HABIT: 'older', CLEARCTX_STAND_IN_SAVE_DELAY_MS: '0' }

export const isToolUse = (line) => line.message?.content?.[0]?.type === 'tool_use'
export const plainCost = 0.00014

export const close = (actual, expected) => assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`)

/** One process, one message, its result. */
export const askOnce = async (t, content, { args = [], env = {}, home = makeHome(t) } = {}) => {
  const cli = new Client(home, [...STREAMING, ...args], env)
  const result = await cli.ask(content)
  const exit = await cli.end()
  return { cli, result, exit, home }
}

export const oneShot = async (home, args, { env = {}, input = '' } = {}) => {
  const cli = new Client(home, ['-p', ...args], env)
  cli.child.stdin.end(input)
  const { code } = await cli.closed
  return { code, stderr: cli.stderr, text: cli.bytes().toString(), result: cli.lines[0] }
}
