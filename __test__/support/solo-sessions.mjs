// A StreamSession without a manager, on the stand-in: started, logged, and what a turn of it costs.

import assert from 'node:assert/strict'
import { join } from 'node:path'

import { standInEnv } from '../../testing/index.js'
import { readLog } from './events.mjs'

/** A session that was started. */
export const started = (w, options) => {
  const session = w.session(options)
  session.start()
  return session
}

/** The options of a session whose stand-in keeps a log, and the log. */
export const logged = (w, env = {}) => {
  const log = join(w.dir, 'stand-in.log')
  return { options: { env: { ...standInEnv({ log }), ...env } }, log: () => readLog(log) }
}

export const PRICE = 0.00014
export const assertMoney = (actual, expected) =>
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`)
