'use strict'

// What a program answers and hears while a turn runs: the options that say so, and their wire form. Functions stay here;
// the engine gets names, times, and the answer that counts when a function gives none.

const check = require('./arguments')
const { typeError, valueError } = require('./errors')

/** Default time for a hook, in ms. */
const HOOK_TIMEOUT_MS = 60_000

/** Longest time for a hook, in ms: a longer timer of the CLI would fire at once. */
const LONGEST_HOOK_MS = 2 ** 31 - 1 - 10_000

/** How much longer than the engine the CLI waits for a hook, in seconds: the engine's answer is to come first. */
const CLI_PATIENCE_S = 5

/** Events at which a hook that gives no answer refuses, unless it is told otherwise. */
const refusing = new Set(['PreToolUse', 'UserPromptSubmit'])

const NO_ANSWER = 'The hook gave no answer.'

/** What a hook that gives no answer says in particular, by event, which may be any text. */
const refusals = new Map([
  ['PreToolUse', { permissionDecision: 'deny', permissionDecisionReason: NO_ANSWER }],
  ['PermissionRequest', { decision: { behavior: 'deny', message: NO_ANSWER } }],
])
const blocking = new Set(['UserPromptSubmit', 'PostToolUse', 'Stop', 'SubagentStop', 'PreCompact'])

/** Kinds of failures. */
const kinds = [
  'auth',
  'rate_limit',
  'overloaded',
  'usage_limit',
  'network',
  'server',
  'invalid_request',
  'too_long',
  'budget',
  'max_turns',
  'refused',
  'schema',
  'other',
]

/** The options, and how each is checked. */
const liveChecks = {
  canUseTool: optionalFunction,
  permissions: permissionsOf,
  permissionTimeout: check.milliseconds,
  hooks: hooksOf,
  includePartialMessages: optionalFlag,
  deltaInterval: check.milliseconds,
  controlTimeout: check.milliseconds,
  failFast: kindsOf,
}

/**
 * The functions of a session.
 * @typedef {object} Callbacks
 * @property {Function | undefined} canUseTool
 * @property {boolean} tells whether permission requests are events, too
 * @property {Map<string, { event: string, hook: Function, fallback: object }>} hooks by their ids
 */

/** The options that are given, checked. */
function liveOptions(given, argument = 'options') {
  const entries = Object.entries(liveChecks).map(([key, of]) => [key, of(given[key], `${argument}.${key}`)])
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

/**
 * What the engine is told, and the functions that answer.
 * @param {object} options checked; a call's go before a manager's
 * @returns {{ options: object, wire: object, callbacks: Callbacks }}
 */
function plan(options) {
  const {
    canUseTool,
    permissions,
    permissionTimeout,
    hooks,
    includePartialMessages,
    deltaInterval,
    controlTimeout,
    failFast,
  } = options
  const callbacks = { canUseTool, tells: permissions === 'event', hooks: new Map() }
  const needs = [...(canUseTool === undefined ? [] : ['canUseTool']), ...(hooks === undefined ? [] : ['hooks'])]
  const initialize =
    hooks === undefined ? undefined : { subtype: 'initialize', hooks: registered(hooks, callbacks.hooks) }
  const wire = {
    needs,
    asksPermission: canUseTool !== undefined || callbacks.tells,
    permissionTimeout,
    controlTimeout,
    initialize: initialize && JSON.stringify(initialize),
    hooks: Object.fromEntries(
      [...callbacks.hooks].map(([id, { timeout, fallback }]) => [id, { timeout, fallback: JSON.stringify(fallback) }]),
    ),
    partialMessages: includePartialMessages ?? false,
    deltaInterval,
    failFast,
  }
  return { options, wire, callbacks }
}

/** The hooks as the CLI is told of them; each function gets an id. */
function registered(hooks, byId) {
  const told = (event) => (entry) => {
    const { onFailure = refusing.has(event) ? 'deny' : 'allow' } = entry
    const matcher = check.text(entry.matcher, 'matcher')
    const timeout = Math.min(check.milliseconds(entry.timeout, 'timeout') ?? HOOK_TIMEOUT_MS, LONGEST_HOOK_MS)
    const fallback = onFailure === 'deny' ? refusal(event) : {}
    const hookCallbackIds = entry.hooks.map((hook) => {
      const id = `hook_${byId.size}`
      byId.set(id, { event, hook, timeout, fallback })
      return id
    })
    return { matcher, hookCallbackIds, timeout: Math.ceil(timeout / 1000) + CLI_PATIENCE_S }
  }
  return Object.fromEntries(Object.entries(hooks).map(([event, entries]) => [event, entries.map(told(event))]))
}

function refusal(event) {
  const particular = refusals.get(event)
  if (particular !== undefined) return { hookSpecificOutput: { hookEventName: event, ...particular } }
  return blocking.has(event) ? { decision: 'block', reason: NO_ANSWER } : { continue: false, stopReason: NO_ANSWER }
}

function optionalFunction(value, argument) {
  if (check.isMissing(value)) return undefined
  if (typeof value !== 'function') throw typeError(argument, 'a function', value)
  return value
}

function optionalFlag(value, argument) {
  return check.isMissing(value) ? undefined : check.flag(value, argument)
}

function kindsOf(value, argument) {
  if (check.isMissing(value)) return undefined
  const given = check.texts(value, argument)
  const at = given.findIndex((kind) => !kinds.includes(kind))
  if (at !== -1) throw valueError(`${argument}[${at}]`, `one of ${kinds.join(', ')}`, given[at])
  return given
}

function permissionsOf(value, argument) {
  const text = check.text(value, argument)
  if (text !== undefined && text !== 'event') throw valueError(argument, "'event'", value)
  return text
}

function hooksOf(value, argument) {
  if (check.isMissing(value)) return undefined
  for (const [event, entries] of Object.entries(check.object(value, argument))) {
    check.list(entries, `${argument}.${event}`)
    entries.forEach((entry, index) => checkHook(entry, `${argument}.${event}[${index}]`))
  }
  return value
}

function checkHook(entry, argument) {
  check.text(entry.matcher, `${argument}.matcher`)
  check.milliseconds(entry.timeout, `${argument}.timeout`)
  if (entry.onFailure !== undefined && entry.onFailure !== 'deny' && entry.onFailure !== 'allow') {
    throw valueError(`${argument}.onFailure`, "'deny' or 'allow'", entry.onFailure)
  }
  if (!Array.isArray(entry.hooks)) throw typeError(`${argument}.hooks`, 'an array of functions', entry.hooks)
  entry.hooks.forEach((hook, index) => {
    if (typeof hook !== 'function') throw typeError(`${argument}.hooks[${index}]`, 'a function', hook)
  })
}

module.exports = { liveOptions, plan }
