'use strict'

// The one place where the engine's errors become JavaScript errors, in the realm of the caller: a test runner
// with contexts of its own has its own Error.

const { inspect } = require('node:util')

const classes = { Error, TypeError, RangeError }

/** Marks our errors, whichever copy of this package made them. */
const mark = Symbol.for('clearctx.error')

/**
 * @template {Error} E
 * @param {E} error
 * @param {string} code
 * @param {object} [data]
 * @returns {E & { code: string }}
 */
function marked(error, code, data) {
  return Object.defineProperty(Object.assign(error, { code }, data), mark, { value: true })
}

/** Whether an error comes from this package. Node's own errors have some of our codes, so the code does not say it. */
function isClearctxError(value) {
  return value instanceof Object && value[mark] === true
}

/**
 * Decodes an error of the engine.
 * @param {string | { code: string, class: string, message: string, data: object }} envelope
 * @returns {Error & { code: string }}
 */
function decodeError(envelope) {
  const parts = typeof envelope === 'string' ? JSON.parse(envelope) : envelope
  const ErrorClass = classes[parts.class] ?? Error
  const { cause, ...data } = parts.data
  const options = cause && { cause: cause.class ? decodeError(cause) : systemError(cause) }
  return marked(new ErrorClass(parts.message, options), parts.code, data)
}

/** An error of the system, with `code` and `errno` like Node's own errors. */
function systemError({ message, ...data }) {
  return Object.assign(new Error(message), data)
}

/**
 * Where a call was made. It becomes text only when somebody reads the stack of an error.
 * @typedef {{ stack: any }} CallSite
 */

/** @returns {CallSite} */
function callSite() {
  const site = { stack: undefined }
  Error.captureStackTrace(site, callSite)
  return site
}

/**
 * Gives one of our errors the stack of the call that it is the outcome of: the one of its making is only that of the event
 * loop.
 * @template {Error} E
 * @param {E} error
 * @param {CallSite} site
 * @returns {E}
 */
function calledAt(error, site) {
  if (!isClearctxError(error)) return error
  const define = (value) =>
    Object.defineProperty(error, 'stack', { value, writable: true, enumerable: false, configurable: true })
  return Object.defineProperty(error, 'stack', {
    get: () => define(stackOf(error, site)).stack,
    set: define,
    enumerable: false,
    configurable: true,
  })
}

function stackOf({ name, message }, { stack }) {
  // A program may make something else of its stacks.
  if (typeof stack !== 'string') return stack
  const at = stack.indexOf('\n    at ')
  return `${name}: ${message}${at < 0 ? '' : stack.slice(at)}`
}

/**
 * Calls the engine and decodes what it throws.
 * @template T
 * @param {() => T} native
 * @returns {T}
 */
function call(native) {
  try {
    return native()
  } catch (error) {
    throw decodeThrown(error)
  }
}

function decodeThrown(error) {
  if (error?.code?.startsWith?.('ERR_')) return error
  try {
    return decodeError(error.message)
  } catch {
    // No envelope: a panic that the binding caught, or a value it could not convert.
    const message = `Internal error: ${error?.message ?? error}`
    return marked(new Error(message, { cause: error }), 'ERR_INTERNAL')
  }
}

function describe(value) {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`
  const text = inspect(value)
  return `type ${typeof value} (${text.length > 100 ? `${text.slice(0, 100)}...` : text})`
}

/** An argument of a wrong type. */
function typeError(argument, expected, value) {
  const message = `The ${argument} argument must be ${expected}. Received ${describe(value)}`
  return marked(new TypeError(message), 'ERR_INVALID_ARG_TYPE')
}

/** An argument of the right type with an impossible value. */
function valueError(argument, expected, value) {
  const message = `The ${argument} argument must be ${expected}. Received ${inspect(value)}`
  return marked(new RangeError(message), 'ERR_INVALID_ARG_VALUE')
}

function plainError(code, message, data = {}) {
  return decodeError({ code, class: 'Error', message, data })
}

/** Errors about names: only this side knows whether they are taken or alive. Texts as in the engine's `error.rs`. */
const sessionError = {
  aborted: (name) =>
    plainError('ERR_ABORTED', `Session "${name}": the call was aborted before its message was sent`, { sent: false }),
  alreadyStarted: (name) => plainError('ERR_SESSION_EXISTS', `Session "${name}" was already started.`),
  closed: (name) => plainError('ERR_SESSION_STOPPED', `Session "${name}" was not resumed: its manager was closed.`),
  exists: (name) =>
    plainError(
      'ERR_SESSION_EXISTS',
      `Session "${name}" already exists and is alive. Kill it first or use a different name.`,
    ),
  lost: (name) => plainError('ERR_INTERNAL', `Internal error: the outcome of a message of session "${name}" was lost`),
  /** `data` says more: `cause`, the `lastError` of a session that ended unasked; `holderPid`, the program that has it. */
  notAlive: (name, data) =>
    plainError('ERR_SESSION_NOT_ALIVE', `Session "${name}" is not alive. Use resume() to restore it.`, data),
  notFound: (name) => plainError('ERR_SESSION_NOT_FOUND', `Session "${name}" not found.`),
}

module.exports = { call, callSite, calledAt, decodeError, isClearctxError, marked, sessionError, typeError, valueError }
