// Tools and programs that only some scripts need, fetched once from their registries at an exact version and kept outside
// the checkout: in $CLEARCTX_CACHE_DIR, else ~/.cache/clearctx. Any number of processes may ask at once.

import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { Problem } from './tools.mjs'

const FETCH_TIMEOUT_MS = 600_000
const COMPILE_TIMEOUT_MS = 3_600_000

const cache = process.env.CLEARCTX_CACHE_DIR || join(homedir(), '.cache', 'clearctx')

/**
 * The folder of an npm package's files, without its dependencies. `name` is the folder's name in the cache, `prepare` gets
 * the unpacked files before they are put there.
 */
export function npmPackage(spec, name, { timeout = FETCH_TIMEOUT_MS, prepare = async () => {} } = {}) {
  return kept(name, async (folder) => {
    await npm(['pack', spec, '--loglevel=error'], folder, timeout)
    const tarball = (await readdir(folder)).find((file) => file.endsWith('.tgz'))
    if (tarball === undefined) throw new Problem(`npm pack ${spec} left no tarball`)
    await capture('tar', ['-xzf', tarball], folder)
    const unpacked = join(folder, 'package')
    await prepare(unpacked)
    return unpacked
  })
}

/** The folder in which these npm packages are installed with their dependencies; no script of theirs is run. */
export function npmInstall(specs, name) {
  return kept(name, async (folder) => {
    await npm(['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', ...specs], folder)
    return folder
  })
}

/** The folder of programs of a Python environment that holds these packages. */
export async function pythonTools(packages, name) {
  // An environment knows its own path: it is made where it stays, and counts once the marker is there.
  const folder = join(cache, name)
  const programs = join(folder, process.platform === 'win32' ? 'Scripts' : 'bin')
  const marker = join(folder, 'complete')
  if (!(await exists(marker))) {
    const python = process.platform === 'win32' ? 'python' : 'python3'
    await capture(python, ['-m', 'venv', '--clear', folder])
    await capture(join(programs, 'python'), ['-m', 'pip', 'install', '--quiet', ...packages])
    await mkdir(marker)
  }
  return programs
}

/** The program of this name from Rust's registry, which is compiled here: some minutes, once. */
export async function cargoTool(name, version, args = []) {
  const folder = await kept(`${name}-${version}`, async (root) => {
    const target = join(root, 'target')
    await capture(
      'cargo',
      ['install', '--quiet', '--locked', '--root', root, ...args, `${name}@${version}`],
      root,
      COMPILE_TIMEOUT_MS,
      {
        ...process.env,
        CARGO_TARGET_DIR: target,
      },
    )
    await rm(target, { recursive: true, force: true })
    return root
  })
  return join(folder, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
}

/** A folder of the cache, made by `make` if it is not there. Under its final name a folder is always complete. */
async function kept(name, make) {
  const folder = join(cache, name)
  if (await exists(folder)) return folder
  await mkdir(cache, { recursive: true })
  const temporary = await mkdtemp(join(cache, 'fetch-'))
  try {
    await rename(await make(temporary), folder).catch(async (error) => {
      // Another process was faster; its copy is as good as ours.
      if (!(await exists(folder))) throw error
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
  return folder
}

/** What npm prints. Runs the npm that runs this script, where there is one: a `.cmd` shim then does not matter. */
export function npm(args, cwd, timeout = FETCH_TIMEOUT_MS) {
  const script = process.env.npm_execpath
  if (script) return capture(process.execPath, [script, ...args], cwd, timeout)
  return capture('npm', args, cwd, timeout)
}

/** Resolves with what the program printed; a failure is a `Problem` with its words. */
export async function capture(program, args, cwd, timeout = FETCH_TIMEOUT_MS, env = process.env) {
  try {
    const maxBuffer = 64 * 1024 * 1024
    return (await promisify(execFile)(program, args, { cwd, timeout, env, maxBuffer })).stdout
  } catch (error) {
    const said = [error.stdout, error.stderr].filter(Boolean).join('\n').trim()
    throw new Problem(`${[program, ...args].join(' ')} failed: ${said || error.message}`)
  }
}

async function exists(path) {
  return (await stat(path).catch(() => null)) !== null
}
