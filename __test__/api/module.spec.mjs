/** The package as callers load it: require, import, deep paths, and nothing beside them. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import * as namespace from '../../index.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const require = createRequire(import.meta.url)
const run = promisify(execFile)
const SEVERAL = { concurrency: 2 }

const CLASSES = ['SessionManager', 'Store', 'StreamSession']
const EXPORTS = [...CLASSES, 'isClearctxError']

/** What a manager and a session have alike for a live session. */
const CONTROLS = [
  'contextUsage',
  'control',
  'interrupt',
  'rewindFiles',
  'setEffort',
  'setMcpServers',
  'setModel',
  'setPermissionMode',
  'setThinking',
  'stopTask',
]

/** Members that the types promise, and the hooks for subclasses. */
const MEMBERS = {
  SessionManager: {
    length: 1,
    async: ['batch', 'close', 'fork', 'recover', 'resume', 'send', 'spawn', ...CONTROLS],
    sync: 'cleanup delete history kill lastOutput list off on once pause status stop stopAll stream'.split(' '),
    hooks: ['_getSession', '_persist', '_wireEvents'],
  },
  Store: { sync: ['cleanup', 'delete', 'get', 'list', 'loadAll', 'saveAll', 'set'], async: ['flush'], hooks: [] },
  StreamSession: {
    sync: ['kill', 'pause', 'resume', 'start', 'stop', 'stream', 'toJSON'],
    async: ['send', ...CONTROLS],
    hooks: [],
  },
}

/** A project that has clearctx installed. */
const project = (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'clearctx-module-'))
  t.after(() => rmSync(dir, { recursive: true }))
  mkdirSync(join(dir, 'node_modules'))
  mkdirSync(join(dir, 'home'))
  symlinkSync(root, join(dir, 'node_modules', 'clearctx'))
  return {
    dir,
    /** Runs a program in it and resolves with what it printed, as JSON. */
    async run(name, text) {
      writeFileSync(join(dir, name), text)
      const env = { ...process.env, HOME: join(dir, 'home') }
      const { stdout, stderr } = await run(process.execPath, [name], { cwd: dir, env, timeout: 20_000 })
      assert.equal(stderr, '')
      return JSON.parse(stdout)
    },
  }
}

