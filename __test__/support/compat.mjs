/**
 * Cases for this package and for clearctx 3.0.0 itself (`original.mjs` says where it comes from).
 *
 * `same` cases hold for both. `differs` cases show a difference that is meant; each names the words of
 * docs/compatibility.md that tell users of it.
 */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { SessionManager } from '../../index.js'
import { standInPath } from '../../testing/index.js'
import { loadOriginal } from './original.mjs'
import { world } from './sessions.mjs'

export const { Original, missing } = loadOriginal()
export const ORIGINAL = 'clearctx 3.0.0'
const docs = readFileSync(new URL('../../docs/compatibility.md', import.meta.url), 'utf8')

const ours = { name: 'clearctx', Class: SessionManager }
const theirs = { name: ORIGINAL, Class: Original }

/** A case for one implementation; `run` gets what it works with. */
function define(title, { name, Class }, run) {
  if (Class === undefined) return
  test(`${title} [${name}]`, async (t) => {
    const made = []
    // Before the world's own check for processes that are left.
    t.after(async () => {
      for (const session of made) {
        session.kill()
        // One that was never started stays as it is.
        if (session.status !== 'starting') await session.closed
      }
    })
    const w = world(t)
    provide(t, w)
    class Manager extends Class {
      _wireEvents(session) {
        made.push(session)
        super._wireEvents(session)
      }
    }
    const make = (managerOptions, Sub = Manager) => new Sub({ dataDir: w.dataDir, ...managerOptions })
    await run({ mgr: make(), make, Manager, w, t, made, isOriginal: name === ORIGINAL })
  })
}

/** Both find the stand-in as a user's program finds the CLI: by the environment, and as `claude` on the PATH. */
function provide(t, w) {
  const bin = join(w.dir, 'bin')
  mkdirSync(bin)
  symlinkSync(standInPath, join(bin, 'claude'))
  const before = { ...process.env }
  Object.assign(process.env, w.env, { CLEARCTX_CLAUDE_PATH: standInPath, PATH: `${bin}:${process.env.PATH}` })
  t.after(() => {
    for (const key of Object.keys(w.env).concat('CLEARCTX_CLAUDE_PATH', 'PATH')) {
      if (before[key] === undefined) delete process.env[key]
      else process.env[key] = before[key]
    }
  })
}

/** A case that holds for both. */
export function same(title, run) {
  define(title, ours, run)
  define(title, theirs, run)
}

/** A difference that is meant: `words` of the documentation, and a case for each side. */
export function differs(title, words, cases) {
  test(`documented: ${title}`, () => assert.ok(docs.includes(words), `docs/compatibility.md does not say: ${words}`))
  define(`differs: ${title}`, ours, cases.ours)
  define(`differs: ${title}`, theirs, cases.theirs)
}

export const RESPONSE = ['text', 'cost', 'turns', 'duration', 'sessionId']
export const INTERACTION = ['prompt', 'response', 'cost', 'turns', 'duration', 'timestamp']

export const RECORD = [
  'name',
  'claudeSessionId',
  'status',
  'model',
  'workDir',
  'permissionMode',
  'allowedTools',
  'systemPrompt',
  'maxBudget',
  'agent',
  'totalCostUsd',
  'totalTurns',
  'interactions',
  'created',
]

/** The fields alone, all of which must be there. */
export function pick(object, fields) {
  for (const field of fields) assert.ok(Object.hasOwn(object, field), `${field} is missing`)
  return Object.fromEntries(fields.map((field) => [field, object[field]]))
}

export const stored = (name, fields = {}) => ({
  name,
  claudeSessionId: null,
  status: 'stopped',
  model: 'sonnet',
  workDir: process.cwd(),
  permissionMode: 'default',
  interactions: [],
  ...fields,
})

/** A stored session with a conversation that the CLI knows. */
export async function past(mgr, name, prompt = 'hello') {
  await mgr.spawn(name, { prompt })
  const session = mgr.sessions.get(name)
  mgr.stop(name)
  await session.closed
  return session
}
