// The real CLI behind what people put in its place: shims, wrappers, links. On the newest version alone.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { ENDLESS } from './messages.mjs'
import { createBooks } from './prices.mjs'
import { assertMoney, claudePath, createWorld, onNewest, until } from './support.mjs'

const script = (text) => async (file) => {
  await writeFile(file, `#!/bin/sh\n${text}\n`)
  await chmod(file, 0o755)
}

/** What makes each launcher at a path. */
const LAUNCHERS = {
  'a shim that becomes the CLI': script(`exec '${claudePath}' "$@"`),
  'a wrapper that keeps the CLI as a child': script(`'${claudePath}' "$@"\nexit $?`),
  'a wrapper that prints first, on both outputs': script(
    `echo 'Welcome!'; echo '{"type":"welcome"}'; echo 'a warning' >&2\n'${claudePath}' "$@"`,
  ),
  'a symbolic link': (file) => symlink(claudePath, file),
}

/** A manager in `world` whose CLI is behind a launcher. */
async function launchedBy(world, make) {
  const file = join(world.temporary, 'claude')
  await make(file)
  return world.manager({ claudePath: file, stopTimeout: 300, killTimeout: 60_000 })
}

for (const [what, make] of Object.entries(LAUNCHERS)) {
  test(`${what}: answers, costs, stop() and kill() are as without it`, onNewest, async (t) => {
    const world = await createWorld(t)
    const books = await createBooks(world)
    const manager = await launchedBy(world, make)
    const options = { prompt: 'USAGE:100,10:first', workDir: world.workDir, allowedTools: ['Bash'] }
    const { response } = await manager.spawn('a', options)
    assert.equal(response.text, 'echo(1): first')
    assertMoney(response.cost, books.spent(), 'cost')
    assert.equal((await manager.send('a', 'second')).text, 'echo(2): second')
    const fork = await manager.fork('a', 'fork', { message: 'RECALL' })
    assert.equal(fork.response.text, 'USAGE:100,10:first | second')
    await manager.close()
    await world.noProcessLeft()
    assert.equal(manager.history('a').length, 2)
  })

  test(`${what}: stop() and kill() end a tool that comes to no end`, onNewest, async (t) => {
    const world = await createWorld(t)
    const manager = await launchedBy(world, make)
    const options = { prompt: ENDLESS, workDir: world.workDir, allowedTools: ['Bash'], timeout: 1_500 }
    for (const how of ['stop', 'kill']) {
      await rm(world.file('started'), { force: true })
      const spawning = assert.rejects(manager.spawn(how, options), { sent: true })
      await until(() => existsSync(world.file('started')), 'the tool runs')
      const live = manager.sessions.get(how)
      manager[how](how)
      await spawning
      await live.closed
      await world.noProcessLeft()
    }
  })
}

test(
  'a wrapper that puts the CLI into the background takes its input away, which ends the session',
  onNewest,
  async (t) => {
    const world = await createWorld(t)
    const manager = await launchedBy(world, script(`'${claudePath}' "$@" &\nwait`))
    await assert.rejects(manager.spawn('a', { prompt: 'first', workDir: world.workDir }), {
      code: 'ERR_PROCESS_EXITED',
      exitCode: 0,
    })
    assert.deepEqual(world.api.requests, [])
    await world.noProcessLeft()
  },
)
