// What tests of the store share: records of clearctx 3, files that other programs write, warnings.

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { Store } from '../../index.js'

/** A record as clearctx 3 writes it. */
export const oldRecord = (name, fields = {}) => ({
  name,
  claudeSessionId: '11111111-2222-4333-8444-555555555555',
  status: 'stopped',
  model: 'sonnet',
  workDir: '/work',
  permissionMode: 'default',
  allowedTools: [],
  systemPrompt: '',
  maxBudget: null,
  agent: null,
  totalCostUsd: 0.25,
  totalTurns: 1,
  interactions: [
    { prompt: 'p', response: 'r', cost: 0.25, turns: 1, duration: 9, timestamp: '2026-01-02T03:04:05.006Z' },
  ],
  created: '2026-01-02T03:04:05.006Z',
  ...fields,
})

export const store = (w) => new Store(w.dataDir)

/** What a record says of the fields that were given. */
export const sameFields = (record, given) =>
  assert.deepEqual(Object.fromEntries(Object.keys(given).map((key) => [key, record[key]])), given)

export const modeOf = (path) => (statSync(path).mode & 0o777).toString(8)

/** All files and directories below. */
export const below = (dir) =>
  readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name)
    return entry.isDirectory() ? [path, ...below(path)] : [path]
  })

/** Replaces sessions.json as another program does. */
export const replaceFile = (w, text) => {
  const file = join(w.dir, 'new-sessions.json')
  writeFileSync(file, text)
  renameSync(file, w.sessionsFile)
}

export const writeOld = (w, data) => {
  mkdirSync(w.dataDir, { recursive: true })
  writeFileSync(w.sessionsFile, typeof data === 'string' ? data : JSON.stringify(data, null, 2))
}

/** Collects the warnings of clearctx while the test runs; `next()` waits for one. */
export const warnings = (t) => {
  const codes = []
  const listen = (warning) => warning.code?.startsWith('CLEARCTX_') && codes.push(warning)
  process.on('warning', listen)
  t.after(() => process.off('warning', listen))
  return codes
}

/** All that was to be delivered is delivered. */
export const settled = async () => {
  for (let round = 0; round < 3; round += 1) await new Promise((resolve) => setImmediate(resolve))
}
