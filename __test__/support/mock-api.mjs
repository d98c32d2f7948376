// A stand-in for the Messages API on the loopback: enough for the real CLI to run whole conversations at no cost.
//
// The last text that the user wrote decides the answer:
//
//   any text                    `echo(N): text`, N = how many messages of the user the model sees
//   RECALL                      all earlier texts of the user, joined with ` | `
//   SLOW:ms:text                `slow: text` after a silence of ms
//   LONG:n[:width]              n deltas `w0 w1 ...`, each padded with dots to a width of that many characters
//   TOOL:Name:{json}            one tool call; once its result is there: `tool: <result>`
//   TOOLS:[["Name",{json}],…]   several calls in one answer; then `tools: <result> ; <result>`
//   ERROR:status[:retry-after]  an HTTP error
//   CUT                         half an answer, then the connection breaks
//   USAGE:in,out[:command]      these token counts (default 10,5) for the answers of this turn
//
// An instance keeps what it was asked (`requests`, in order of arrival), so that a test sees what the model would have seen.

import { once } from 'node:events'
import { createServer } from 'node:http'

const DEFAULT_USAGE = { input: 10, output: 5 }

/**
 * Starts a mock on a free port of 127.0.0.1.
 *
 * @returns {Promise<MockApi>} `url` is what ANTHROPIC_BASE_URL wants.
 */
export async function startMockApi() {
  const api = new MockApi()
  await api.listen()
  return api
}

export class MockApi {
  /** Every request for an answer, in order of arrival: see `#record`. */
  requests = []
  /** Everything else, as `METHOD /path`, with token counts and side questions of the CLI's own. */
  others = []

  #server = createServer((request, response) => this.#serve(request, response))
  #serial = 0
  /** What must end at once when the mock closes. */
  #pending = new Set()
  /** Called with each new request. */
  #watchers = new Set()

  async listen() {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    this.url = `http://127.0.0.1:${this.#server.address().port}`
  }

  /** Requests whose last text of the user is `text`. */
  asked(text) {
    return this.requests.filter((request) => request.text === text)
  }

