// Builds what the package of a platform holds, into its folder in npm/.
//
//   node scripts/build/platform.mjs [PLATFORM] [CARGO-ARGUMENT...]       by default this platform
//
// Linux binaries are linked by zig, against an old glibc or musl, on any Linux; the others need their own system. Each
// file that the package lists and that is not the addon is a program with a crate of its name: `clearctx-NAME.PLATFORM`.

import { copyFileSync, chmodSync, readFileSync } from 'node:fs'
import { delimiter, extname, join } from 'node:path'

import { pythonTools } from '../lib/cache.mjs'
import { OLDEST_GLIBC, platform } from '../lib/platforms.mjs'
import { ADDON_FEATURES, Problem, main, needRust, root, run, step } from '../lib/tools.mjs'

/** A linker for old Linux systems, from PyPI. */
const ZIG = ['ziglang==0.17.1', 'cargo-zigbuild==0.24.0']
const ZIG_FOLDER = 'zig-0.17.1'

await main(async () => {
  const [first, ...rest] = process.argv.slice(2)
  const named = first !== undefined && !first.startsWith('-')
  const wanted = platform(named ? first : undefined)
  needRust()
  const linux = wanted.target.includes('-linux-')
  const env = linux ? { PATH: [await zig(), process.env.PATH].join(delimiter), ...musl(wanted.target) } : {}
  const glibc = wanted.target.endsWith('-linux-gnu') ? `.${OLDEST_GLIBC}` : ''
  const common = [linux ? 'zigbuild' : 'build', '--release', '--locked', '--target', wanted.target + glibc]
  for (const file of wanted.manifest.files) {
    const args = [...common, ...selection(file), ...(named ? rest : process.argv.slice(2))]
    await step(`building ${file}`, () => run('cargo', args, { env, what: 'cargo' }))
    collect(wanted, file)
  }
})

/** What cargo builds for a file. A program has a crate of its name. */
function selection(file) {
  if (isAddon(file)) return ['--package', 'clearctx', '--lib', '--features', ADDON_FEATURES]
  return ['--package', programOf(file)]
}

/** `clearctx-NAME.PLATFORM` is the program `clearctx-NAME`. */
function programOf(file) {
  return file.split('.')[0]
}

/** The folder with cargo-zigbuild. */
function zig() {
  return step('looking for zig', () => pythonTools(ZIG, ZIG_FOLDER))
}

/** A library that is loaded cannot bring its C library along. */
function musl(target) {
  if (!target.endsWith('-musl')) return {}
  return { RUSTFLAGS: [process.env.RUSTFLAGS, '-C target-feature=-crt-static'].filter(Boolean).join(' ') }
}

function isAddon(file) {
  return extname(file) === '.node'
}

/** Copies one built file under the name that the package gives it. */
function collect({ target, folder }, file) {
  const built = join(
    process.env.CARGO_TARGET_DIR ?? join(root, 'target'),
    target,
    'release',
    isAddon(file) ? library(target) : programOf(file),
  )
  try {
    copyFileSync(built, join(folder, file))
    chmodSync(join(folder, file), 0o755)
  } catch (error) {
    throw new Problem(`${file} was not built: ${error.message}`)
  }
  console.log(`clearctx: ${join(folder, file).slice(root.length + 1)}: ${readFileSync(built).length} bytes`)
}

function library(target) {
  if (target.includes('-windows-')) return 'clearctx.dll'
  return target.includes('-apple-') ? 'libclearctx.dylib' : 'libclearctx.so'
}
