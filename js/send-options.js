'use strict'

// The options of one message.

const check = require('./arguments')
const { typeError, valueError } = require('./errors')

/** The time and the signal of a send, and what a slow reader costs: a number is the time alone. */
function sendOptions(value, call) {
  if (typeof value !== 'object' || value === null) return { timeout: value }
  const { timeout, signal, backpressure } = check.options(value, call)
  check.milliseconds(timeout, 'options.timeout')
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError('options.signal', 'an AbortSignal', signal)
  }
  if (backpressure !== undefined && backpressure !== 'gap' && backpressure !== 'pause') {
    throw valueError('options.backpressure', "'gap' or 'pause'", backpressure)
  }
  return { timeout, signal, backpressure }
}

module.exports = { sendOptions }