describe('loading', SEVERAL, () => {
  test('require gives the three classes, isClearctxError, and nothing else', async (t) => {
    const keys = await project(t).run(
      'main.cjs',
      `const clearctx = require('clearctx')
      const { isClearctxError, ...rest } = clearctx
      const classes = typeof isClearctxError === 'function' && Object.values(rest).every((value) => /^class /.test(Function.prototype.toString.call(value)))
      console.log(JSON.stringify([Object.getOwnPropertyNames(clearctx), classes]))`,
    )
    assert.deepEqual(keys, [['SessionManager', 'StreamSession', 'Store', 'isClearctxError'], true])
  })

  test('import gives them by name, and all of them as default', async (t) => {
    const result = await project(t).run(
      'main.mjs',
      `import clearctx, { SessionManager, StreamSession, Store } from 'clearctx'
      import * as all from 'clearctx'
      import { createRequire } from 'node:module'
      const same = createRequire(import.meta.url)('clearctx')
      const dynamic = await import('clearctx')
      console.log(JSON.stringify([
        Object.keys(all).filter((key) => !['default', 'module.exports'].includes(key)),
        clearctx === same && all.default === same && dynamic.Store === Store,
        SessionManager === same.SessionManager && StreamSession === same.StreamSession && Store === same.Store,
      ]))`,
    )
    assert.deepEqual(result, [EXPORTS, true, true])
  })

  test('the deep paths of clearctx 3 are the same classes, with and without .js', async (t) => {
    const paths = { manager: 'SessionManager', 'stream-session': 'StreamSession', store: 'Store' }
    const { run: runIn } = project(t)
    const required = await runIn(
      'main.cjs',
      `const clearctx = require('clearctx')
      const paths = ${JSON.stringify(paths)}
      console.log(JSON.stringify(Object.entries(paths).map(([path, name]) =>
        [require('clearctx/src/' + path), require('clearctx/src/' + path + '.js')].every((found) => found === clearctx[name]))))`,
    )
    assert.deepEqual(required, [true, true, true])
    const imported = await runIn(
      'main.mjs',
      `import clearctx from 'clearctx'
      import SessionManager from 'clearctx/src/manager'
      import StreamSession from 'clearctx/src/stream-session.js'
      import Store from 'clearctx/src/store'
      console.log(JSON.stringify([SessionManager === clearctx.SessionManager, StreamSession === clearctx.StreamSession,
        Store === clearctx.Store]))`,
    )
    assert.deepEqual(imported, [true, true, true])
  })

  test('package.json and the testing module can be loaded, nothing else can', async (t) => {
    const result = await project(t).run(
      'main.cjs',
      `const { name, version } = require('clearctx/package.json')
      const testing = Object.keys(require('clearctx/testing'))
      const refused = ['clearctx/js/store', 'clearctx/js/store.js', 'clearctx/js/engine.js', 'clearctx/index.js',
        'clearctx/src/nothing', 'clearctx/src', 'clearctx/js/deep/store.js', 'clearctx/testing/index.js',
        'clearctx/clearctx.linux-x64-gnu.node'].map((path) => {
        try {
          require(path)
          return path + ' was loaded'
        } catch ({ code }) {
          return code
        }
      })
      console.log(JSON.stringify([name, version, testing, refused]))`,
    )
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    assert.deepEqual(result.slice(0, 2), ['clearctx', version])
    assert.ok(['standInPath', 'standInEnv'].every((key) => result[2].includes(key)))
    assert.deepEqual(new Set(result[3]), new Set(['ERR_PACKAGE_PATH_NOT_EXPORTED']))
  })

  test('the package finds itself by its own name', () => {
    assert.equal(require('clearctx'), namespace.default)
    assert.equal(require('clearctx/src/store'), namespace.Store)
  })

  test('loading prints nothing, writes nothing, and keeps no program alive', async (t) => {
    const { dir, run: runIn } = project(t)
    assert.equal(await runIn('main.cjs', `require('clearctx'); console.log(1)`), 1)
    assert.deepEqual(readdirSync(join(dir, 'home')), [])
    const made = `const { SessionManager, StreamSession, Store } = require('clearctx')
      new SessionManager()
      new StreamSession({ name: 'a' }).on('text', () => {})
      new Store()
      console.log(2)`
    assert.equal(await runIn('made.cjs', made), 2)
    assert.deepEqual(readdirSync(join(dir, 'home')), ['.clearctx'])
  })

  test('a second copy of the JavaScript in one program works beside the first', async (t) => {
    // Test runners empty the module cache between files; the addon itself stays loaded.
    const result = await project(t).run(
      'main.cjs',
      `for (const key of Object.keys(require.cache)) delete require.cache[key]
      const first = require('clearctx')
      for (const key of Object.keys(require.cache)) if (!key.endsWith('.node')) delete require.cache[key]
      const second = require('clearctx')
      const { mkdtempSync } = require('node:fs')
      const dataDir = mkdtempSync(require('node:path').join(process.env.HOME, 'data-'))
      new first.Store(dataDir).set('a', { name: 'a' })
      console.log(JSON.stringify([first.Store !== second.Store, new second.Store(dataDir).get('a').name]))`,
    )
    assert.deepEqual(result, [true, 'a'])
  })
})

