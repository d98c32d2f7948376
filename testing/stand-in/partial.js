'use strict'

/** The stream events around a content block, as `--include-partial-messages` asks for them. */

const lines = require('./lines.js')

const DELTAS = {
  tool_use: ({ input }) => [{ type: 'input_json_delta', partial_json: JSON.stringify(input) }],
  thinking: ({ thinking, signature }) => [
    ...wordsOf(thinking).map((words) => ({ type: 'thinking_delta', thinking: words })),
    { type: 'signature_delta', signature },
  ],
  text: ({ text }) => wordsOf(text).map((words) => ({ type: 'text_delta', text: words })),
}

const wordsOf = (text) => text.match(/\S+\s*|\s+/g) || ['']

const emptyBlock = (block) => {
  if (block.type === 'tool_use') return { ...block, input: {} }
  return block.type === 'thinking' ? { type: 'thinking', thinking: '', signature: '' } : { type: 'text', text: '' }
}

/** The events of one model message; its blocks come one after the other. */
class MessageEvents {
  constructor(session, call, startedAt) {
    this.session = session
    this.call = call
    this.startedAt = startedAt
    this.index = -1
    this.rest = []
  }

  event(body, extra = {}) {
    const id = this.session.habit.newer ? { api_message_id: this.call.messageId } : {}
    this.session.write(lines.streamEvent(this.session, body, { ...extra, ...id }))
  }

  /** @param {object} answered names of the messages that it answers, for those of the newer CLI */
  start(message, answered) {
    const { context_management: _, ...start } = message.message
    const body = { type: 'message_start', message: { ...start, content: [] } }
    const newer = { thinking_display: 'updates', ...answered, owed_rows: [] }
    this.event(body, { ttft_ms: Date.now() - this.startedAt, ...(this.session.habit.newer && newer) })
  }

  /**
   * Start a block and write its first `share` of the deltas; the others follow with `endBlock`.
   * @returns {string} the text that is written so far
   */
  startBlock(block, share = 1) {
    this.index += 1
    this.event({ type: 'content_block_start', index: this.index, content_block: emptyBlock(block) })
    const deltas = DELTAS[block.type](block)
    this.rest = deltas.splice(Math.ceil(deltas.length * share))
    this.writeDeltas(deltas)
    return deltas.map(({ text = '' }) => text).join('')
  }

  writeDeltas(deltas) {
    for (const delta of deltas) this.event({ type: 'content_block_delta', index: this.index, delta })
  }

  /** The assistant line comes before the stop event of its block. */
  endBlock(message) {
    this.writeDeltas(this.rest)
    this.session.write(message)
    this.event({ type: 'content_block_stop', index: this.index })
  }

  end(stopReason, usage) {
    const delta = { stop_reason: stopReason, stop_sequence: null }
    this.event({ type: 'message_delta', delta, usage: { output_tokens: usage.output } })
    this.event({ type: 'message_stop' })
  }
}

module.exports = { MessageEvents }
