'use strict'

// Checks of callers' arguments. As in clearctx 3, null, undefined, 0 and '' mean "not given"; any other value of a
// wrong type is refused before anything is started or stored. So is NaN where a number is wanted: it is the outcome of a
// calculation that went wrong, and the default in its place would hide that.

const { isAbsolute, resolve } = require('node:path')

const { typeError, valueError } = require('./errors')
const { checkNames, checkNoMore, warnOnce } = require('./option-names')

/** @returns {boolean} whether clearctx 3 would use a default instead of the value */
function isMissing(value) {
  return value === undefined || value === null || value === 0 || value === ''
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
  if (!(value >= 0)) throw valueError(argument, 'a positive number', value)
  return value
}

/** USD. Who gives 0 may mean "spend nothing", which it never meant. */
function budget(value, argument) {
  if (value === 0) warnOnce('CLEARCTX_ZERO_BUDGET', `${argument} is 0, which means "not given": there is no limit.`)
  return positive(value, argument)
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

/** JSON of a control request. */
function request(value, argument) {
  const { subtype } = object(value, argument)
  if (typeof subtype !== 'string' || subtype === '') {
    throw typeError(`${argument}.subtype`, 'a non-empty string', subtype)
  }
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw Object.assign(typeError(argument, 'an object that can be written as JSON', value), { cause })
  }
}

/** A number of tokens; 0 counts, `null` is the CLI's own. */
function tokens(value, argument) {
  if (value === null || value === undefined) return null
  if (typeof value !== 'number') throw typeError(argument, 'a number or null', value)
  if (!(value >= 0)) throw valueError(argument, 'a positive number', value)
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

/** The options of a session, and how each is checked. */
const sessionChecks = {
  model: text,
  workDir: directory,
  permissionMode: text,
  allowedTools: texts,
  systemPrompt: text,
  maxBudget: budget,
  agent: text,
  timeout: milliseconds,
  tags: texts,
}

/** The options of the CLI's program. */
const runChecks = {
  claudePath: text,
  env: environment,
  stopTimeout: milliseconds,
  killTimeout: milliseconds,
}

const sessionNames = Object.keys(sessionChecks)
const runNames = Object.keys(runChecks)
const storeNames = ['durability', 'maxHistory']
/** What a program answers and hears while a turn runs: options of a manager and of a session. */
const liveNames = [
  'canUseTool',
  'controlTimeout',
  'deltaInterval',
  'failFast',
  'hooks',
  'includePartialMessages',
  'permissionTimeout',
  'permissions',
]
const managerNames = [
  'dataDir',
  'defaultModel',
  'defaultPermissionMode',
  'defaultTimeout',
  ...runNames,
  ...storeNames,
  ...liveNames,
]

/** The options of each call, by the name that messages give it. */
const optionNames = {
  'new SessionManager()': managerNames,
  'new Store()': storeNames,
  'store.list()': ['offset', 'limit', 'fields'],
  'new StreamSession()': ['name', 'sessionId', ...sessionNames, ...runNames, ...liveNames],
  // The elements of a batch are options, too.
  'spawn()': ['name', 'prompt', ...sessionNames, ...liveNames],
  'fork()': ['message', ...sessionNames, ...liveNames],
  'resume()': liveNames,
  'send()': ['timeout', 'signal'],
  'stream()': ['timeout', 'signal', 'backpressure'],
  'interrupt()': ['dropQueue', 'timeout'],
  'control()': ['timeout'],
  'rewindFiles()': ['dryRun'],
  'recover()': ['resume', 'resend', 'options'],
  'close()': ['timeout'],
}

/** The properties of a session's state: programs pass one as options, to have another session like it. */
const stateNames = 'id claudeSessionId status totalCostUsd totalTurns interactionCount interactions created pid parent'
const recordNames = 'owner lastSaved lostAt cliTotals pending newSessionId needs lastError pendingPermissions'
const isState = (given) => 'claudeSessionId' in given && 'totalTurns' in given
const stateFields = ['name', 'sessionId', ...stateNames.split(' '), ...recordNames.split(' ')]

/** The options object of a call; not given is an empty one. Warns of names that the call does not have. */
function options(value, call) {
  const given = object(value)
  checkNames(given, call, optionNames, isState(given) ? stateFields : [])
  return given
}

/** The options of a session. */
function sessionOptions(given, argument = 'options') {
  return checked(sessionChecks, given, argument)
}

/** The options of the CLI's program. */
function runOptions(given, argument = 'options') {
  return checked(runChecks, given, argument)
}

function checked(checks, given, argument) {
  const names = Object.keys(checks)
  return Object.fromEntries(names.map((key) => [key, checks[key](given[key], `${argument}.${key}`)]))
}

/** Which part of a list is wanted. */
function listing(given, argument = 'options') {
  const { offset, limit, fields } = checked({ offset: positive, limit: positive, fields: texts }, given, argument)
  return { offset, limit, fields }
}

/** The options of the store. */
function storeOptions(given, argument = 'options') {
  const durability = text(given.durability, `${argument}.durability`) ?? 'os'
  if (durability !== 'os' && durability !== 'disk')
    throw valueError(`${argument}.durability`, "'os' or 'disk'", durability)
  const maxHistory = positive(given.maxHistory, `${argument}.maxHistory`)
  if (maxHistory !== undefined && !(Number.isInteger(maxHistory) && maxHistory < 2 ** 32)) {
    throw valueError(`${argument}.maxHistory`, 'an integer below 2^32', maxHistory)
  }
  return { durability, maxHistory }
}

module.exports = {
  flag,
  isMissing,
  list,
  listing,
  message,
  milliseconds,
  name,
  noMore: checkNoMore,
  object,
  optionalMessage,
  options,
  positive,
  request,
  runOptions,
  sessionOptions,
  storeOptions,
  text,
  texts,
  tokens,
}
