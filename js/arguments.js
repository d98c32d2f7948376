'use strict'

// Checks of callers' arguments. As in clearctx 3, null, undefined, 0 and '' (and NaN) mean "not given"; any other value of
// a wrong type is refused before anything is started or stored.

const { isAbsolute, resolve } = require('node:path')

const { typeError, valueError } = require('./errors')

/** @returns {boolean} whether clearctx 3 would use a default instead of the value */
function isMissing(value) {
  return value === undefined || value === null || value === 0 || value === '' || Number.isNaN(value)
}

function text(value, argument) {
  if (isMissing(value)) return undefined
  if (typeof value !== 'string') throw typeError(argument, 'a string', value)
  // A command line is UTF-8 and cannot hold a lone surrogate.
  return withoutNul(value, argument).toWellFormed()
}

// A text for a command line or a path cannot contain the character that ends such strings.
function withoutNul(value, argument) {
  if (value.includes('\0')) throw valueError(argument, 'a string without null characters', value)
  return value
}

/** An absolute directory: it stays the same when the program changes its own. */
function directory(value, argument) {
  const path = text(value, argument)
  return path === undefined || isAbsolute(path) ? path : resolve(path)
}

function positive(value, argument) {
  if (isMissing(value)) return undefined
  if (typeof value !== 'number') throw typeError(argument, 'a number', value)
  if (value < 0) throw valueError(argument, 'a positive number', value)
  return value
}

function flag(value, argument) {
  if (isMissing(value)) return false
  if (typeof value !== 'boolean') throw typeError(argument, 'a boolean', value)
  return value
}

/** A time in ms; infinity becomes a very long time, which JSON can express. */
function milliseconds(value, argument) {
  const ms = positive(value, argument)
  return ms === Infinity ? Number.MAX_VALUE : ms
}

function texts(value, argument) {
  if (isMissing(value)) return undefined
  if (!Array.isArray(value)) throw typeError(argument, 'an array of strings', value)
  value.forEach((item, index) => {
    if (typeof item !== 'string') throw typeError(`${argument}[${index}]`, 'a string', item)
    withoutNul(item, `${argument}[${index}]`)
  })
  return value.map((item) => item.toWellFormed())
}

/** A required, non-empty string. Lone surrogates would not survive in a file. */
function name(value, argument = 'name') {
  if (typeof value !== 'string') throw typeError(argument, 'a non-empty string', value)
  if (value === '') throw valueError(argument, 'a non-empty string', value)
  if (!value.isWellFormed()) throw valueError(argument, 'a string without lone surrogates', value)
  return withoutNul(value, argument)
}

/** An options object; an empty one if it is not given. */
function object(value, argument = 'options') {
  if (value === undefined || value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value)) throw typeError(argument, 'an object', value)
  return value
}

/** An array of options objects. */
function list(value, argument) {
  if (!Array.isArray(value)) throw typeError(argument, 'an array', value)
  value.forEach((item, index) => {
    if (typeof item !== 'object' || item === null) throw typeError(`${argument}[${index}]`, 'an object', item)
  })
  return value
}

/** An optional message: a string or an array of content blocks. */
function optionalMessage(value, argument) {
  return isMissing(value) ? undefined : message(value, argument)
}

/** A required message. */
function message(value, argument = 'message') {
  const expected = 'a non-empty string or a non-empty array of content blocks'
  if (typeof value === 'string') {
    if (value === '') throw valueError(argument, expected, value)
    return value
  }
  if (!Array.isArray(value)) throw typeError(argument, expected, value)
  if (value.length === 0) throw valueError(argument, expected, value)
  value.forEach((block, index) => {
    if (typeof block?.type !== 'string') {
      throw typeError(`${argument}[${index}]`, 'a content block, an object with a "type"', block)
    }
  })
  return value
}

function environment(value, argument) {
  if (isMissing(value)) return undefined
  const env = {}
  for (const [key, entry] of Object.entries(object(value, argument))) {
    if (key === '' || key.includes('=')) throw valueError(argument, 'an object whose keys name variables', key)
    withoutNul(key, argument)
    // JSON has only null for "remove this variable".
    if (entry === undefined || entry === null) env[key] = null
    else if (typeof entry !== 'string') throw typeError(`${argument}.${key}`, 'a string', entry)
    else env[key] = withoutNul(entry, `${argument}.${key}`)
  }
  return env
}

/** The options of a session. */
function sessionOptions(options, argument = 'options') {
  return {
    model: text(options.model, `${argument}.model`),
    workDir: directory(options.workDir, `${argument}.workDir`),
    permissionMode: text(options.permissionMode, `${argument}.permissionMode`),
    allowedTools: texts(options.allowedTools, `${argument}.allowedTools`),
    systemPrompt: text(options.systemPrompt, `${argument}.systemPrompt`),
    maxBudget: positive(options.maxBudget, `${argument}.maxBudget`),
    agent: text(options.agent, `${argument}.agent`),
    timeout: milliseconds(options.timeout, `${argument}.timeout`),
    tags: texts(options.tags, `${argument}.tags`),
  }
}

/** The options of the CLI's program. */
function runOptions(options, argument = 'options') {
  return {
    claudePath: text(options.claudePath, `${argument}.claudePath`),
    env: environment(options.env, `${argument}.env`),
    stopTimeout: milliseconds(options.stopTimeout, `${argument}.stopTimeout`),
    killTimeout: milliseconds(options.killTimeout, `${argument}.killTimeout`),
  }
}

/** The options of the store. */
function storeOptions(options, argument = 'options') {
  const durability = text(options.durability, `${argument}.durability`) ?? 'os'
  if (durability !== 'os' && durability !== 'disk')
    throw valueError(`${argument}.durability`, "'os' or 'disk'", durability)
  const maxHistory = positive(options.maxHistory, `${argument}.maxHistory`)
  if (maxHistory !== undefined && !(Number.isInteger(maxHistory) && maxHistory < 2 ** 32)) {
    throw valueError(`${argument}.maxHistory`, 'an integer below 2^32', maxHistory)
  }
  return { durability, maxHistory }
}

module.exports = {
  flag,
  isMissing,
  list,
  message,
  milliseconds,
  name,
  object,
  optionalMessage,
  positive,
  runOptions,
  sessionOptions,
  storeOptions,
  text,
}
