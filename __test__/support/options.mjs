// The options of sessions and managers, by kind, what means "not given", and a manager to try them on.

import { world } from './sessions.mjs'

/** What means "not given": what the original's `||` took for it, but NaN. */
export const MISSING = [undefined, null, 0, '']

/** Options of one kind each: a text, a number that is a time or money, a list of texts. */
export const SESSION_OPTIONS = {
  model: 'text',
  workDir: 'text',
  permissionMode: 'text',
  allowedTools: 'texts',
  systemPrompt: 'text',
  maxBudget: 'number',
  agent: 'text',
  timeout: 'number',
  tags: 'texts',
}

export const RUN_OPTIONS = { claudePath: 'text', env: 'env', stopTimeout: 'number', killTimeout: 'number' }

export const MANAGER_OPTIONS = {
  dataDir: 'text',
  defaultModel: 'text',
  defaultPermissionMode: 'text',
  defaultTimeout: 'number',
  ...RUN_OPTIONS,
}

/** A world, and a manager in it. */
export function managed(t) {
  const w = world(t)
  return { w, mgr: w.manager() }
}
