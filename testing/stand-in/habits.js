'use strict'

/** The two generations of the CLI that the stand-in can behave like, and what differs between them. */

const OLDER = {
  name: 'older',
  newer: false,
  version: '2.1.197',
  inputUsdPerMillion: 5,
  outputUsdPerMillion: 25,
  maxOutputTokens: 64000,
  // The conversation reaches the disk a little after the result line.
  saveDelayMs: 80,
  // A background command does not hold the process longer than this after the end of input.
  backgroundGraceMs: 5000,
  models: {
    default: 'claude-opus-4-8[1m]',
    opus: 'claude-opus-4-8[1m]',
    sonnet: 'claude-sonnet-4-6',
    haiku: 'claude-haiku-4-5-20251001',
  },
}

const NEWER = {
  name: 'newer',
  newer: true,
  version: '2.1.330',
  inputUsdPerMillion: 4,
  outputUsdPerMillion: 20,
  maxOutputTokens: 128000,
  saveDelayMs: 0,
  backgroundGraceMs: Infinity,
  models: {
    default: 'claude-opus-5-5',
    opus: 'claude-opus-5-5',
    sonnet: 'claude-sonnet-5-5',
    haiku: 'claude-haiku-4-5-20251001',
  },
}

/** @param {string} [version] what it says it is, whatever its habits */
const chooseHabit = (name, version) => {
  const habit = namedHabit(name)
  return version ? { ...habit, version } : habit
}

const namedHabit = (name) => {
  if (!name || name === 'newer') return NEWER
  if (name === 'older') return OLDER
  throw new Error(`CLEARCTX_STAND_IN_HABIT must be older or newer, not '${name}'`)
}

/** Full name of a model, as the CLI resolves its short names; unknown names are passed through unchecked. */
const resolveModel = (habit, name) => habit.models[name || 'default'] || name

/** Millions of tokens of context: only names marked `[1m]` have them in the older habit. */
const contextWindow = (habit, model) => (habit.newer || model.endsWith('[1m]') ? 1000000 : 200000)

module.exports = { chooseHabit, resolveModel, contextWindow }
