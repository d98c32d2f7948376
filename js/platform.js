'use strict'

// Which package holds the engine for which platform. Pure: what is true of this process comes in as arguments.

/** Platforms with a package of their own, `clearctx-NAME` each; the folders of `npm/`. */
const SUPPORTED = [
  'darwin-arm64',
  'darwin-x64',
  'linux-arm64-gnu',
  'linux-arm64-musl',
  'linux-x64-gnu',
  'linux-x64-musl',
  'win32-arm64-msvc',
  'win32-x64-msvc',
]

/**
 * The platform's name as the packages have it, also of one that has no package.
 * @param {string} platform `process.platform`
 * @param {string} arch `process.arch`
 * @param {boolean} musl whether the C library of a Linux is musl
 */
function platformName(platform, arch, musl) {
  const library = { linux: musl ? '-musl' : '-gnu', win32: '-msvc' }[platform] ?? ''
  return `${platform}-${arch}${library}`
}

/** @returns {boolean} whether this process runs on musl: only one on glibc reports a version of it */
function isMusl() {
  const header = /** @type {any} */ (process.report?.getReport())?.header
  return process.platform === 'linux' && header !== undefined && !header.glibcVersionRuntime
}

/** Whether every attempt to load failed because there was nothing to load. Attempts are linked by `cause`. */
function isMissing(error) {
  return reasons(error).length === 0
}

/** What went wrong with the files that are there. */
function reasons(error) {
  const found = []
  // The first error of the chain is the loader's own summary.
  for (let attempt = error?.cause; attempt; attempt = attempt.cause) {
    // The loader copies messages, not codes.
    if (!/^Cannot find (module|package)/.test(attempt.message)) found.push(attempt.message)
  }
  return found
}

/**
 * The error for an engine that the loader could not load: names platform and package, and the way out.
 * @param {any} cause what the loader threw
 * @param {string} name the platform, see {@link platformName}
 * @param {string} version of clearctx
 */
function loadError(cause, name, version) {
  const wanted = SUPPORTED.includes(name) ? `clearctx-${name}` : null
  const message = wanted === null ? unsupported(name) : failed(cause, name, wanted, version)
  return Object.assign(new Error(message, { cause }), {
    code: 'ERR_ENGINE_NOT_LOADED',
    platform: name,
    package: wanted,
  })
}

function unsupported(name) {
  return `There is no clearctx for ${name}. Supported platforms: ${SUPPORTED.join(', ')}.`
}

function failed(cause, name, wanted, version) {
  if (isMissing(cause)) {
    return (
      `The engine of clearctx for ${name} is missing: the package "${wanted}" is not installed. Package managers leave ` +
      'it out when optional dependencies are omitted, and when the lock file or node_modules comes from another ' +
      'platform: remove both and install again with optional dependencies. Or add the package yourself: ' +
      `npm install ${wanted}@${version}`
    )
  }
  const reason = reasons(cause).at(-1)
  const library = /GLIBC_/.test(reason) ? ' The package needs glibc 2.17 or newer.' : ''
  return `The engine of clearctx for ${name}, from the package "${wanted}", cannot be loaded: ${reason}.${library}`
}

module.exports = { SUPPORTED, isMusl, loadError, platformName }
