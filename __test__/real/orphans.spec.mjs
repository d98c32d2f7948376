// A host that is killed leaves no process behind, and conversations that can go on.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { ENDLESS, bash, waitFor } from './messages.mjs'
import { createWorld, lives, until } from './support.mjs'

const onlyOnLinux = { skip: process.platform !== 'linux' && 'processes are counted on Linux alone' }

/** Kills a host that is in mid-turn as soon as `file` exists, and waits for the end of all that it has started. */
async function killHost(t, world, message, file, { keeper = true } = {}) {
  const detached = bash('nohup setsid sleep 300 > /dev/null 2>&1 & echo detached')
  const calls = [
    ['spawn', 'idle', { prompt: 'first', workDir: world.workDir }],
    ['spawn', 'busy', { prompt: 'first', workDir: world.workDir, allowedTools: ['Bash'] }],
    ['send', 'busy', detached],
    ['send', 'busy', message],
  ]
  const host = world.startHost(calls, { keeper, keep: true })
  await until(() => existsSync(world.file(file)), 'the tool runs')
  const commands = [...(await world.processes()).values()]
  // The host, two CLIs, the detached process and the shell of the tool.
  assert.ok(commands.length >= 5, commands.join('\n'))
  host.kill('SIGKILL')
  await host.ended
  return performance.now()
}

async function transcripts(world) {
  const projects = join(world.home, '.claude', 'projects')
  const files = (await readdir(projects, { recursive: true })).filter((file) => file.endsWith('.jsonl'))
  return Promise.all(files.map((file) => readFile(join(projects, file), 'utf8')))
}

for (const [what, message] of [
  ['a Bash tool with processes in the background', ENDLESS],
  ['a command in the background', bash(`touch started; ${waitFor('never')}`, { run_in_background: true })],
]) {
  test(`SIGKILL of a host that runs ${what} ends everything`, onlyOnLinux, async (t) => {
    const world = await createWorld(t)
    const killed = await killHost(t, world, message, 'started')
    await world.noProcessLeft()
    t.diagnostic(`all processes were gone ${Math.round(performance.now() - killed)} ms after the end of the host`)
    // The CLI was asked before it was killed, so it has saved what it was doing.
    const saved = (await transcripts(world)).join('')
    assert.match(saved, /touch started/)
    const manager = world.manager()
    assert.deepEqual(manager.list('stopped').length, 2)
    assert.match((await manager.resume('busy', 'RECALL')).text, /^first \| TOOL:Bash/)
    assert.equal((await manager.resume('idle', 'RECALL')).text, 'first')
  })
}

test('what a host without a keeper left behind is ended by the next manager', onlyOnLinux, async (t) => {
  const world = await createWorld(t)
  await killHost(t, world, ENDLESS, 'started', { keeper: false })
  const manager = world.manager()
  assert.ok(await lives(manager.status('busy').pid), 'it waits for its tool')
  await world.noProcessLeft()
  assert.match((await manager.resume('busy', 'RECALL')).text, /^first \| TOOL:Bash/)
})
