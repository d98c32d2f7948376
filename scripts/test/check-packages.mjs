// npm run check:packages: what scripts/build/pack.mjs made, held against what a package may be: sizes, files, no scripts, the glibc
// that its binaries need, and the opinions of publint and arethetypeswrong.

import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { capture, npmInstall } from '../lib/cache.mjs'
import { packed } from '../lib/packed.mjs'
import { OLDEST_GLIBC, platforms } from '../lib/platforms.mjs'
import { Problem, main, root, step } from '../lib/tools.mjs'

const KB = 1000
const MAIN_BYTES = 400 * KB
const PLATFORM_BYTES = 4000 * KB

/** What users need of the main package: code, types, and the documents that error messages and types point to. */
const MAIN_FILES =
  /^(index\.(js|d\.ts)|js\/.*\.js|js\/deep\/.*\.d\.ts|testing\/[^/]+|docs\/errors\.md|(README|CHANGELOG|SECURITY)\.md|LICENSE|package\.json)$/

/** What a manifest may not say: it would run or fetch something on the user's machine, or is for a checkout alone. */
const FORBIDDEN_FIELDS = [
  'private',
  'scripts',
  'dependencies',
  'devDependencies',
  'bundleDependencies',
  'overrides',
  'gypfile',
]

const ARE_THE_TYPES_WRONG = '0.18.5'

const folder = mkdtempSync(join(tmpdir(), 'clearctx-packages-'))
try {
  await main(async () => {
    const { main: mainPackage, platforms: platformPackages } = packed()
    await step('checking clearctx', () => checkMain(mainPackage))
    for (const [name, tarball] of platformPackages) {
      await step(`checking clearctx-${name}`, () => checkPlatform(platforms.get(name), tarball))
    }
    await step('publint', async () => {
      const publint = join(root, 'node_modules/publint/src/cli.js')
      for (const tarball of [mainPackage, ...platformPackages.values()])
        await capture(process.execPath, [publint, tarball, '--strict'])
    })
    await step('arethetypeswrong', async () => {
      const installed = await npmInstall(
        [`@arethetypeswrong/cli@${ARE_THE_TYPES_WRONG}`],
        `attw-${ARE_THE_TYPES_WRONG}`,
      )
      const attw = join(installed, 'node_modules/@arethetypeswrong/cli/dist/index.js')
      // Not the resolution of Node.js 10, which knows no `exports`: the package needs Node.js 20.
      await capture(process.execPath, [attw, mainPackage, '--profile', 'node16', '--no-definitely-typed'])
    })
  })
} finally {
  rmSync(folder, { recursive: true, force: true })
}

async function checkMain(tarball) {
  const { manifest, files, bytes } = await unpack(tarball)
  const extra = files.filter((file) => !MAIN_FILES.test(file))
  if (extra.length > 0) throw new Problem(`files that no user needs: ${extra.join(', ')}`)
  checkCommon('clearctx', manifest, bytes, MAIN_BYTES)
  const wanted = [...platforms.values()].map(({ manifest: { name, version } }) => `${name}@${version}`)
  const named = Object.entries(manifest.optionalDependencies).map(([name, version]) => `${name}@${version}`)
  if (wanted.join() !== named.join()) throw new Problem(`optional dependencies are ${named.join(', ')}`)
}

async function checkPlatform({ name, target, manifest: wanted }, tarball) {
  const { path, manifest, files, bytes } = await unpack(tarball)
  const expected = [...wanted.files, 'README.md', 'LICENSE', 'package.json'].toSorted()
  if (expected.join() !== files.join()) throw new Problem(`files are ${files.join(', ')}, not ${expected.join(', ')}`)
  checkCommon(`clearctx-${name}`, manifest, bytes, PLATFORM_BYTES)
  if (target.endsWith('-linux-gnu')) for (const file of wanted.files) await checkGlibc(join(path, file))
}

function checkCommon(name, manifest, bytes, limit) {
  const forbidden = FORBIDDEN_FIELDS.filter((field) => field in manifest)
  if (forbidden.length > 0) throw new Problem(`package.json of ${name} has ${forbidden.join(', ')}`)
  if (bytes > limit) throw new Problem(`${name} is ${bytes} bytes unpacked; the limit is ${limit}`)
  console.log(`clearctx: ${name}: ${bytes} of ${limit} bytes unpacked`)
}

/** Fails if a symbol of a newer glibc than ours is asked for. */
async function checkGlibc(file) {
  const symbols = await capture('objdump', ['-T', file])
  const versions = [...new Set(symbols.match(/GLIBC_[\d.]+/g))].toSorted(compareVersions)
  const newest = versions.at(-1)?.slice('GLIBC_'.length)
  if (newest === undefined) throw new Problem(`${file} names no version of glibc`)
  if (compareVersions(newest, OLDEST_GLIBC) > 0) throw new Problem(`${file} needs glibc ${newest}, not ${OLDEST_GLIBC}`)
  console.log(`clearctx: needs glibc ${newest}`)
}

function compareVersions(a, b) {
  return a.localeCompare(b, 'en', { numeric: true })
}

/** Unpacks a tarball: its folder, its manifest, its files by path, and the sum of their sizes. */
async function unpack(tarball) {
  const target = mkdtempSync(join(folder, 'package-'))
  await capture('tar', ['-xzf', tarball, '-C', target])
  const path = join(target, 'package')
  const isFile = (file) => statSync(join(path, file)).isFile()
  const files = readdirSync(path, { recursive: true })
    .map((file) => file.replaceAll('\\', '/'))
    .filter(isFile)
    .toSorted()
  const bytes = files.reduce((sum, file) => sum + statSync(join(path, file)).size, 0)
  return { path, manifest: JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')), files, bytes }
}
