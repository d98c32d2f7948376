// npm run test:built: all tests of the public classes, on the binaries of the packed package of this platform.

import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { capture } from './cache.mjs'
import { packed } from './packed.mjs'
import { platform } from './platforms.mjs'
import { main, root, runNode } from './tools.mjs'

const TEST_TIMEOUT_MS = 300_000

await main(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clearctx-built-'))
  try {
    await capture('tar', ['-xzf', packed().own, '-C', folder])
    for (const file of platform().manifest.files) copyFileSync(join(folder, 'package', file), join(root, file))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const files = readdirSync(join(root, '__test__')).filter((file) => file.endsWith('.spec.mjs'))
  const flags = ['--test', '--test-reporter=spec', `--test-timeout=${TEST_TIMEOUT_MS}`]
  runNode([...flags, ...files.map((file) => join('__test__', file))], { what: 'the tests' })
})
