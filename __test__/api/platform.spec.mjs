/** Which package holds the engine, and what is said when it is not there: for platforms that this is not. */

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { describe, test } from 'node:test'

import { platforms } from '../../scripts/lib/platforms.mjs'

const require = createRequire(import.meta.url)
const { isMusl, loadError, platformName } = require('../../js/platform.js')
const root = new URL('../..', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))

/** The folders of the packages. */
const supported = readdirSync(new URL('npm', root)).toSorted()
const about = (name) => ({ name, version: '1.2.3', supported })

/** What `require` throws for a package that is not there. */
const notFound = Object.assign(new Error("Cannot find module 'a'"), { code: 'MODULE_NOT_FOUND' })

test('each supported platform has its package, and there is no other', () => {
  const loaded = readFileSync(new URL('js/engine.js', root), 'utf8').matchAll(
    /'(.+)': \(\) => require\('clearctx-(.+)'\)/g,
  )
  assert.deepEqual(
    [...loaded].map(([, name, folder]) => [name, folder]),
    supported.map((name) => [name, name]),
  )
  const targets = [...platforms.values()].map(({ target }) => target)
  assert.deepEqual(targets.toSorted(), manifest.napi.targets.toSorted())
  for (const name of supported) {
    const {
      name: packageName,
      version,
      os,
      cpu,
      libc,
    } = JSON.parse(readFileSync(new URL(`npm/${name}/package.json`, root), 'utf8'))
    assert.equal(packageName, `clearctx-${name}`)
    assert.equal(version, manifest.version)
    assert.equal(platformName(os[0], cpu[0], libc?.[0] === 'musl'), name)
  }
})

test('this process names its own C library', () => {
  const { glibcVersionRuntime } = process.report.getReport().header
  assert.equal(isMusl(), process.platform === 'linux' && glibcVersionRuntime === undefined)
})

describe('the error', () => {
  test('of a package that is missing names platform, package and command', () => {
    const error = loadError(notFound, about(platformName('linux', 'arm64', true)))
    assert.equal(error.code, 'ERR_ENGINE_NOT_LOADED')
    assert.equal(error.platform, 'linux-arm64-musl')
    assert.equal(error.package, 'clearctx-linux-arm64-musl')
    assert.equal(error.cause, notFound)
    assert.match(error.message, /for linux-arm64-musl is missing: the package "clearctx-linux-arm64-musl"/)
    assert.match(error.message, /npm install clearctx-linux-arm64-musl@1\.2\.3$/)
  })

  test('of a package that is there gives the reason, and the glibc it needs', () => {
    const reason = "/lib64/libc.so.6: version `GLIBC_2.17' not found (required by /a/clearctx.linux-x64-gnu.node)"
    const { message } = loadError(new Error(reason), about('linux-x64-gnu'))
    assert.ok(message.includes(`from the package "clearctx-linux-x64-gnu", cannot be loaded: ${reason}.`), message)
    assert.ok(message.endsWith(' The package needs glibc 2.17 or newer.'), message)
    assert.doesNotMatch(message, /missing/)
  })

  test('of a platform without a package lists those that have one', () => {
    const error = loadError(new TypeError('no function'), about(platformName('freebsd', 'x64', false)))
    assert.equal(error.package, null)
    assert.equal(error.platform, 'freebsd-x64')
    assert.equal(error.message, `There is no clearctx for freebsd-x64. Supported platforms: ${supported.join(', ')}.`)
  })
})