  /** Resolves with the first request, past or to come, for which `test` holds; rejects after `patience` ms. */
  async waitFor(test, patience = 20_000) {
    const found = this.requests.find(test)
    if (found) return found
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(watch)
        reject(new Error(`the model was not asked that, only: ${this.requests.map(({ text }) => text.slice(0, 80))}`))
      }, patience)
      const watch = (request) => {
        if (!test(request)) return
        clearTimeout(timer)
        this.#watchers.delete(watch)
        resolve(request)
      }
      this.#watchers.add(watch)
    })
  }

  /** Ends every open answer and the server. */
  async close() {
    for (const cancel of this.#pending) cancel()
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#server.listening) await once(this.#server, 'close')
  }

  async #serve(request, response) {
    response.on('error', () => {})
    const path = request.url.split('?')[0]
    let body
    try {
      body = await readJson(request)
    } catch {
      // The client went away in the middle of its request.
      return response.destroy()
    }
    if (request.method === 'POST' && path === '/v1/messages' && body && !isQuotaProbe(body)) {
      // A command that makes no sense is the test's mistake: it reads the reason in the CLI's answer.
      return this.#answer(body, request, response).catch((error) =>
        sendError(response, 400, ERROR_TYPES[400], `the mock does not understand this: ${error.message}`),
      )
    }
    this.others.push(`${request.method} ${path}`)
    if (request.method === 'POST' && path === '/v1/messages' && body) {
      return this.#send(response, body, [{ type: 'text', text: '#' }], DEFAULT_USAGE)
    }
    if (path === '/v1/messages/count_tokens') {
      const tokens = Math.ceil(JSON.stringify(body ?? '').length / 4)
      return sendJson(response, 200, { input_tokens: tokens })
    }
    if (request.method === 'HEAD' || path === '/') return response.writeHead(200).end()
    return sendError(response, 404, 'not_found_error', `no such endpoint: ${path}`)
  }

  async #answer(body, request, response) {
    const record = this.#record(body, request)
    const { command, usage } = splitUsage(record.text)
    record.usage = usage
    response.on('close', () => {
      record.finished = response.writableFinished
      record.endedAt = performance.now()
    })
    const results = record.toolResults
    const [, word, rest] = /^([A-Z]+)(?::([^]*))?$/.exec(command) ?? []
    const text = (answer) => this.#send(response, body, [{ type: 'text', text: answer }], usage)
    switch (word) {
      case 'RECALL':
        return text(record.userTexts.slice(0, -1).join(' | '))
      case 'SLOW': {
        const [, delay, answer] = /^(\d+):([^]*)$/.exec(rest)
        return this.#send(response, body, [{ type: 'text', text: `slow: ${answer}` }], usage, Number(delay))
      }
      case 'LONG':
        return text(longText(...rest.split(':').map(Number)))
      case 'TOOL': {
        if (results.length > 0) return text(`tool: ${results.at(-1)}`)
        const [, name, input] = /^(\w+):([^]*)$/.exec(rest)
        return this.#send(response, body, [this.#toolUse(name, JSON.parse(input))], usage)
      }
      case 'TOOLS': {
        if (results.length > 0) return text(`tools: ${results.join(' ; ')}`)
        const calls = JSON.parse(rest).map(([name, input]) => this.#toolUse(name, input))
        return this.#send(response, body, calls, usage)
      }
      case 'ERROR': {
        const [status, retryAfter] = rest.split(':')
        if (retryAfter) response.setHeader('retry-after', retryAfter)
        return sendError(response, Number(status), ERROR_TYPES[status] ?? 'api_error', `mock error ${status}`)
      }
      case 'CUT':
        return this.#cut(response, body, usage)
      default:
        return text(`echo(${record.userTexts.length}): ${command}`)
    }
  }

  /**
   * Keeps one request: `body`, `headers`, `userTexts` (the user's own texts, oldest first, one per block: the CLI puts a
   * message that got no answer and the next one as two blocks into one message), `text` (the last of them),
   * `toolResults` (texts of the results that came after it), `system` (the system prompt as one text), the times
   * `startedAt` and `endedAt`, `finished` (false when the client hung up) and `usage` (what the answer reports).
   */
  #record(body, request) {
    const userTexts = []
    let toolResults = []
    for (const message of body.messages) {
      if (message.role !== 'user') continue
      for (const block of blocksOf(message.content)) {
        if (block.type === 'tool_result') toolResults.push(textOf(block.content))
        const text = block.type === 'text' ? ownText(block.text) : ''
        if (text === '') continue
        userTexts.push(text)
        toolResults = []
      }
    }
    const record = {
      body,
      headers: request.headers,
      userTexts,
      text: userTexts.at(-1) ?? '',
      toolResults,
      system: textOf(body.system),
      startedAt: performance.now(),
      endedAt: null,
      finished: null,
    }
    this.requests.push(record)
    for (const watch of [...this.#watchers]) watch(record)
    return record
  }

  #toolUse(name, input) {
    return { type: 'tool_use', id: `toolu_mock_${++this.#serial}`, name, input }
  }

  /** One answer, as a stream or as one object; the text of a block may be a list of deltas. */
  async #send(response, body, content, usage, delay = 0) {
    const blocks = content.map((block) => ({ ...block, text: block.text && [block.text].flat() }))
    const stopReason = content.at(-1).type === 'tool_use' ? 'tool_use' : 'end_turn'
    if (!body.stream) {
      if (delay) await this.#sleep(delay, response)
      return sendJson(response, 200, {
        ...this.#messageHead(body, usage),
        content: blocks.map((block) => (block.text ? { ...block, text: block.text.join('') } : block)),
        stop_reason: stopReason,
        usage: usageOf(usage.input, usage.output),
      })
    }
    this.#startStream(response, body, usage)
    if (delay) await this.#sleep(delay, response)
    for (const [index, block] of blocks.entries()) await this.#sendBlock(response, index, block)
    event(response, 'message_delta', {
      delta: { stop_reason: stopReason, stop_sequence: null },
      usage: { output_tokens: usage.output },
    })
    event(response, 'message_stop', {})
    response.end()
  }

  async #sendBlock(response, index, block) {
    const start = block.type === 'text' ? { type: 'text', text: '' } : { ...block, text: undefined, input: {} }
    event(response, 'content_block_start', { index, content_block: start })
    if (block.type === 'text') {
      for (const text of block.text) {
        const more = event(response, 'content_block_delta', { index, delta: { type: 'text_delta', text } })
        if (!more) await drained(response)
      }
    } else {
      const delta = { type: 'input_json_delta', partial_json: JSON.stringify(block.input) }
      event(response, 'content_block_delta', { index, delta })
    }
    event(response, 'content_block_stop', { index })
  }

  #cut(response, body, usage) {
    this.#startStream(response, body, usage)
    event(response, 'content_block_start', { index: 0, content_block: { type: 'text', text: '' } })
    const delta = { type: 'text_delta', text: 'only half of' }
    response.write(eventText('content_block_delta', { index: 0, delta }), () => response.destroy())
  }

  #startStream(response, body, usage) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    event(response, 'message_start', { message: this.#messageHead(body, usage) })
    event(response, 'ping', {})
  }

  #messageHead(body, usage) {
    return {
      id: `msg_mock_${++this.#serial}`,
      type: 'message',
      role: 'assistant',
      model: body.model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: usageOf(usage.input, 1),
    }
  }

  /** Ends early when the client hangs up or the mock closes. */
  #sleep(delay, response) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#pending.delete(end)
        resolve()
      }
      const timer = setTimeout(end, delay)
      this.#pending.add(end)
      response.once('close', end)
    })
  }
}

const ERROR_TYPES = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  529: 'overloaded_error',
}

/** The CLI asks for one token when it only wants the rate limit headers. */
function isQuotaProbe(body) {
  return body.max_tokens === 1
}

function splitUsage(text) {
  const [, input, output, rest] = /^USAGE:(\d+),(\d+)(?::([^]*))?$/.exec(text) ?? []
  if (input === undefined) return { command: text, usage: DEFAULT_USAGE }
  return { command: rest ?? `usage ${input},${output}`, usage: { input: Number(input), output: Number(output) } }
}

function usageOf(input, output) {
  return {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: output,
    service_tier: 'standard',
  }
}

function blocksOf(content) {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? [])
}

/** All texts of a content, whatever its form, joined with newlines. */
function textOf(content) {
  return blocksOf(content)
    .filter((block) => block.type === 'text')
    .map((block) => block.text)
    .join('\n')
}

/** What the user wrote: the CLI wraps what it adds itself into tags. */
function ownText(text) {
  return text.replace(/<system-reminder>[^]*?<\/system-reminder>/g, '').trim()
}

/** The deltas of `LONG`. */
function longText(count, width = 0) {
  return Array.from({ length: count }, (_, index) => `${`w${index}`.padEnd(width - 1, '.')} `)
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

async function readJson(request) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  try {
    return JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    return null
  }
}

function sendJson(response, status, body) {
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function sendError(response, status, type, message) {
  sendJson(response, status, { type: 'error', error: { type, message } })
}
