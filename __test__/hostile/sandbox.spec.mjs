/** Systems that refuse calls: processes are ended all the same, and where they cannot be, the program is told. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { hostWorld } from '../support/hosts.mjs'
import { descendants, isAlive, until } from '../support/sessions.mjs'
import { AS_NOBODY, NEEDS_NOBODY } from '../support/users.mjs'

const refusing = (...calls) => ['perl', fileURLToPath(new URL('../support/refuse.pl', import.meta.url)), calls.join()]

/** Calls of the system by their numbers here. */
const PIDFD_SEND_SIGNAL = 424
const PIDFD_OPEN = 434
const KILL = process.arch === 'x64' ? 62 : 129
const HANDLES = [PIDFD_SEND_SIGNAL, PIDFD_OPEN]

const canRefuse = () => {
  const [command, ...args] = [...refusing(KILL), 'sh', '-c', 'kill -0 $$ 2>/dev/null']
  return process.platform === 'linux' && spawnSync(command, args).status === 1
}
const skip = canRefuse() ? false : 'needs seccomp, and perl'

/** A program with session `a`, whose CLI has started children, also some whose parent has ended; it says their pids. */
const parent = async ({ manager, say, heard }) => {
  const warnings = []
  process.on('warning', ({ code, message }) => warnings.push({ code, message }))
  const mgr = manager()
  await mgr.spawn('a')
  const pids = []
  for (const kind of ['children', 'orphans']) {
    pids.push(...JSON.parse((await mgr.send('a', `stand-in: spawn-${kind} 2`)).text))
  }
  say(pids)
  await heard()
  const { closed } = mgr.sessions.get('a')
  mgr.kill('a')
  await closed
  await mgr.close()
  say(warnings)
}

for (const [what, calls] of [
  ['handles of processes', [PIDFD_OPEN]],
  ['signals by handles', [PIDFD_SEND_SIGNAL]],
]) {
  test(`a kill reaches all that a session has started where the system refuses ${what}`, { skip }, async (t) => {
    const host = hostWorld(t).start(parent, { wrapper: refusing(...calls) })
    const pids = await host.said()
    assert.equal(pids.filter(isAlive).length, 4)
    host.tell('kill')
    assert.deepEqual(await host.finished(), [[]])
    assert.deepEqual(pids.filter(isAlive), [])
  })
}

test(
  'the keeper ends what a killed program leaves where the system refuses handles of processes',
  { skip },
  async (t) => {
    const host = hostWorld(t).start(parent, { wrapper: refusing(...HANDLES) })
    const pids = await host.said()
    host.kill('SIGKILL')
    await host.closed
    await until(() => !pids.some(isAlive), 'the end of what it started')
  },
)

/** A program that says the first warning that it gets after it has started a session. */
const warned = async ({ manager, say }) => {
  process.on('warning', ({ code, message }) => say({ code, message }))
  const mgr = manager()
  await mgr.spawn('a', { prompt: 'hello' })
  await mgr.spawn('b', { prompt: 'hello' })
  await mgr.close()
}

test('where no process can be signalled, the program is warned once, with its first session', { skip }, async (t) => {
  const host = hostWorld(t).start(warned, { wrapper: refusing(...HANDLES, KILL) })
  const warnings = await host.finished()
  assert.equal(warnings.length, 1, JSON.stringify(warnings))
  assert.equal(warnings[0].code, 'CLEARCTX_TREE_KILL')
  assert.match(warnings[0].message, /cannot signal a process: Operation not permitted/)
})

/** Runs a command as root for whoever may not: as `sudo` does. Skips where file systems do not allow that. */
function asRoot(t, w) {
  const file = join(w.dir, 'as-root')
  copyFileSync(spawnSync('sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).stdout.trim(), file)
  chmodSync(file, 0o4755)
  chmodSync(w.dir, 0o755)
  const { stdout } = spawnSync('setpriv', [...AS_NOBODY, file, '--reuid=0', 'id', '-u'], { encoding: 'utf8' })
  if (stdout.trim() !== '0') t.skip('the file system allows no change of users')
  return file
}

test(
  'a tool that runs as another user outlives a kill, and the program is told of it',
  { skip: process.getuid?.() === 0 ? NEEDS_NOBODY : 'needs root' },
  async (t) => {
    const w = hostWorld(t)
    const command = `${asRoot(t, w)} --reuid=0 sleep 61`
    const host = w.start(
      async ({ manager, say, heard }, given) => {
        process.on('warning', ({ code, message }) => say({ code, message }))
        const mgr = manager()
        await mgr.spawn('a', { allowedTools: ['Bash'] })
        const session = mgr.sessions.get('a')
        mgr.send('a', `stand-in: tool Bash ${JSON.stringify({ command: given })}`).catch(() => {})
        say(session.pid)
        await heard()
        mgr.kill('a')
        await session.closed
        say('closed')
      },
      { args: [command], wrapper: ['setpriv', ...AS_NOBODY] },
    )
    const cli = await host.said()
    const tool = () => descendants(cli).find((pid) => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid === 0)
    await until(tool, 'the tool')
    const pid = tool()
    host.tell('kill')
    const { code, message } = await host.said()
    assert.equal(code, 'CLEARCTX_TREE_KILL')
    assert.ok(message.endsWith(`: ${pid}`), message)
    assert.equal(await host.said(), 'closed')
    assert.ok(isAlive(pid))
    process.kill(pid, 'SIGKILL')
    await host.finished()
  },
)
