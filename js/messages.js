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

/**
 * What a message of the CLI contains: texts and calls of the model, results of tools.
 * @returns {Iterable<{ type: 'text' | 'tool_use' | 'tool_result', block: any }>}
 */
function* blocksOf({ type, message }) {
  const blocks = type === 'assistant' || type === 'user' ? message?.content : undefined
  for (const block of Array.isArray(blocks) ? blocks : []) {
    if (type === 'user' && block?.type === 'tool_result') yield { type: 'tool_result', block }
    if (type === 'assistant' && block?.type === 'tool_use') yield { type: 'tool_use', block }
    if (type === 'assistant' && typeof block?.text === 'string') yield { type: 'text', block }
  }
}

module.exports = { blocksOf, contentOf, promptOf }
