// npm run test:built: all tests of the public classes, on the binaries of the packed package of this platform.

import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { capture } from '../lib/cache.mjs'
import { packed } from '../lib/packed.mjs'
import { platform } from '../lib/platforms.mjs'
import { runSpecs, specs } from '../lib/specs.mjs'
import { main, root } from '../lib/tools.mjs'

await main(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'clearctx-built-'))
  try {
    await capture('tar', ['-xzf', packed().own, '-C', folder])
    for (const file of platform().manifest.files) copyFileSync(join(folder, 'package', file), join(root, file))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  runSpecs(specs(), { what: 'the tests' })
})
