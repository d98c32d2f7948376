/** Random days of work: whatever is called in whatever order, this package and clearctx 3.0.0 do the same. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { INTERACTION, ORIGINAL, Original, RECORD, RESPONSE, missing, same } from '../support/compat.mjs'

test(`all cases on ${ORIGINAL}`, { skip: missing ?? false }, () => assert.equal(typeof Original, 'function'))

// --- random days of work: whatever is called in whatever order, both do the same ---

const METHODS = {
  spawn: (mgr, name, options) => mgr.spawn(name, options),
  send: (mgr, name) => mgr.send(name, 'text'),
  pause: (mgr, name) => mgr.pause(name),
  resume: (mgr, name, { prompt }) => mgr.resume(name, prompt),
  stop: (mgr, name) => mgr.stop(name),
  kill: (mgr, name) => mgr.kill(name),
  stopAll: (mgr) => mgr.stopAll(),
  delete: (mgr, name) => mgr.delete(name),
  status: (mgr, name) => mgr.status(name),
  list: (mgr, name, { filter }) => mgr.list(filter),
  history: (mgr, name) => mgr.history(name),
  lastOutput: (mgr, name) => mgr.lastOutput(name),
  batch: (mgr, name, options) => mgr.batch([{ name, ...options }, { name: 'b' }]),
}

/** The same numbers for the same seed. */
function random(seed) {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** What a value says that does not depend on the moment: fields of the original alone, ids by their order. */
function essence(value, ids) {
  if (Array.isArray(value)) return value.map((item) => essence(item, ids))
  if (typeof value === 'string') return ids.has(value) ? ids.get(value) : value
  if (typeof value !== 'object' || value === null) return value ?? null
  const kept = new Set([
    ...RECORD,
    ...RESPONSE,
    ...INTERACTION,
    'id',
    'session',
    'initData',
    'interactionCount',
    'error',
  ])
  const entries = Object.entries(value)
    .filter(([key]) => kept.has(key) && !['created', 'timestamp', 'duration', 'claudeSessionId'].includes(key))
    .map(([key, field]) => {
      if (['id', 'sessionId'].includes(key) && field !== null && !ids.has(field)) ids.set(field, `id ${ids.size}`)
      return [key, key === 'initData' ? field !== null : essence(field, ids)]
    })
  return Object.fromEntries(entries.toSorted(([one], [other]) => (one < other ? -1 : 1)))
}

async function dayOfWork({ mgr, made }, seed) {
  const next = random(seed)
  const ids = new Map()
  const trace = []
  for (let step = 0; step < 30; step += 1) {
    const method = Object.keys(METHODS)[next(Object.keys(METHODS).length)]
    const name = ['a', 'b', 'c'][next(3)]
    const options = {
      prompt: ['', 'hello', 'stand-in: error execution'][next(3)],
      filter: ['', 'ready', 'stopped'][next(3)],
    }
    let outcome
    try {
      const returned = METHODS[method](mgr, name, options)
      outcome = [returned instanceof Promise, essence(await returned, ids)]
    } catch ({ name: kind, message }) {
      outcome = [kind, message]
    }
    // In the original the late end of a stopped process takes a new session of the same name along.
    await Promise.all(made.filter((session) => mgr.sessions.get(session.name) !== session).map(({ closed }) => closed))
    trace.push([`${step}: ${method} ${name} ${options.prompt}`, outcome, [...mgr.sessions.keys()]])
    trace.push(essence(mgr.store.list(), ids))
  }
  return trace
}

for (const seed of [1, 2, 3]) {
  const traces = {}
  same(`a random day of work, number ${seed}, goes well`, async (context) => {
    traces[context.isOriginal ? 'theirs' : 'ours'] = await dayOfWork(context, seed)
  })
  if (Original === undefined) continue
  test(`and goes the same with both, number ${seed}`, () => assert.deepEqual(traces.ours, traces.theirs))
}
