// The permission mode that was asked for is in force in every process of the real CLI, whatever its settings say.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

import { bash, write } from './messages.mjs'
import { claudePath, createWorld, stopped, until } from './support.mjs'

/** Where the CLI looks for settings. */
const PLACES = {
  project: (world) => join(world.workDir, '.claude', 'settings.json'),
  local: (world) => join(world.workDir, '.claude', 'settings.local.json'),
  user: (world) => join(world.home, '.claude', 'settings.json'),
}

/** Makes the settings of a place name a mode. */
async function setMode(world, place, defaultMode) {
  const file = PLACES[place](world)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, JSON.stringify({ permissions: { defaultMode } }))
}

/** Fails unless the tool was refused. */
function assertRefused(response, file, tool = 'Write') {
  assert.deepEqual(
    response.permissionDenials.map(({ tool_name }) => tool_name),
    [tool],
  )
  assert.equal(existsSync(file), false, `${tool} ran`)
}

/** Fails unless the tool ran. */
function assertRan(response, file) {
  assert.deepEqual(response.permissionDenials, [])
  assert.ok(existsSync(file), 'the tool did not run')
}

/** The real CLI, which gets another mode than the one that is passed to it. */
async function deaf(world, mode) {
  const file = join(world.home, 'claude')
  const replace = `for a; do shift; [ "$a" = default ] && a='${mode}'; set -- "$@" "$a"; done`
  await writeFile(file, `#!/bin/sh\n${replace}\nexec '${claudePath}' "$@"\n`)
  await chmod(file, 0o755)
  return file
}

for (const place of Object.keys(PLACES)) {
  test(`${place} settings do not choose the mode of a session, its resume or its fork`, async (t) => {
    const world = await createWorld(t)
    await setMode(world, place, 'acceptEdits')
    const file = world.file('made')
    const { manager, initData, response } = await world.spawned('a', write(file))
    assert.equal(initData.permissionMode, 'default')
    assertRefused(response, file)
    assert.equal(manager.status('a').permissionMode, 'default')

    const fork = await manager.fork('a', 'fork-of-live', { message: write(file) })
    assertRefused(fork.response, file)
    assertRefused(await manager.send('fork-of-live', write(file)), file)

    await stopped(manager, 'a')
    const forkOfStored = await manager.fork('a', 'fork-of-stored', { message: write(file) })
    assertRefused(forkOfStored.response, file)
    assertRefused(await manager.resume('a', write(file)), file)
    assert.equal(manager.sessions.get('a').initData.permissionMode, 'default')
  })

  test(`${place} settings do not choose the mode of a recovered session`, async (t) => {
    const world = await createWorld(t)
    await setMode(world, place, 'acceptEdits')
    const file = world.file('made')
    const { manager } = await world.spawned('a', 'one')
    await stopped(manager, 'a')
    await manager.close()

    // A process that was just started has not read its input.
    const host = world.startHost([
      ['resume', 'a'],
      ['send', 'a', write(file)],
    ])
    const journal = () => readFile(join(world.dataDir, 'sessions.journal'), 'utf8').catch(() => '')
    await until(async () => (await journal()).includes('"prompt":"TOOL:Write'), 'the record has the message')
    host.kill('SIGKILL')
    await host.ended
    const next = world.manager()
    const [recovered] = await next.recover({ resume: true, resend: true })
    assert.equal(recovered.verdict, 'unsent')
    assertRefused(recovered.response, file)
    assert.equal(next.status('a').permissionMode, 'default')
  })

  test(`with 'inherit' the ${place} settings choose the mode`, async (t) => {
    const world = await createWorld(t)
    await setMode(world, place, 'acceptEdits')
    const file = (name) => world.file(name)
    const { manager, response } = await world.spawned('a', write(file('one')), { permissionMode: 'inherit' })
    assertRan(response, file('one'))
    assert.equal(manager.status('a').permissionMode, 'acceptEdits')
    const fork = await manager.fork('a', 'b', { message: write(file('two')) })
    assertRan(fork.response, file('two'))

    await stopped(manager, 'a')
    assert.equal(manager.status('a').permissionMode, 'inherit')
    assertRan(await manager.resume('a', write(file('three'))), file('three'))
    assert.equal(manager.status('a').permissionMode, 'acceptEdits')
  })
}

test('settings that allow everything do not choose the mode, and are asked with inherit', async (t) => {
  const world = await createWorld(t)
  await setMode(world, 'user', 'bypassPermissions')
  // Without the variable the CLI does not start in this mode for root.
  const manager = world.manager({ env: { ...world.env, IS_SANDBOX: '1' } })
  const file = world.file('made')
  const ask = { prompt: bash('touch made'), workDir: world.workDir }
  assertRefused((await manager.spawn('a', ask)).response, file, 'Bash')
  assertRefused((await manager.fork('a', 'b', { message: bash('touch made') })).response, file, 'Bash')
  const inherited = await manager.spawn('c', { ...ask, permissionMode: 'inherit' })
  assertRan(inherited.response, file)
  assert.equal(inherited.session.permissionMode, 'bypassPermissions')
})

test('without any settings, the version does not choose the mode', async (t) => {
  const world = await createWorld(t)
  const file = world.file('made')
  const { manager, initData, response } = await world.spawned('a', bash('touch made'))
  assert.equal(initData.permissionMode, 'default')
  assertRefused(response, file, 'Bash')
  assertRefused((await manager.fork('a', 'b', { message: bash('touch made') })).response, file, 'Bash')
  await stopped(manager, 'a')
  assertRefused(await manager.resume('a', bash('touch made')), file, 'Bash')
})

const shell = { skip: process.platform === 'win32' && 'the CLI is wrapped in a shell script' }

test('a CLI that allows more than was asked for is killed before its tools run', shell, async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ claudePath: await deaf(world, 'acceptEdits') })
  const file = world.file('made')
  for (const name of ['a', 'b', 'c']) {
    await manager.spawn(name, { workDir: world.workDir })
    const session = manager.sessions.get(name)
    await assert.rejects(manager.send(name, write(file)), {
      code: 'ERR_PERMISSION_MODE',
      asked: 'default',
      actual: 'acceptEdits',
    })
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(manager.status(name).status, 'failed')
  }
  assert.equal(existsSync(file), false, 'the tool ran')
})

test('a CLI that allows less goes on, with a warning', shell, async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ claudePath: await deaf(world, 'plan') })
  const warnings = []
  const listen = ({ code }) => warnings.push(code)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  const { response, session } = await manager.spawn('a', { prompt: 'one', workDir: world.workDir })
  assert.equal(response.text, 'echo(1): one')
  assert.equal(session.permissionMode, 'plan')
  await until(() => warnings.includes('CLEARCTX_PERMISSION_MODE'), 'the warning')
})
