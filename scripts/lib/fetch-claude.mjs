// Fetches the real CLI at an exact version, for the tests that run on it.
//
//   node scripts/lib/fetch-claude.mjs [VERSION...]        prints the path of each binary; without a VERSION, the pinned ones
//
// The binary comes from the platform package, since the main package only holds a wrapper around it. It is fetched
// once and kept in the cache.

import { execFile } from 'node:child_process'
import { chmod } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { npm, npmPackage } from './cache.mjs'
import { PINNED } from './claude-versions.mjs'
import { Problem, main } from './tools.mjs'

const PACKAGE = '@anthropic-ai/claude-code'

const FETCH_TIMEOUT_MS = 600_000
const VERSION_TIMEOUT_MS = 60_000

/**
 * The path of the CLI's native binary at `version` (`'2.1.330'`), fetched if it is not in the cache. Any number of
 * processes may ask at once. `timeout` is for the download, in ms.
 */
export async function fetchClaude(version, { timeout = FETCH_TIMEOUT_MS } = {}) {
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Problem(`"${version}" is no exact version such as ${PINNED[0]}`)
  const platform = platformName()
  const program = process.platform === 'win32' ? 'claude.exe' : 'claude'
  const folder = await npmPackage(`${PACKAGE}-${platform}@${version}`, `claude-code-${platform}-${version}`, {
    timeout,
    prepare: (files) => chmod(join(files, program), 0o755),
  })
  const binary = join(folder, program)
  await checkVersion(binary, version)
  return binary
}

/** The newest version that the registry serves. */
export async function newestVersion() {
  const version = (await npm(['view', PACKAGE, 'version', '--loglevel=error'], homedir(), VERSION_TIMEOUT_MS)).trim()
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Problem(`npm view ${PACKAGE} version said "${version}"`)
  return version
}

async function checkVersion(binary, version) {
  const env = { ...process.env, DISABLE_AUTOUPDATER: '1' }
  const { stdout } = await promisify(execFile)(binary, ['--version'], { env, timeout: VERSION_TIMEOUT_MS })
  if (stdout.trim().split(' ')[0] !== version) {
    throw new Problem(`${binary} says it is version ${stdout.trim()}, not ${version}: remove its folder and try again`)
  }
}

/** The end of the platform package's name, for instance `linux-x64-musl`. */
function platformName() {
  // Only a Node.js that runs on glibc reports a glibc version; whoever runs one on musl needs the musl binary.
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime
  return `${process.platform}-${process.arch}${musl ? '-musl' : ''}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(async () => {
    const versions = process.argv.slice(2)
    for (const version of versions.length > 0 ? versions : PINNED) console.log(await fetchClaude(version))
  })
}
