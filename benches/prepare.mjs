// What the benchmarks run on: the stand-in, built here, and the Agent SDK, fetched once into the cache.

import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { npm, root, run, step } from '../scripts/lib/tools.mjs'

/** Pinned: figures of another version are figures of another peer. */
export const AGENT_SDK_VERSION = '0.3.330'

const AGENT_SDK = '@anthropic-ai/claude-agent-sdk'

/** Path of the built stand-in. */
export function standIn() {
  const target = join(root, 'target', 'benches')
  const args = ['--quiet', '--release', '--locked', '--manifest-path', join(root, 'benches/stand-in/Cargo.toml')]
  run('cargo', ['build', ...args, '--target-dir', target], { what: 'building the stand-in' })
  return join(target, 'release', process.platform === 'win32' ? 'bench-stand-in.exe' : 'bench-stand-in')
}

/** Path of the Agent SDK's module. Its optional packages hold a CLI each, of which nothing is used here. */
export async function agentSdk() {
  const cache = process.env.CLEARCTX_CACHE_DIR || join(homedir(), '.cache', 'clearctx')
  const folder = join(cache, `agent-sdk-${AGENT_SDK_VERSION}`)
  const module = join(folder, 'node_modules', AGENT_SDK, 'sdk.mjs')
  if (!existsSync(join(folder, 'complete'))) {
    mkdirSync(folder, { recursive: true })
    const dependencies = { [AGENT_SDK]: AGENT_SDK_VERSION }
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
    const args = ['install', '--prefix', folder, '--omit=optional', '--no-audit', '--no-fund', '--loglevel=error']
    await step(`fetching the Agent SDK ${AGENT_SDK_VERSION}`, () => npm(args))
    writeFileSync(join(folder, 'complete'), '')
  }
  return module
}
