// npm run test:built: all tests of the public classes, on the binaries of the packed package of this platform.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { capture } from '../lib/cache.mjs'
import { packed } from '../lib/packed.mjs'
import { platform } from '../lib/platforms.mjs'
import { specs } from '../lib/specs.mjs'
import { main, root, runNode } from '../lib/tools.mjs'

const TEST_TIMEOUT_MS = 300_000

await main(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clearctx-built-'))
  try {
    await capture('tar', ['-xzf', packed().own, '-C', folder])
    for (const file of platform().manifest.files) copyFileSync(join(folder, 'package', file), join(root, file))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const flags = ['--test', '--test-reporter=spec', `--test-timeout=${TEST_TIMEOUT_MS}`]
  runNode([...flags, ...specs()], { what: 'the tests' })
})
