'use strict'

// Loads the engine: from the package of this platform, or in a checkout from the built file.

const { existsSync } = require('node:fs')
const { join } = require('node:path')

const { isMusl, loadError, platformName } = require('./platform')

/** Supported platforms and their packages, one folder of `npm/` each. Literals, since bundlers look for these. */
const packages = {
  'darwin-arm64': () => require('clearctx-darwin-arm64'),
  'darwin-x64': () => require('clearctx-darwin-x64'),
  'linux-arm64-gnu': () => require('clearctx-linux-arm64-gnu'),
  'linux-arm64-musl': () => require('clearctx-linux-arm64-musl'),
  'linux-x64-gnu': () => require('clearctx-linux-x64-gnu'),
  'linux-x64-musl': () => require('clearctx-linux-x64-musl'),
  'win32-arm64-msvc': () => require('clearctx-win32-arm64-msvc'),
  'win32-x64-msvc': () => require('clearctx-win32-x64-msvc'),
}

/** @returns {typeof import('../native')} */
function load(name) {
  // The convention of napi-rs for a custom build.
  const given = process.env.NAPI_RS_NATIVE_LIBRARY_PATH
  if (given) return /** @type {any} */ (module).require(given)
  const built = join(__dirname, '..', `clearctx.${name}.node`)
  return existsSync(built) ? /** @type {any} */ (module).require(built) : packages[name]()
}

const name = platformName(process.platform, process.arch, isMusl())
try {
  module.exports = load(name)
} catch (cause) {
  const { version } = require('../package.json')
  throw loadError(cause, { name, version, supported: Object.keys(packages) })
}
