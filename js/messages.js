'use strict'

// Messages on their way to the engine.

const check = require('./arguments')
const { typeError } = require('./errors')

/** JSON of a message's content; throws if it is not a message. */
function contentOf(message) {
  check.message(message)
  try {
    return JSON.stringify(message)
  } catch (cause) {
    throw Object.assign(typeError('message', 'content that can be written as JSON', message), { cause })
  }
}

/** The text of a message for the history, with a mark such as `[image]` for other blocks. */
function promptOf(message) {
  if (typeof message === 'string') return message
  return message.map((block) => (block.type === 'text' ? block.text : `[${block.type}]`)).join('\n')
}

module.exports = { contentOf, promptOf }
