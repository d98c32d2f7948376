'use strict'

/** All directives by name. `before` ones run before the init of the turn, `during` ones between init and answer. */

const answers = require('./answers.js')
const faults = require('./faults.js')

const tables = [answers, faults.directives]

// Loaded when first needed: most turns use no tool.
const WORK = new Set([
  'slow',
  'hold',
  'stream',
  'partial',
  'late-result',
  'tool',
  'tools',
  'subagent',
  'background',
  'retry',
  'mode',
  'elicit',
])

const WIRE = new Set(['request', 'control', 'cancel-unknown', 'answer-unknown', 'think', 'contexts'])

const tableOf = (name) => {
  if (WORK.has(name)) return require('./work.js').directives
  if (WIRE.has(name)) return require('./wire.js').directives
  return tables.find((one) => Object.hasOwn(one, name))
}

const lookUp = (name) => {
  const table = tableOf(name)
  return table?.[name]
}

const unknown = (name) => ({ run: (turn) => faults.complain(turn, `unknown directive '${name}'`) })

/** @param {{ name: string, args: string, after: boolean }} directive */
const toStep = ({ name, args, after }, message) => {
  const found = lookUp(name) || unknown(name)
  return { name, args, after, phase: found.phase || 'during', run: (turn, words) => found.run(turn, words, message) }
}

module.exports = { toStep }
