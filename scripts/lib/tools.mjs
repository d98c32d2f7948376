// What the scripts of this folder share: the checkout's root, progress lines, child processes, and the steps that make a
// fresh clone ready to run. Every step does nothing when there is nothing to do.

import { spawnSync } from 'node:child_process'
import { copyFileSync, readFileSync, readdirSync, renameSync, statSync, utimesSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

/** Oldest Node.js that runs the development tools (the package itself asks for less, see `engines`). */
const NODE_FOR_TOOLS = '20.19'

/** Features of the addon in all that is used: see Cargo.toml. */
export const ADDON_FEATURES = 'allocator'

/** What the addon and the keeper are made from, beside the sources in SOURCE_FOLDERS. */
const BUILD_FILES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'package.json']

const SOURCE_FOLDERS = ['src', 'crates']

/** A problem the reader can solve; shown without a stack trace. */
export class Problem extends Error {}

/** Runs a script's main function and turns problems into one clear line and exit code 1. */
export async function main(body) {
  try {
    await body()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    console.error(`\nclearctx: ${error.message}`)
    process.exitCode = 1
  }
}

/** Announces a step, runs it, and says how long it took. */
export async function step(title, work) {
  const started = performance.now()
  console.log(`clearctx: ${title} ...`)
  const result = await work()
  console.log(`clearctx: ${title}: done in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return result
}

/** Runs a program in the root with our terminal; a failure is a `Problem` that names it. */
export function run(program, args, { env = {}, what = program } = {}) {
  const result = spawnSync(program, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  if (result.error) throw new Problem(`${what} could not be run: ${result.error.message}`)
  if (result.signal || result.status === 130) throw new Problem(`${what} was ended by ${result.signal ?? 'SIGINT'}`)
  if (result.status !== 0) throw new Problem(`${what} failed with exit code ${result.status}`)
}

/** Runs a JavaScript file with this Node.js. */
export function runNode(args, options) {
  run(process.execPath, args, options)
}

/** Everything a fresh clone needs before the addon can be used: tools, packages, the built addon. */
export async function prepare() {
  needNode()
  await installPackages()
  if (!addonIsFresh()) await buildAddon()
}

/** Installs the development packages when they are missing or older than the lock file. */
export async function installPackages() {
  const installed = modified('node_modules/.package-lock.json')
  if (installed !== null && installed >= modified('package-lock.json')) return
  await step('installing the development packages (npm ci)', () =>
    npm(['ci', '--no-audit', '--no-fund', '--loglevel=error']),
  )
}

/**
 * Builds the addon and the keeper beside it, into `folder`. Cargo decides what is stale. `args` go to `napi build`, for
 * instance `['--target', 'aarch64-apple-darwin']`. Resolves with the paths of the addons that were written.
 */
export async function buildAddon({ debug = false, args = [], folder = root } = {}) {
  needRust()
  const profile = debug ? [] : ['--release']
  const napi = join(root, 'node_modules/@napi-rs/cli/dist/cli.js')
  const types = relative(folder, join(root, 'native.d.ts'))
  const files = ['--platform', '--no-js', '--output-dir', folder, '--dts', types, '--features', ADDON_FEATURES]
  const started = Date.now()
  await step(`building the native addon (${debug ? 'debug' : 'release'})`, () =>
    runNode([napi, 'build', ...files, ...profile, ...args, '--', '--locked'], { what: 'napi build' }),
  )
  const built = addons(folder).filter((file) => modified(file) > started)
  await buildKeeper(built, { debug, target: argument(args, '--target') })
  // As old as what was compiled: a file saved meanwhile is newer.
  for (const addon of built) utimesSync(join(root, addon), started / 1000, started / 1000)
  return built.map((addon) => join(root, addon))
}

/** Builds the keeper for these addons, beside them and with their ending. Windows has none. */
async function buildKeeper(built, { debug, target }) {
  const wanted = built.map(keeperOf).filter((file) => file !== null)
  if (wanted.length === 0) return
  const options = ['--locked', '--package', 'clearctx-keeper']
  if (!debug) options.push('--release')
  if (target !== undefined) options.push('--target', target)
  await step('building the keeper', () => run('cargo', ['build', ...options], { what: 'cargo build' }))
  const folders = [process.env.CARGO_TARGET_DIR || 'target', target ?? '', debug ? 'debug' : 'release']
  for (const file of wanted) {
    // Put in place by a rename: the old one may be running.
    const beside = join(root, dirname(file), `.${basename(file)}`)
    copyFileSync(resolve(root, ...folders, 'clearctx-keeper'), beside)
    renameSync(beside, join(root, file))
  }
}

/** The keeper's file for an addon's: `clearctx-keeper.linux-x64-gnu` for `clearctx.linux-x64-gnu.node`. */
function keeperOf(addon) {
  const platform = basename(addon).split('.')[1]
  return platform.startsWith('win32') ? null : join(dirname(addon), `clearctx-keeper.${platform}`)
}

function argument(args, name) {
  const at = args.indexOf(name)
  return at === -1 ? undefined : args[at + 1]
}

/** Whether addon and keeper are there and nothing that they are made from is newer. Spares asking cargo each time. */
function addonIsFresh() {
  const sources = SOURCE_FOLDERS.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true }).map((file) => `${folder}/${file}`),
  )
  const newest = Math.max(...[...sources, ...BUILD_FILES].map((file) => modified(file) ?? Infinity))
  const built = modified('native.d.ts') !== null && addons().length > 0
  const keepers = addons()
    .map(keeperOf)
    .filter((file) => file !== null)
  return (
    built && keepers.every((file) => modified(file) !== null) && addons().every((addon) => modified(addon) > newest)
  )
}

/** Addons in a folder, as paths from the root. */
function addons(folder = root) {
  return readdirSync(folder)
    .filter((file) => /^clearctx\..*\.node$/.test(file))
    .map((file) => relative(root, join(folder, file)))
}

/** Fails unless this Node.js runs the development tools. */
export function needNode() {
  if (!atLeast(process.versions.node, NODE_FOR_TOOLS)) {
    throw new Problem(`building needs Node.js ${NODE_FOR_TOOLS} or newer; this is ${process.versions.node}.`)
  }
}

/** Fails unless cargo and rustc are there and new enough for Cargo.toml's rust-version. */
export function needRust() {
  const wanted = /^rust-version = "([^"]+)"/m.exec(readFileSync(join(root, 'Cargo.toml'), 'utf8'))[1]
  for (const tool of ['cargo', 'rustc']) {
    const { stdout } = spawnSync(tool, ['--version'], { cwd: root, encoding: 'utf8' })
    const found = /\d+\.\d+\.\d+/.exec(stdout ?? '')?.[0]
    const advice = `Building needs Rust ${wanted} or newer. Install or update it from https://rustup.rs, then run the command again.`
    if (found === undefined) throw new Problem(`${tool} was not found on the PATH. ${advice}`)
    if (!atLeast(found, wanted)) throw new Problem(`${tool} is version ${found}. ${advice}`)
  }
}

/** Runs the npm that runs this script, where there is one: a path with spaces or a `.cmd` shim then does not matter. */
export function npm(args) {
  const what = `npm ${args[0]}`
  if (process.env.npm_execpath) runNode([process.env.npm_execpath, ...args], { what })
  else run('npm', args, { what })
}

function modified(file) {
  return statSync(join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? null
}

function atLeast(version, wanted) {
  return version.localeCompare(wanted, 'en', { numeric: true }) >= 0
}
