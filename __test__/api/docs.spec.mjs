/**
 * Every JavaScript block of the documents is run as it stands, on the stand-in of the CLI, in an empty project with a home of its own.
 *
 * A block that loads something begins a program; the blocks after it that do not, go on with it. What `// prints: TEXT` says at
 * the end of a line is printed, in that order. A program ends by itself, with exit code 0 and without a word on standard error.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { standInPath } from '../../testing/index.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const guides = readdirSync(join(root, 'docs/guides')).map((file) => `docs/guides/${file}`)
const documents = ['README.md', 'docs/errors.md', 'docs/testing.md', ...guides]

const RUN_TIMEOUT_MS = 60_000

/** Whether a block stands on its own. */
const LOADS = /^import .* from |\brequire\(|\bawait import\(|^process\.on\(/m

/** The programs of a document: the line each begins in, and its text. */
function programsIn(document) {
  const text = readFileSync(join(root, document), 'utf8')
  const programs = []
  for (const { index, 1: code } of text.matchAll(/^```js\n([^]*?)^```$/gm)) {
    const line = text.slice(0, index).split('\n').length + 1
    if (LOADS.test(code) || programs.length === 0) programs.push({ line, code })
    else programs.at(-1).code += code
  }
  return programs
}

/** A project in which clearctx is installed, and a home in which nothing is. */
function project(t) {
  const folder = mkdtempSync(join(tmpdir(), 'clearctx-docs-'))
  t.after(() => rmSync(folder, { recursive: true, maxRetries: 5 }))
  for (const name of ['home', 'node_modules']) mkdirSync(join(folder, name))
  symlinkSync(root, join(folder, 'node_modules/clearctx'))
  writeFileSync(join(folder, 'package.json'), '{}\n')
  const env = { HOME: join(folder, 'home'), USERPROFILE: join(folder, 'home'), TMPDIR: folder, TEMP: folder }
  return { folder, env: { ...process.env, ...env, CLEARCTX_CLAUDE_PATH: standInPath } }
}

async function runs(t, { code }) {
  const { folder, env } = project(t)
  const file = /\brequire\(/.test(code) ? 'program.cjs' : 'program.mjs'
  writeFileSync(join(folder, file), file.endsWith('.cjs') ? asFunction(code) : code)
  // The variables of this test runner would make a program with tests in it one of its own files.
  delete env.NODE_TEST_CONTEXT
  delete env.CLAUDE_CONFIG_DIR
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [file], {
    cwd: folder,
    env,
    timeout: RUN_TIMEOUT_MS,
  })
  assert.equal(stderr, '')
  const printed = stdout.split('\n')
  for (const [, expected] of code.matchAll(/\/\/ prints: (.*)$/gm)) {
    const at = printed.indexOf(expected)
    assert.notEqual(at, -1, `"${expected}" was not printed:\n${stdout}`)
    printed.splice(0, at + 1)
  }
}

/** CommonJS, where documents use `await` as if they were in a function. */
function asFunction(code) {
  return `(async () => {\n${code}\n})()\n`
}

for (const document of documents) {
  describe(document, { concurrency: 2 }, () => {
    for (const program of programsIn(document)) test(`the program in line ${program.line}`, (t) => runs(t, program))
  })
}

test('each document has programs', () => {
  for (const document of documents) assert.ok(programsIn(document).length > 0, document)
})
