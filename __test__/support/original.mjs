// The SessionManager of clearctx 3.0.0, to compare with: its text is not in this repository. It runs on our StreamSession and
// Store, since the original's are not at hand; what it decides itself is compared.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Loads it from the file that `CLEARCTX_ORIGINAL` names, its `src/manager.js`, or from the one that
 * `CLEARCTX_ORIGINAL_PAGE` names, the page of a package diff that shows this file with line numbers.
 *
 * @returns {{ Original?: typeof import('../../index.js').SessionManager, missing?: string }} the class, or why it is not there
 */
export function loadOriginal() {
  const { CLEARCTX_ORIGINAL: file, CLEARCTX_ORIGINAL_PAGE: page } = process.env
  if (!file && !page) {
    return {
      missing:
        'the original is not at hand: set CLEARCTX_ORIGINAL to the src/manager.js of clearctx 3.0.0, ' +
        'or CLEARCTX_ORIGINAL_PAGE to the page of its package diff',
    }
  }
  const dir = mkdtempSync(join(tmpdir(), 'clearctx-original-'))
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }))
  writeFileSync(join(dir, 'manager.js'), file ? readFileSync(file) : codeOnPage(readFileSync(page, 'utf8')))
  for (const module of ['store', 'stream-session']) {
    const target = JSON.stringify(join(root, 'js', 'deep', `${module}.js`))
    writeFileSync(join(dir, `${module}.js`), `module.exports = require(${target})\n`)
  }
  return { Original: require(join(dir, 'manager.js')) }
}

/** The code of a diff page: lines that begin with a plus, between line numbers and after a header. */
function codeOnPage(page) {
  const [, body] = /^@@ .*@@$([^]*)/m.exec(page)
  const lines = body.split('\n').filter((line) => line.startsWith('+'))
  return lines.map((line) => line.slice(1)).join('\n')
}
