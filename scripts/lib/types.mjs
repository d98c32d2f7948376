// The type check.

import { runNode } from './tools.mjs'

/** Checks the public types, as a caller's compiler sees them, and the JavaScript that is checked. */
export function checkTypes() {
  for (const project of ['tsconfig.json', 'tsconfig.js.json']) {
    runNode(['node_modules/typescript/bin/tsc', '-p', project], { what: `the type check of ${project}` })
  }
}
