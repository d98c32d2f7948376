'use strict'

/** The stream events around a content block, as `--include-partial-messages` asks for them. */

const lines = require('./lines.js')

const deltasOf = (block) => {
  if (block.type === 'tool_use') return [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input) }]
  const words = block.text.match(/\S+\s*|\s+/g) || ['']
  return words.map((text) => ({ type: 'text_delta', text }))
}

const emptyBlock = (block) => (block.type === 'tool_use' ? { ...block, input: {} } : { type: 'text', text: '' })

/** The assistant line comes before the stop event of its block. */
const write = (session, call, message, { usage, startedAt }) => {
  const block = message.message.content[0]
  const event = (body, extra) => session.write(lines.streamEvent(session, body, extra))
  session.writeSystem('status', { status: 'requesting' })
  const { context_management: _, ...start } = message.message
  event({ type: 'message_start', message: { ...start, content: [] } }, { ttft_ms: Date.now() - startedAt })
  event({ type: 'content_block_start', index: 0, content_block: emptyBlock(block) })
  for (const delta of deltasOf(block)) event({ type: 'content_block_delta', index: 0, delta })
  session.write(message)
  event({ type: 'content_block_stop', index: 0 })
  const stopReason = block.type === 'tool_use' ? 'tool_use' : 'end_turn'
  event({
    type: 'message_delta',
    delta: { stop_reason: stopReason, stop_sequence: null },
    usage: { output_tokens: usage.output },
  })
  event({ type: 'message_stop' })
}

module.exports = { write }
