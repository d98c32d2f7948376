/** A CLI that is older than the oldest supported version: it runs, and the program is warned. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { OLDEST } from '../../scripts/lib/claude-versions.mjs'
import { standInEnv } from '../../testing/index.js'
import { hostWorld } from '../support/hosts.mjs'

/** What a program is warned of whose sessions run these versions, one after the other. */
async function warnings(t, versions) {
  const w = hostWorld(t)
  const host = w.host(
    async ({ manager, say }, envs) => {
      const told = []
      process.on('warning', ({ code, message }) => told.push([code, message]))
      for (const [index, env] of envs.entries()) {
        const mgr = manager({ env })
        say((await mgr.spawn(`s${index}`, { prompt: 'hello' })).response.text)
        await mgr.close()
      }
      await new Promise(setImmediate)
      say(told)
    },
    versions.map((version) => standInEnv({ habit: 'older', version })),
  )
  const said = await host.finished()
  const told = said.pop()
  assert.deepEqual(
    said,
    versions.map(() => 'echo(2): hello'),
  )
  return told
}

test('each version below the oldest supported one is warned of once in a program', async (t) => {
  const told = await warnings(t, ['2.1.120', '2.1.149', '2.1.120', '2.1.149'])
  assert.deepEqual(
    told.map(([code, message]) => [code, /^Claude Code (\S+) is older than (\S+),/.exec(message)?.slice(1)]),
    [
      ['CLEARCTX_CLI_VERSION', ['2.1.120', OLDEST]],
      ['CLEARCTX_CLI_VERSION', ['2.1.149', OLDEST]],
    ],
  )
})

test('the oldest supported version, a newer one than tested, and odd words give no warning', async (t) => {
  assert.deepEqual(await warnings(t, [OLDEST, '2.1.331', '9.0.0', 'tomorrow']), [])
})
