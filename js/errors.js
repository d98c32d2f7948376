'use strict'

// The one place where the engine's errors become JavaScript errors, in the realm of the caller: a test runner
// with contexts of its own has its own Error.

const { inspect } = require('node:util')

const classes = { Error, TypeError, RangeError }

/**
 * Decodes an error of the engine.
 * @param {string | { code: string, class: string, message: string, data: object }} envelope
 * @returns {Error & { code: string }}
 */
function decodeError(envelope) {
  const parts = typeof envelope === 'string' ? JSON.parse(envelope) : envelope
  const ErrorClass = classes[parts.class] ?? Error
  const { cause, ...data } = parts.data
  return Object.assign(
    new ErrorClass(parts.message, cause && { cause: cause.class ? decodeError(cause) : systemError(cause) }),
    { code: parts.code },
    data,
  )
}

/** An error of the system, with `code` and `errno` like Node's own errors. */
function systemError({ message, ...data }) {
  return Object.assign(new Error(message), data)
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
    return Object.assign(new Error(message, { cause: error }), { code: 'ERR_INTERNAL' })
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
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' })
}

/** An argument of the right type with an impossible value. */
function valueError(argument, expected, value) {
  const message = `The ${argument} argument must be ${expected}. Received ${inspect(value)}`
  return Object.assign(new RangeError(message), { code: 'ERR_INVALID_ARG_VALUE' })
}

function plainError(code, message, cause) {
  return decodeError({ code, class: 'Error', message, data: cause ? { cause } : {} })
}

/** Errors about names: only this side knows whether they are taken or alive. Texts as in the engine's `error.rs`. */
const sessionError = {
  alreadyStarted: (name) => plainError('ERR_SESSION_EXISTS', `Session "${name}" was already started.`),
  closed: (name) => plainError('ERR_SESSION_STOPPED', `Session "${name}" was not resumed: its manager was closed.`),
  exists: (name) =>
    plainError(
      'ERR_SESSION_EXISTS',
      `Session "${name}" already exists and is alive. Kill it first or use a different name.`,
    ),
  lost: (name) => plainError('ERR_INTERNAL', `Internal error: the outcome of a message of session "${name}" was lost`),
  /** `lastError` is what the record of a session that ended unasked has. */
  notAlive: (name, lastError) =>
    plainError('ERR_SESSION_NOT_ALIVE', `Session "${name}" is not alive. Use resume() to restore it.`, lastError),
  notFound: (name) => plainError('ERR_SESSION_NOT_FOUND', `Session "${name}" not found.`),
}

module.exports = { call, decodeError, sessionError, typeError, valueError }
