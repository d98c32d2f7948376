// What cannot start: forks, programs, working directories, conversations. `errors.mjs` says what a case is.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { standInEnv, standInPath } from '../../../testing/index.js'
import { UNKNOWN_ID, check, ended, spawned } from '../errors.mjs'

export const STARTS = [
  {
    what: 'a fork that the CLI ends with an error',
    code: 'ERR_FORK_FAILED',
    message: 'Fork failed: no luck',
    has: { cost: 0.00014 },
    also: (error) => assert.match(error.sessionId, /^[0-9a-f-]{36}$/),
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { message: 'stand-in: error execution no luck' })
    },
  },
  {
    what: 'a fork of a conversation that the CLI does not know',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: .*No conversation found with session ID/,
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: UNKNOWN_ID })
      return () => mgr.fork('a', 'b')
    },
  },
  {
    what: 'a fork that takes too long',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: /,
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { message: 'stand-in: silent', timeout: 300 })
    },
  },
  {
    what: 'a fork whose process dies',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: .*(code 3|leaving)/,
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { message: 'stand-in: exit 3' })
    },
  },
  {
    what: 'a fork in a directory that does not exist',
    code: 'ERR_FORK_FAILED',
    message: 'Fork failed: Working directory "/no/such/dir" does not exist',
    also: (error) => check(error.cause, 'ERR_WORKDIR', 'Working directory "/no/such/dir" does not exist'),
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'b', { workDir: '/no/such/dir' })
    },
  },
  {
    what: 'a fork without a program',
    code: 'ERR_FORK_FAILED',
    message: /^Fork failed: Cannot run "\/no\/such\/claude": /,
    also: (error) => check(error.cause, 'ERR_CLI_NOT_FOUND', /^Cannot run "\/no\/such\/claude": /),
    call: async (w) => {
      const first = await spawned(w)
      await ended(first)
      const mgr = w.manager({ claudePath: '/no/such/claude' })
      return () => mgr.fork('a', 'b')
    },
  },
  ...[
    ['spawn', (mgr) => mgr.spawn('b')],
    ['spawn with a prompt', (mgr) => mgr.spawn('b', { prompt: 'hello' })],
    ['resume', (mgr) => mgr.resume('a')],
  ].map(([what, call]) => ({
    what: `${what} without a program`,
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run "\/no\/such\/claude": ./,
    call: async (w) => {
      await ended(await spawned(w))
      const mgr = w.manager({ claudePath: '/no/such/claude' })
      return () => call(mgr)
    },
    after: (w) => assert.deepEqual(Object.keys(w.readStore()), ['a']),
  })),
  {
    what: 'a program that cannot be executed',
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run ".*claude": ./,
    call: (w) => {
      const file = join(w.dir, 'claude')
      writeFileSync(file, '#!/bin/sh\n', { mode: 0o644 })
      const mgr = w.manager({ claudePath: file })
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'a program whose interpreter is missing',
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run ".*claude": ./,
    call: (w) => {
      const file = join(w.dir, 'claude')
      writeFileSync(file, '#!/no/such/interpreter\n')
      chmodSync(file, 0o755)
      const mgr = w.manager({ claudePath: file })
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'start() with a directory as program',
    code: 'ERR_CLI_NOT_FOUND',
    message: /^Cannot run "\/tmp": ./,
    sync: true,
    call: (w) => {
      const session = w.session({ claudePath: '/tmp' })
      return () => session.start()
    },
  },
  {
    what: 'spawn in a directory that does not exist',
    code: 'ERR_WORKDIR',
    message: 'Working directory "/no/such/dir" does not exist',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('a', { workDir: '/no/such/dir', prompt: 'hello' })
    },
  },
  {
    what: 'spawn in a file',
    code: 'ERR_WORKDIR',
    message: `Working directory "${standInPath}" is not a directory`,
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('a', { workDir: standInPath })
    },
  },
  {
    what: 'resume in a directory that is gone',
    code: 'ERR_WORKDIR',
    message: /^Working directory ".*\/gone" does not exist$/,
    call: async (w) => {
      const workDir = join(w.dir, 'gone')
      mkdirSync(workDir)
      const mgr = await spawned(w, 'a', { workDir, prompt: 'hello' })
      await ended(mgr)
      rmSync(workDir, { recursive: true })
      return () => mgr.resume('a', 'x')
    },
  },
  {
    what: 'start() in a directory that does not exist',
    code: 'ERR_WORKDIR',
    message: 'Working directory "/no/such/dir" does not exist',
    sync: true,
    call: (w) => {
      const session = w.session({ workDir: '/no/such/dir' })
      return () => session.start()
    },
  },
  {
    what: 'a prompt for a CLI that reports an error before its first turn',
    code: 'ERR_START_FAILED',
    message: 'Session "a" failed to start: out of order',
    call: (w) => {
      const mgr = w.manager({ env: standInEnv({ start: 'error-result:out of order' }) })
      return () => mgr.spawn('a', { prompt: 'hello' })
    },
  },
  {
    what: 'a message to a conversation that the CLI does not know any more',
    code: 'ERR_START_FAILED',
    message: /^Session "a" failed to start: .*No conversation found/,
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: UNKNOWN_ID })
      return () => mgr.resume('a', 'hello')
    },
  },
]
