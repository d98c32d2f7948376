// npm run test:packages: installs what scripts/build/pack.mjs made into empty folders, without a network, and uses it there.
//
//   node scripts/test/packages.mjs [CHECK...]      without a CHECK, all
//
// Checks: a Node.js by version, `this-node` (the one that runs this), `bun`, `jest`, `types`, `missing`. The runtimes come
// from the npm registry, once.

import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

import { capture, npm, npmInstall, npmPackage } from '../lib/cache.mjs'
import { packed } from '../lib/packed.mjs'
import { platform } from '../lib/platforms.mjs'
import { Problem, main, root, step } from '../lib/tools.mjs'

/** The oldest that package.json allows, and the newest of each line that the registry has. */
const NODE_VERSIONS = ['20.3.0', '20.20.2', '22.23.3', '24.21.0', '26.10.0']
const BUN = '1.4.5'
const JEST = '30.5.2'

/** Longest time of one program on the installed packages. */
const RUN_TIMEOUT_MS = 120_000

/** Blanks and letters beyond ASCII: users have such folders. */
const FOLDER_NAME = 'prüfung 試験 '

const checks = {
  'this-node': () => onNode(process.execPath),
  ...Object.fromEntries(NODE_VERSIONS.map((version) => [version, async () => onNode(await fetchNode(version))])),
  bun: async () => onBun(await fetchBun()),
  jest: onJest,
  types: onTypes,
  missing: onMissing,
}

await main(async () => {
  const wanted = process.argv.slice(2)
  const unknown = wanted.filter((name) => !Object.hasOwn(checks, name))
  if (unknown.length > 0)
    throw new Problem(`no such check: ${unknown.join(', ')}. There are ${Object.keys(checks).join(', ')}`)
  for (const name of wanted.length > 0 ? wanted : Object.keys(checks)) {
    await step(`testing the packages: ${name}`, checks[name])
  }
})

/** `require` and `import` on a Node.js. */
function onNode(node) {
  return inProject(async (folder, env) => {
    const path = { ...env, PATH: [dirname(node), env.PATH].join(delimiter) }
    for (const file of ['main.cjs', 'main.mjs']) await runs(node, [file, folder], folder, path)
  })
}

/** The same on Bun; the stand-in, a program of its own, still runs on Node.js. */
function onBun(bun) {
  return inProject(async (folder, env) => {
    for (const file of ['main.cjs', 'main.mjs']) await runs(bun, [file, folder], folder, env)
  })
}

async function onJest() {
  const folder = await npmInstall([`jest@${JEST}`], `jest-${JEST}`)
  const jest = join(folder, 'node_modules/jest/bin/jest.js')
  await inProject(async (project, env) => {
    // In one process, so that the second file meets an engine that is loaded.
    const args = [jest, '--runInBand', '--rootDir', project, '--testMatch', '**/*.test.cjs', '--detectOpenHandles']
    await capture(process.execPath, args, project, RUN_TIMEOUT_MS, { ...env, TEST_DIR: project })
  })
}

/** The types as callers' compilers find them. */
function onTypes() {
  return inProject(async (folder) => {
    mkdirSync(join(folder, 'node_modules/@types'))
    symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'), 'junction')
    const tsc = join(root, 'node_modules/typescript/bin/tsc')
    const resolutions = [
      ['node16', 'node16'],
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ]
    for (const [module, moduleResolution] of resolutions) {
      const flags = ['--strict', '--exactOptionalPropertyTypes', '--target', 'es2023', '--types', 'node', '--noEmit']
      const how = ['--module', module, '--moduleResolution', moduleResolution]
      await capture(process.execPath, [tsc, ...flags, ...how, 'types.mts'], folder)
    }
    // As CommonJS, where an `import` is a `require`.
    cpSync(join(folder, 'types.mts'), join(folder, 'types.cts'))
    const flags = ['--strict', '--target', 'es2023', '--types', 'node', '--noEmit', '--module', 'nodenext']
    await capture(process.execPath, [tsc, ...flags, '--esModuleInterop', 'types.cts'], folder)
  })
}

/** The main package without the platform's. */
async function onMissing() {
  await inProject(
    async (folder) => {
      const said = JSON.parse(await capture(process.execPath, ['missing.cjs'], folder, RUN_TIMEOUT_MS))
      const { name, manifest } = platform()
      const command = `npm install ${manifest.name}@${manifest.version}`
      const right = said.code === 'ERR_ENGINE_NOT_LOADED' && said.platform === name && said.package === manifest.name
      if (!right || !said.message.endsWith(command))
        throw new Problem(`a missing package is reported as ${JSON.stringify(said)}`)
    },
    [packed().main],
  )
}

/** Installs the packages into a new folder beside the programs of __test__/package, and calls `use(folder, environment)`. */
async function inProject(use, tarballs = [packed().main, packed().own]) {
  const folder = mkdtempSync(join(tmpdir(), FOLDER_NAME))
  try {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    await npm(['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', ...tarballs], folder)
    for (const file of readdirSync(join(root, '__test__/package')))
      cpSync(join(root, '__test__/package', file), join(folder, file))
    await use(folder, process.env)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Runs a program to its end, which must be the good one. */
async function runs(program, args, cwd, env) {
  const said = await capture(program, args, cwd, RUN_TIMEOUT_MS, env)
  if (said !== 'done\n') throw new Problem(`${[program, ...args].join(' ')} said "${said}"`)
}

async function fetchNode(version) {
  const system = { win32: 'win' }[process.platform] ?? process.platform
  const name = `node-${system}-${process.arch}`
  const program = process.platform === 'win32' ? 'node.exe' : 'node'
  const folder = await npmPackage(`${name}@${version}`, `${name}-${version}`, { prepare: executable(program) })
  return join(folder, 'bin', program)
}

async function fetchBun() {
  const arch = { arm64: 'aarch64' }[process.arch] ?? process.arch
  const name = `bun-${{ win32: 'windows' }[process.platform] ?? process.platform}-${arch}`
  const program = process.platform === 'win32' ? 'bun.exe' : 'bun'
  const folder = await npmPackage(`@oven/${name}@${BUN}`, `${name}-${BUN}`, { prepare: executable(program) })
  return join(folder, 'bin', program)
}

function executable(program) {
  return async (folder) => chmodSync(join(folder, 'bin', program), 0o755)
}
