'use strict'

/** All directives by name. `before` ones run before the init of the turn, `during` ones between init and answer. */

const answers = require('./answers.js')
const faults = require('./faults.js')

const tables = [answers, faults.directives]

// Loaded when first needed: most turns use no tool.
const WORK = new Set(['slow', 'stream', 'partial', 'late-result', 'tool', 'subagent', 'background', 'retry', 'mode'])

const lookUp = (name) => {
  const table = WORK.has(name) ? require('./work.js').directives : tables.find((one) => Object.hasOwn(one, name))
  return table?.[name]
}

const unknown = (name) => ({ run: (turn) => faults.complain(turn, `unknown directive '${name}'`) })

/** @param {{ name: string, args: string, after: boolean }} directive */
const toStep = ({ name, args, after }, message) => {
  const found = lookUp(name) || unknown(name)
  return { name, args, after, phase: found.phase || 'during', run: (turn, words) => found.run(turn, words, message) }
}

module.exports = { toStep }
