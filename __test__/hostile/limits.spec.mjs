/** Limits of the system, lowered under a running program: clear errors, and everything works when they are lifted. */

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

import { hostWorld } from '../support/hosts.mjs'
import { isAlive, until } from '../support/sessions.mjs'
import { AS_NOBODY, NEEDS_NOBODY } from '../support/users.mjs'

const limit = (pid, what, soft, wrapper = []) => {
  const [command, ...args] = [...wrapper, 'prlimit', '--pid', String(pid), `--${what}=${soft}:`]
  execFileSync(command, args)
}
const openFiles = (pid) => readdirSync(`/proc/${pid}/fd`).length
const skip = spawnSync('prlimit', ['--version']).status === 0 ? false : 'needs prlimit'

/** A program that does what it is told, one call at a time, and says what came of it. */
async function program({ manager, say, heard }) {
  const m = manager({ stopTimeout: 300, killTimeout: 300 })
  const calls = {
    spawn: ({ name, prompt }) => m.spawn(name, prompt === undefined ? {} : { prompt }),
    send: ({ name, message }) => m.send(name, message),
    fork: ({ name }) => m.fork('a', name),
    kill: async ({ name }) => {
      const session = m.sessions.get(name)
      m.kill(name)
      await session.closed
    },
    pid: ({ name }) => ({ text: m.sessions.get(name).pid }),
    names: () => ({ text: m.list().map(({ name }) => name) }),
    gc: () => globalThis.gc(),
  }
  say('ready')
  for (;;) {
    const { call, ...args } = await heard()
    if (call === 'end') break
    try {
      const value = await calls[call](args)
      say({ text: value?.text ?? value?.response?.text ?? null })
    } catch (error) {
      say({ code: error.code, message: error.message, cause: { ...error.cause } })
    }
  }
  await m.close()
}

async function talk(t, options) {
  const host = hostWorld(t).start(program, options)
  assert.equal(await host.said(), 'ready')
  const ask = (call, name, rest = {}) => {
    host.tell({ call, name, ...rest })
    return host.said()
  }
  const end = () => {
    host.tell({ call: 'end' })
    return host.finished()
  }
  return { host, ask, end }
}

test(
  'no file descriptors: a clear error, what runs goes on, and the next start works when there are some',
  { skip },
  async (t) => {
    const { host, ask, end } = await talk(t)
    await ask('spawn', 'a', { prompt: 'hello' })
    limit(host.pid, 'nofile', openFiles(host.pid) + 3)
    const refused = await ask('spawn', 'b')
    assert.equal(refused.code, 'ERR_START_FAILED')
    assert.match(refused.message, /Too many open files/)
    assert.deepEqual(refused.cause, { code: 'EMFILE', errno: -24 })
    assert.equal((await ask('fork', 'c')).code, 'ERR_FORK_FAILED')
    limit(host.pid, 'nofile', openFiles(host.pid))
    const answer = await ask('send', 'a', { message: 'again' })
    assert.ok(answer.text === 'echo(4): again' || answer.code === 'ERR_STORE', JSON.stringify(answer))
    limit(host.pid, 'nofile', 1024)
    assert.deepEqual((await ask('names')).text, ['a'])
    assert.equal((await ask('send', 'a', { message: 'more' })).text, 'echo(6): more')
    assert.equal((await ask('spawn', 'b', { prompt: 'now' })).text, 'echo(2): now')
    assert.match((await ask('fork', 'c')).text, /^echo\(8\)/)
    await end()
  },
)

test('no file descriptors at the very first use', { skip }, async (t) => {
  const { host, ask, end } = await talk(t)
  limit(host.pid, 'nofile', openFiles(host.pid))
  const refused = await ask('spawn', 'a')
  assert.match(refused.code, /^ERR_(START_FAILED|STORE|INTERNAL)$/)
  assert.match(refused.message, /Too many open files|os error 24/)
  limit(host.pid, 'nofile', 1024)
  assert.equal((await ask('spawn', 'a', { prompt: 'now' })).text, 'echo(2): now')
  await end()
})

test('a kill without file descriptors still ends the CLI', { skip }, async (t) => {
  const { host, ask, end } = await talk(t)
  await ask('spawn', 'a', { prompt: 'hello' })
  const { text: pid } = await ask('pid', 'a')
  limit(host.pid, 'nofile', openFiles(host.pid))
  // Whether one was left for the record depends on what else the program was at.
  assert.ok([undefined, 'ERR_STORE'].includes((await ask('kill', 'a')).code))
  await until(() => !isAlive(pid), 'the CLI is gone')
  limit(host.pid, 'nofile', 1024)
  await end()
})

// Root is exempt from this limit: the program runs as somebody else who may read the checkout all the same.
const skipProcesses = skip || (process.getuid() === 0 && NEEDS_NOBODY)

test(
  'no processes and threads: a clear error, a kill that works, and the next start when there are some',
  { skip: skipProcesses },
  async (t) => {
    const wrapper = process.getuid() === 0 ? ['setpriv', ...AS_NOBODY] : []
    const { host, ask, end } = await talk(t, { wrapper })
    await ask('spawn', 'a', { prompt: 'hello' })
    await ask('spawn', 'k', { prompt: 'hello' })
    const { text: pid } = await ask('pid', 'k')
    limit(host.pid, 'nproc', 1, wrapper)
    const refused = await ask('spawn', 'b')
    assert.equal(refused.code, 'ERR_START_FAILED')
    assert.match(refused.message, /Resource temporarily unavailable/)
    assert.deepEqual(refused.cause, { code: 'EAGAIN', errno: -11 })
    assert.equal((await ask('fork', 'c')).code, 'ERR_FORK_FAILED')
    assert.equal((await ask('send', 'a', { message: 'again' })).text, 'echo(4): again')
    assert.deepEqual(await ask('kill', 'k'), { text: null })
    await until(() => !isAlive(pid), 'the CLI is gone')
    limit(host.pid, 'nproc', 4096, wrapper)
    assert.equal((await ask('spawn', 'b', { prompt: 'now' })).text, 'echo(2): now')
    await end()
  },
)

test('no memory for a huge line: it is left out, and its session goes on', { skip }, async (t) => {
  const { host, ask, end } = await talk(t)
  await ask('spawn', 'a', { prompt: 'hello' })
  const size = Number(/VmSize:\s+(\d+) kB/.exec(readFileSync(`/proc/${host.pid}/status`, 'utf8'))[1]) * 1024
  limit(host.pid, 'as', size + (96 << 20))
  const lost = await ask('send', 'a', { message: 'stand-in: big 200' })
  assert.equal(lost.code, 'ERR_INTERNAL', JSON.stringify(lost).slice(0, 300))
  limit(host.pid, 'as', 'unlimited')
  assert.match((await ask('send', 'a', { message: 'again' })).text, /: again$/)
  await end()
})
