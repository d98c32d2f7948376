// How the mock of the Messages API writes its answers: as a stream of events or as one object, whole or broken.

/** Token counts of an answer that was told nothing else. */
export const DEFAULT_USAGE = { input: 10, output: 5 }

const ERROR_TYPES = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}

let serial = 0

/** A number that no other answer of this process has. */
export function nextSerial() {
  serial += 1
  return serial
}

/**
 * Writes one answer: `content` are blocks of the API, the text of one may be a list of deltas.
 *
 * `usage` is `{ input, output, written, writtenLong, read }`; `silence` a time in ms before the first block, `pause` one
 * after each delta. Both end early when `cancelled` (an AbortSignal) fires or the client hangs up.
 */
export async function sendMessage(response, body, content, { usage, silence = 0, pause = 0, cancelled }) {
  const blocks = content.map((block) => ({ ...block, text: block.text && [block.text].flat() }))
  const stopReason = content.at(-1).type === 'tool_use' ? 'tool_use' : 'end_turn'
  const wait = (ms) => (ms > 0 ? sleep(ms, response, cancelled) : undefined)
  if (!body.stream) {
    await wait(silence)
    return sendJson(response, 200, {
      ...messageHead(body, usage),
      content: blocks.map((block) => (block.text ? { ...block, text: block.text.join('') } : block)),
      stop_reason: stopReason,
      usage: usageOf(usage, usage.output),
    })
  }
  startStream(response, body, usage)
  await wait(silence)
  for (const [index, block] of blocks.entries()) await sendBlock(response, index, block, () => wait(pause))
  event(response, 'message_delta', {
    delta: { stop_reason: stopReason, stop_sequence: null },
    usage: { output_tokens: usage.output },
  })
  event(response, 'message_stop', {})
  response.end()
}

/** Half an answer; then the connection ends. It is not reset: the client gets all of that half. */
export function sendHalf(response, body, usage) {
  startStream(response, body, usage)
  event(response, 'content_block_start', { index: 0, content_block: { type: 'text', text: '' } })
  const delta = { type: 'text_delta', text: 'only half of' }
  response.write(eventText('content_block_delta', { index: 0, delta }), () => response.socket?.end())
}

/** An HTTP error. `retryAfter` is seconds, or `never` for a header that forbids another try. */
export function sendError(response, status, message, retryAfter) {
  if (response.destroyed || response.headersSent) return
  if (retryAfter === 'never') response.setHeader('x-should-retry', 'false')
  else if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter)
  sendJson(response, status, { type: 'error', error: { type: ERROR_TYPES[status] ?? 'api_error', message } })
}

export function sendJson(response, status, body) {
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function sendBlock(response, index, block, pause) {
  const start = block.type === 'text' ? { type: 'text', text: '' } : { ...block, text: undefined, input: {} }
  event(response, 'content_block_start', { index, content_block: start })
  for (const delta of deltasOf(block)) {
    const more = event(response, 'content_block_delta', { index, delta })
    if (!more) await drained(response)
    await pause()
  }
  event(response, 'content_block_stop', { index })
}

function deltasOf(block) {
  if (block.type === 'text') return block.text.map((text) => ({ type: 'text_delta', text }))
  return [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input) }]
}

function startStream(response, body, usage) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  event(response, 'message_start', { message: messageHead(body, usage) })
  event(response, 'ping', {})
}

function messageHead(body, usage) {
  return {
    id: `msg_mock_${nextSerial()}`,
    type: 'message',
    role: 'assistant',
    model: body.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    // The count of the output is not known at the start.
    usage: usageOf(usage, 1),
  }
}

function usageOf({ input, written = 0, writtenLong = 0, read = 0 }, output) {
  return {
    input_tokens: input,
    cache_creation_input_tokens: written + writtenLong,
    cache_creation: { ephemeral_5m_input_tokens: written, ephemeral_1h_input_tokens: writtenLong },
    cache_read_input_tokens: read,
    output_tokens: output,
    service_tier: 'standard',
  }
}

function eventText(type, data) {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`
}

function event(response, type, data) {
  return response.destroyed || response.write(eventText(type, data))
}

/** Resolves when the client has read what was written, or is gone. */
function drained(response) {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
    if (response.destroyed) done()
  })
}

/** Ends early when the client hangs up or `cancelled` fires. */
function sleep(ms, response, cancelled) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      response.off('close', end)
      cancelled.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    response.on('close', end)
    cancelled.addEventListener('abort', end)
    if (response.destroyed || cancelled.aborted) end()
  })
}
