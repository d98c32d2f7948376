// The real CLI where something around it does not work: a project's MCP servers and hooks, a home that cannot be written.
// On the newest version alone; what older ones do differently is in docs/protocol.md.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { bash } from './messages.mjs'
import { createBooks } from './prices.mjs'
import { assertMoney, claudePath, createWorld, onNewest, stopped, until } from './support.mjs'

/** A program that runs until it is killed, whatever happens to its input. It makes the file `started` first. */
const hangs = (world) => `touch '${world.file('started')}'; exec sleep 300`

/** Gives the project of a world settings and MCP servers: `{ name: shell command }`. */
async function setUp(world, settings, servers = {}) {
  await mkdir(world.file('.claude'))
  await writeFile(
    world.file('.claude/settings.json'),
    JSON.stringify({ enableAllProjectMcpServers: true, ...settings }),
  )
  const mcpServers = Object.fromEntries(
    Object.entries(servers).map(([name, command]) => [name, { command: '/bin/sh', args: ['-c', command] }]),
  )
  await writeFile(world.file('.mcp.json'), JSON.stringify({ mcpServers }))
}

/** Settings with one hook; `more` are its `timeout` (s) and the like. */
function hook(event, command, more = {}) {
  return { hooks: { [event]: [{ hooks: [{ type: 'command', command, ...more }] }] } }
}

/** Spawns a session `a` and checks what its first answer costs; `check` compares the cost of any later one. */
async function spawnChecked(world, prompt = 'first', { manager = world.manager(), ...options } = {}) {
  const books = await createBooks(world)
  const check = (response) => {
    assertMoney(response.cost, books.spent(), `cost of ${response.text}`)
    return response
  }
  const spawned = await manager.spawn('a', { prompt, workDir: world.workDir, allowedTools: ['Bash'], ...options })
  check(spawned.response)
  return { manager, check, ...spawned }
}

/** Ends a live session `a` in peace and makes sure that nothing is left of it. */
async function assertEndsWell(world, manager) {
  assert.deepEqual(await stopped(manager, 'a'), { code: 0, signal: null })
  await world.noProcessLeft()
}

test('an MCP server that hangs costs time, not the answer, and ends with its session', onNewest, async (t) => {
  const world = await createWorld(t)
  await setUp(world, {}, { hangs: hangs(world) })
  const { manager, check, initData, response } = await spawnChecked(world)
  assert.equal(response.text, 'echo(1): first')
  assert.deepEqual(
    initData.mcp_servers.map(({ name, status }) => [name, status]),
    [['hangs', 'pending']],
  )
  assert.ok(existsSync(world.file('started')), 'the server was not started')
  assert.equal(check(await manager.send('a', 'second')).text, 'echo(2): second')
  await assertEndsWell(world, manager)

  assert.equal(check(await manager.resume('a', 'RECALL')).text, 'first | second')
  manager.kill('a')
  await world.noProcessLeft()
})

test(
  'MCP servers that exit at once or do not exist are failed servers of a session that works',
  onNewest,
  async (t) => {
    const world = await createWorld(t)
    await setUp(world, {}, { broken: 'echo no server; exit 3', missing: 'exec /no/such/server' })
    const { manager, check, initData, response } = await spawnChecked(world)
    assert.equal(response.text, 'echo(1): first')
    assert.deepEqual(
      initData.mcp_servers.map(({ name, status }) => [name, status]),
      [
        ['broken', 'failed'],
        ['missing', 'failed'],
      ],
    )
    assert.equal(check(await manager.send('a', 'second')).text, 'echo(2): second')
    await assertEndsWell(world, manager)
  },
)

test(
  'a prompt that a hook blocks is an answer that cost nothing, and the next one is not blocked',
  onNewest,
  async (t) => {
    const world = await createWorld(t)
    await setUp(world, hook('UserPromptSubmit', `if grep -q forbidden; then echo 'not that' >&2; exit 2; fi`))
    const { manager, check } = await spawnChecked(world)
    const blocked = check(await manager.send('a', 'forbidden'))
    assert.match(blocked.text, /blocked by hook[^]*not that/)
    assert.deepEqual([blocked.isError, blocked.cost, blocked.turns], [false, 0, 0])
    assert.deepEqual(world.api.asked('forbidden'), [])
    assert.equal(check(await manager.send('a', 'RECALL')).text, 'first')
    assert.equal(manager.history('a').length, 3)
    await assertEndsWell(world, manager)
  },
)

test('a tool that a hook blocks does not run, and its turn ends with an answer', onNewest, async (t) => {
  const world = await createWorld(t)
  await setUp(world, hook('PreToolUse', `echo 'no tools today' >&2; exit 2`))
  const { manager, check, response } = await spawnChecked(world, bash('touch made'))
  assert.match(response.text, /^tool: [^]*no tools today/)
  assert.deepEqual(
    response.permissionDenials.map(({ tool_name }) => tool_name),
    ['Bash'],
  )
  assert.equal(existsSync(world.file('made')), false, 'the tool ran')
  assert.equal(check(await manager.send('a', 'second')).text, 'echo(2): second')
  await assertEndsWell(world, manager)
})

