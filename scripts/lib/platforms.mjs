// The platforms that have a package, as `npm/` and the napi block of package.json name them.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { Problem, root } from './tools.mjs'

/** Oldest glibc that the Linux binaries run on; also named in js/platform.js and the README. */
export const OLDEST_GLIBC = '2.17'

/** Rust's target of each platform. */
const targets = {
  'darwin-arm64': 'aarch64-apple-darwin',
  'darwin-x64': 'x86_64-apple-darwin',
  'linux-arm64-gnu': 'aarch64-unknown-linux-gnu',
  'linux-arm64-musl': 'aarch64-unknown-linux-musl',
  'linux-x64-gnu': 'x86_64-unknown-linux-gnu',
  'linux-x64-musl': 'x86_64-unknown-linux-musl',
  'win32-arm64-msvc': 'aarch64-pc-windows-msvc',
  'win32-x64-msvc': 'x86_64-pc-windows-msvc',
}

/** All platforms by name, with their Rust target, the folder of their package, and its manifest. */
export const platforms = new Map(
  readdirSync(join(root, 'npm')).map((name) => {
    const folder = join(root, 'npm', name)
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    return [name, { name, target: targets[name], folder, manifest }]
  }),
)

/** The platform of this name; by default that of this program. */
export function platform(name = ownName()) {
  const found = platforms.get(name)
  if (found === undefined) throw new Problem(`no package for "${name}": ${[...platforms.keys()].join(', ')}`)
  return found
}

function ownName() {
  const { platform: system, arch } = process
  return [...platforms.values()].find(({ manifest: { os, cpu, libc } }) => {
    return os.includes(system) && cpu.includes(arch) && (libc === undefined || libc.includes(ownLibrary()))
  })?.name
}

function ownLibrary() {
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
}
