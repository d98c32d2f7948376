'use strict'

// The platform's name, and the error for a platform without an engine. Pure except for {@link isMusl}.

const { closeSync, openSync, readSync } = require('node:fs')

const { marked } = require('./errors')

/** Bytes at the beginning of a program that contain its header, with the path of its dynamic linker. */
const HEADER_BYTES = 4096

/**
 * The name of a platform in the packages' names, even if it has no package.
 * @param {string} platform `process.platform`
 * @param {string} arch `process.arch`
 * @param {boolean} musl whether the C library of a Linux is musl
 */
function platformName(platform, arch, musl) {
  const library = { linux: musl ? '-musl' : '-gnu', win32: '-msvc' }[platform] ?? ''
  return `${platform}-${arch}${library}`
}

/** Whether this program runs on musl, by its dynamic linker: that costs less than a report of the process. */
function isMusl() {
  if (process.platform !== 'linux') return false
  const header = Buffer.alloc(HEADER_BYTES)
  try {
    const file = openSync(process.execPath, 'r')
    try {
      readSync(file, header, 0, HEADER_BYTES, 0)
    } finally {
      closeSync(file)
    }
  } catch {
    // The program may be run but not read. An unknown library counts as glibc.
  }
  return header.includes('/ld-musl-')
}

/**
 * The error for an engine that could not be loaded: names platform and package, and says what to do.
 * @param {any} cause what loading threw
 * @param {{ name: string, version: string, supported: string[] }} about the platform, clearctx, and what has a package
 */
function loadError(cause, { name, version, supported }) {
  const wanted = supported.includes(name) ? `clearctx-${name}` : null
  let message = `There is no clearctx for ${name}. Supported platforms: ${supported.join(', ')}.`
  if (wanted !== null) message = isMissing(cause) ? missing(name, wanted, version) : broken(name, wanted, cause)
  return marked(new Error(message, { cause }), 'ERR_ENGINE_NOT_LOADED', { platform: name, package: wanted })
}

function isMissing(cause) {
  return String(cause?.code).endsWith('MODULE_NOT_FOUND')
}

function missing(name, wanted, version) {
  return (
    `The engine of clearctx for ${name} is missing: the package "${wanted}" is not installed. Package managers leave ` +
    'it out when optional dependencies are omitted, and when the lock file or node_modules comes from another ' +
    'platform: remove both and install again with optional dependencies. Or add the package yourself: ' +
    `npm install ${wanted}@${version}`
  )
}

function broken(name, wanted, cause) {
  const reason = cause?.message ?? String(cause)
  const library = /GLIBC_/.test(reason) ? ' The package needs glibc 2.17 or newer.' : ''
  return `The engine of clearctx for ${name}, from the package "${wanted}", cannot be loaded: ${reason}.${library}`
}

module.exports = { isMusl, loadError, platformName }