test('a turn that a hook does not let end goes on, and all of it is paid for once', onNewest, async (t) => {
  const world = await createWorld(t)
  const count = world.file('count')
  const twice = `echo >> '${count}'; if [ $(wc -l < '${count}') -le 2 ]; then echo 'go on' >&2; exit 2; fi`
  await setUp(world, hook('Stop', twice))
  const { manager, check, response } = await spawnChecked(world)
  assert.equal(response.isError, false)
  assert.equal(world.api.requests.length, 3)
  assert.match(check(await manager.send('a', 'second')).text, /: second$/)
  assert.equal(manager.history('a').length, 2)
  await assertEndsWell(world, manager)
})

test('a hook over its time is ended by the CLI, and the answer comes', onNewest, async (t) => {
  const world = await createWorld(t)
  await setUp(world, hook('UserPromptSubmit', hangs(world), { timeout: 1 }))
  const { manager, response } = await spawnChecked(world)
  assert.ok(existsSync(world.file('started')), 'the hook did not run')
  assert.equal(response.text, 'echo(1): first')
  await until(async () => ![...(await world.processes()).values()].includes('sleep 300'), 'the hook has ended')
  await assertEndsWell(world, manager)
})

for (const [how, ending] of [
  ['stop', { code: 0, signal: null }],
  ['kill', { code: null, signal: 'SIGKILL' }],
]) {
  test(`a hook that hangs holds up its turn, not the program, and ends with ${how}()`, onNewest, async (t) => {
    const world = await createWorld(t)
    await setUp(world, hook('PreToolUse', hangs(world)))
    // An interrupted CLI is through after some time, on a machine that has much else to do.
    const manager = world.manager({ stopTimeout: 300, killTimeout: 60_000 })
    await spawnChecked(world, 'first', { manager })
    const sending = assert.rejects(manager.send('a', bash('touch made'), 1_500), {
      code: 'ERR_TURN_TIMEOUT',
      sent: true,
      stillRunning: true,
    })
    await until(() => existsSync(world.file('started')), 'the hook runs')
    await sending
    const live = manager.sessions.get('a')
    manager[how]('a')
    assert.deepEqual(await live.closed, ending)
    await world.noProcessLeft()
    assert.equal(existsSync(world.file('made')), false, 'the tool ran')
  })
}

test('a home that cannot be made: a host and its sessions work, after a slow start', onNewest, async (t) => {
  const world = await createWorld(t)
  const books = await createBooks(world)
  const file = join(world.home, 'file')
  await writeFile(file, '')
  world.home = join(file, 'home')
  const { results } = await world.host([
    ['spawn', 'a', { prompt: 'first', workDir: world.workDir }],
    ['send', 'a', 'RECALL'],
    ['status', 'a'],
  ])
  const [spawned, recalled, status] = results.map(({ value, error }) => value ?? assert.fail(error.message))
  assert.equal(spawned.response.text, 'echo(1): first')
  assert.equal(recalled.text, 'first')
  assertMoney(status.totalCostUsd, books.spent(), 'totalCostUsd')
  await world.noProcessLeft()
})

test(
  'a home that must not be written: a session answers and costs as any other, and cannot be resumed',
  readOnly(),
  async (t) => {
    const world = await createWorld(t)
    await chmod(world.home, 0o555)
    const manager = world.manager({ claudePath: await withoutPrivileges(world) })
    const { check, response } = await spawnChecked(world, 'first', { manager })
    assert.equal(response.text, 'echo(1): first')
    assert.equal(check(await manager.send('a', 'RECALL')).text, 'first')
    // The CLI has kept nothing, and says so.
    await assert.rejects(manager.fork('a', 'fork', { message: 'x' }), {
      code: 'ERR_FORK_FAILED',
      message: /No conversation found/,
    })
    await assertEndsWell(world, manager)
    await assert.rejects(manager.resume('a', 'x'), { code: 'ERR_START_FAILED', message: /No conversation found/ })
    await world.noProcessLeft()
  },
)

/** Root may write anywhere, unless it gives up that privilege, which takes a program. */
function readOnly() {
  if (process.getuid?.() !== 0 || onNewest.skip) return onNewest
  try {
    execFileSync('setpriv', ['--version'])
    return {}
  } catch {
    return { skip: 'this is root, and there is no setpriv' }
  }
}

/** The CLI, without root's privilege of writing anywhere. */
async function withoutPrivileges(world) {
  if (process.getuid() !== 0) return claudePath
  const file = join(world.temporary, 'claude')
  const privileges = '-dac_override,-dac_read_search'
  await writeFile(
    file,
    `#!/bin/sh\nexec setpriv --inh-caps=${privileges} --bounding-set=${privileges} '${claudePath}' "$@"\n`,
  )
  await chmod(file, 0o755)
  return file
}