describe('the surface', () => {
  test('each class has the documented members and no other', () => {
    for (const [name, { sync, async, hooks }] of Object.entries(MEMBERS)) {
      const descriptors = Object.getOwnPropertyDescriptors(namespace[name].prototype)
      const methods = Object.keys(descriptors)
        .concat(Object.getOwnPropertyNames(namespace[name].prototype))
        .filter((key, index, all) => all.indexOf(key) === index && 'value' in descriptors[key] && key !== 'constructor')
      // What EventEmitter has may be overridden.
      const inherited = Object.getOwnPropertyNames(require('node:events').EventEmitter.prototype)
      assert.deepEqual(
        methods.filter((key) => name !== 'StreamSession' || !inherited.includes(key)).toSorted(),
        [...sync, ...async, ...hooks].toSorted(),
        name,
      )
      const isStatic = (key) => !['length', 'name', 'prototype'].includes(key)
      assert.deepEqual(Object.getOwnPropertyNames(namespace[name]).filter(isStatic), [], name)
      assert.equal(namespace[name].name, name)
    }
  })

  test('the properties of a session are the documented ones', () => {
    const session = new namespace.StreamSession({ name: 'a' })
    const emitter = new (require('node:events').EventEmitter)()
    const seen = []
    for (const key in session) if (!(key in emitter)) seen.push(key)
    for (const key of Object.getOwnPropertyNames(namespace.StreamSession.prototype)) {
      const { get } = Object.getOwnPropertyDescriptor(namespace.StreamSession.prototype, key)
      if (get !== undefined) seen.push(key)
    }
    const documented = readFileSync(join(root, 'index.d.ts'), 'utf8')
    const [, text] = /export class StreamSession extends EventEmitter \{([^]*?)\n\}/.exec(documented)
    const typed = [...text.matchAll(/^ {2}(?:readonly )?(\w+)\??: /gm)].map(([, key]) => key)
    assert.ok(typed.length >= 15)
    assert.deepEqual(seen.toSorted(), typed.toSorted())
  })

  test('a manager and a store show their documented properties', (t) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'clearctx-module-'))
    t.after(() => rmSync(dataDir, { recursive: true }))
    const mgr = new namespace.SessionManager({ dataDir })
    assert.deepEqual(Object.keys(mgr).toSorted(), [
      'defaultModel',
      'defaultPermissionMode',
      'defaultTimeout',
      'sessions',
      'store',
    ])
    assert.ok(mgr.sessions instanceof Map && mgr.sessions.constructor === Map)
    assert.ok(mgr.store instanceof namespace.Store)
    assert.deepEqual(Object.keys(mgr.store).toSorted(), ['dataDir', 'sessionsFile'])
  })

  test('classes need new, and can be extended', (t) => {
    for (const name of CLASSES) assert.throws(() => namespace[name](), TypeError)
    const dataDir = mkdtempSync(join(tmpdir(), 'clearctx-module-'))
    t.after(() => rmSync(dataDir, { recursive: true }))
    class Mine extends namespace.SessionManager {
      mine = 1
    }
    class MyStore extends namespace.Store {
      get(name) {
        return super.get(name) ?? 'mine'
      }
    }
    class MySession extends namespace.StreamSession {
      #secret = 2
      secret() {
        return this.#secret
      }
    }
    assert.equal(new Mine({ dataDir }).mine, 1)
    assert.equal(new MyStore(dataDir).get('a'), 'mine')
    assert.equal(new MySession({ name: 'a' }).secret(), 2)
  })
})

describe('package.json', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

  test('every export has its types first, and every file of it exists and is published', () => {
    for (const [path, target] of Object.entries(manifest.exports)) {
      if (typeof target === 'string') {
        assert.ok(existsSync(join(root, target)), path)
        continue
      }
      assert.equal(Object.keys(target)[0], 'types', path)
      for (const file of Object.values(target)) {
        assert.ok(existsSync(join(root, file)), file)
        assert.ok(
          manifest.files.some((entry) => file === `./${entry}` || file.startsWith(`./${entry}/`)),
          `${file} is not published`,
        )
      }
    }
    assert.equal(manifest.main, 'index.js')
    assert.equal(manifest.types, 'index.d.ts')
  })

  test('what the modules load is published', () => {
    const isPublished = (file) =>
      manifest.files.some((entry) => file === entry || file.startsWith(`${entry}/`)) || file === 'package.json'
    for (const key of Object.keys(require.cache)) {
      if (!key.startsWith(root) || key.includes('node_modules') || key.endsWith('.node')) continue
      const file = key.slice(root.length)
      if (!file.startsWith('__test__/')) assert.ok(isPublished(file), `${file} is not published`)
    }
  })

  test('the types declare what is exported and no other value', () => {
    const types = readFileSync(join(root, 'index.d.ts'), 'utf8')
    const values = [...types.matchAll(/^export (?:declare )?(?:class|const|let|var|function|enum) (\w+)/gm)]
    assert.deepEqual(values.map(([, name]) => name).toSorted(), EXPORTS)
  })
})
