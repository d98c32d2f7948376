// Fetches the real CLI at an exact version, for the tests that run on it.
//
//   node scripts/fetch-claude.mjs [VERSION...]        prints the path of each binary; without a VERSION, the pinned ones
//
// The binary comes from the platform package, since the main package only holds a wrapper around it. It is kept in
// $CLEARCTX_CACHE_DIR, else ~/.cache/clearctx, and fetched once.

import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { Problem, main } from './tools.mjs'

/** The versions that the tests run on, newest first: today's habits, and those of older versions. */
export const PINNED_VERSIONS = ['2.1.330', '2.1.197']

const PACKAGE = '@anthropic-ai/claude-code'

const FETCH_TIMEOUT_MS = 600_000
const VERSION_TIMEOUT_MS = 60_000

/**
 * The path of the CLI's native binary at `version` (`'2.1.330'`), fetched if it is not in the cache. Any number of
 * processes may ask at once. `timeout` is for the download, in ms.
 */
export async function fetchClaude(version, { timeout = FETCH_TIMEOUT_MS } = {}) {
  if (!/^\d+\.\d+\.\d+$/.test(version))
    throw new Problem(`"${version}" is no exact version such as ${PINNED_VERSIONS[0]}`)
  const platform = platformName()
  const cache = process.env.CLEARCTX_CACHE_DIR || join(homedir(), '.cache', 'clearctx')
  const folder = join(cache, `claude-code-${platform}-${version}`)
  const binary = join(folder, process.platform === 'win32' ? 'claude.exe' : 'claude')
  if (!(await exists(binary))) await install(`${PACKAGE}-${platform}@${version}`, cache, folder, timeout)
  await checkVersion(binary, version)
  return binary
}

/** The newest version that the registry serves. */
export async function newestVersion() {
  const version = (await npm(['view', PACKAGE, 'version', '--loglevel=error'], homedir(), VERSION_TIMEOUT_MS)).trim()
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Problem(`npm view ${PACKAGE} version said "${version}"`)
  return version
}

/** Packs, unpacks beside the target, renames: a folder under its final name is always complete. */
async function install(spec, cache, folder, timeout) {
  await mkdir(cache, { recursive: true })
  const temporary = await mkdtemp(join(cache, 'fetch-'))
  try {
    await npm(['pack', spec, '--loglevel=error'], temporary, timeout)
    const tarball = (await readdir(temporary)).find((file) => file.endsWith('.tgz'))
    if (tarball === undefined) throw new Problem(`npm pack ${spec} left no tarball`)
    await run('tar', ['-xzf', tarball], temporary, FETCH_TIMEOUT_MS)
    const unpacked = join(temporary, 'package')
    for (const file of await readdir(unpacked))
      if (/^claude(\.exe)?$/.test(file)) await chmod(join(unpacked, file), 0o755)
    await rename(unpacked, folder).catch(async (error) => {
      // Another process was faster; its copy is as good as ours.
      if (!(await exists(folder))) throw error
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
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

/** Runs the npm that runs this script, where there is one: a `.cmd` shim then does not matter. */
function npm(args, cwd, timeout) {
  const script = process.env.npm_execpath
  return script ? run(process.execPath, [script, ...args], cwd, timeout) : run('npm', args, cwd, timeout)
}

/** Resolves with what the program printed. */
async function run(program, args, cwd, timeout) {
  try {
    return (await promisify(execFile)(program, args, { cwd, timeout })).stdout
  } catch (error) {
    throw new Problem(`${[program, ...args].join(' ')} failed: ${(error.stderr || error.message).trim()}`)
  }
}

async function exists(path) {
  return (await stat(path).catch(() => null)) !== null
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(async () => {
    const versions = process.argv.slice(2)
    for (const version of versions.length > 0 ? versions : PINNED_VERSIONS) console.log(await fetchClaude(version))
  })
}
