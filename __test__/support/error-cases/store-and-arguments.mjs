// A store that cannot be read or written, and wrong arguments. `errors.mjs` says what a case is.

import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { Store, StreamSession } from '../../../index.js'
import { spawned } from '../errors.mjs'

export const STORE_AND_ARGUMENTS = [
  {
    what: 'a store whose directory is a file',
    code: 'ERR_STORE',
    message: /^Store \/.*\/file: ./,
    sync: true,
    call: (w) => {
      writeFileSync(join(w.dir, 'file'), '')
      return () => new Store(join(w.dir, 'file'))
    },
  },
  ...[
    'loadAll',
    'list',
    'get',
    'set',
    'delete',
    'saveAll',
    'cleanup',
    'status',
    'list',
    'history',
    'kill',
    'spawn',
  ].map((method, index) => ({
    what: `${index < 7 ? 'Store' : 'SessionManager'} ${method} on a file that cannot be read`,
    code: 'ERR_STORE',
    message: /^Store \/.*sessions\.json: ./,
    sync: method !== 'spawn',
    also: (error, w) => assert.equal(error.path, w.sessionsFile),
    call: (w) => {
      mkdirSync(w.sessionsFile, { recursive: true })
      const mgr = w.manager()
      const args = { saveAll: [{}], cleanup: [], loadAll: [], list: [] }[method] ?? ['a', {}]
      return () => (index < 7 ? mgr.store : mgr)[method](...args)
    },
  })),
  {
    what: 'an answer that came and whose record could not be written',
    code: 'ERR_STORE',
    message: /^Store \/./,
    also: (error) => {
      assert.equal(error.response.text, 'echo(4): two')
      assert.equal(error.response.turns, 1)
    },
    call: async (w) => {
      const mgr = await spawned(w)
      renameSync(w.dataDir, `${w.dataDir}-away`)
      writeFileSync(w.dataDir, 'in the way')
      return () => mgr.sessions.get('a').send('two')
    },
    after: async (w) => {
      rmSync(w.dataDir)
      renameSync(`${w.dataDir}-away`, w.dataDir)
    },
  },
  {
    what: 'an option of a wrong type',
    code: 'ERR_INVALID_ARG_TYPE',
    message: 'The options.model argument must be a string. Received type number (5)',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('a', { model: 5 })
    },
  },
  {
    what: 'a name of a wrong type',
    code: 'ERR_INVALID_ARG_TYPE',
    message: /^The name argument must be a non-empty string\. Received undefined$/,
    sync: true,
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.status()
    },
  },
  {
    what: 'an empty name',
    code: 'ERR_INVALID_ARG_VALUE',
    message: "The name argument must be a non-empty string. Received ''",
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.spawn('')
    },
  },
  {
    what: 'a negative number',
    code: 'ERR_INVALID_ARG_VALUE',
    message: /^The options\.timeout argument must be a positive number\. Received -1$/,
    sync: true,
    call: () => () => new StreamSession({ name: 'a', timeout: -1 }),
  },
]
