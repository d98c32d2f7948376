'use strict'

/** Money and tokens: running totals of a process, by model, and what was added since the last result. */

const { contextWindow } = require('./habits.js')

const emptyModel = () => ({ inputTokens: 0, outputTokens: 0, costUsd: 0 })

class Totals {
  constructor(habit) {
    this.habit = habit
    this.models = {}
    this.apiMs = 0
    this.sinceLastResult = {}
  }

  /** Continue from what was saved with a conversation. */
  restore(saved) {
    this.models = structuredClone(saved.models)
    this.apiMs = saved.apiMs
  }

  snapshot() {
    return { models: this.models, apiMs: this.apiMs, totalCostUsd: this.costUsd() }
  }

  reset() {
    this.models = {}
    this.apiMs = 0
    this.sinceLastResult = {}
  }

  /** Charge one model call. */
  charge(model, usage, apiMs) {
    const { inputUsdPerMillion, outputUsdPerMillion } = this.habit
    const costUsd = (usage.input * inputUsdPerMillion) / 1e6 + (usage.output * outputUsdPerMillion) / 1e6
    for (const models of [this.models, this.sinceLastResult]) {
      const entry = (models[model] ??= emptyModel())
      entry.inputTokens += usage.input
      entry.outputTokens += usage.output
      entry.costUsd += costUsd
    }
    this.apiMs += apiMs
  }

  costUsd() {
    return Object.values(this.models).reduce((sum, entry) => sum + entry.costUsd, 0)
  }

  modelUsage() {
    return describeModels(this.habit, this.models)
  }

  /** The per-turn figures; asking for them starts the next turn's. */
  takeSinceLastResult() {
    const models = this.sinceLastResult
    this.sinceLastResult = {}
    return describeModels(this.habit, models)
  }
}

const describeModels = (habit, models) =>
  Object.fromEntries(Object.entries(models).map(([name, entry]) => [name, describeModel(habit, name, entry)]))

const describeModel = (habit, name, entry) => ({
  inputTokens: entry.inputTokens,
  outputTokens: entry.outputTokens,
  cacheReadInputTokens: 0,
  cacheCreationInputTokens: 0,
  webSearchRequests: 0,
  costUSD: entry.costUsd,
  contextWindow: contextWindow(habit, name),
  maxOutputTokens: habit.maxOutputTokens,
  ...(habit.newer && {
    thinkingTokens: 0,
    cacheCreationEphemeral5mInputTokens: 0,
    cacheCreationEphemeral1hInputTokens: 0,
    canonicalModel: name,
    provider: 'firstParty',
    costBasis: 'list',
  }),
})

module.exports = { Totals }
