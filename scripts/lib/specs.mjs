// The spec files of `__test__/` that need no more than the stand-in of the CLI.

import { readdirSync } from 'node:fs'
import { join, sep } from 'node:path'

import { root } from './tools.mjs'

/** The folder of those that need the real CLI; it has a runner of its own. */
const REAL = 'real/'

/** Paths of the spec files, of all or of those whose path in `__test__/` holds one of `parts`, relative to the root. */
export function specs(parts = []) {
  return readdirSync(join(root, '__test__'), { recursive: true })
    .map((file) => file.replaceAll(sep, '/'))
    .filter((file) => file.endsWith('.spec.mjs') && !file.startsWith(REAL))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .toSorted()
    .map((file) => `__test__/${file}`)
}
