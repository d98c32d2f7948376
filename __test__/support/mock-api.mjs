// A stand-in for the Messages API on the loopback: enough for the real CLI to run whole conversations at no cost. What it
// answers is written down in mock-api-answers.mjs.
//
// An instance keeps what it was asked (`requests`, in order of arrival), so that a test sees what the model would have seen.

import { once } from 'node:events'
import { createServer } from 'node:http'

import { answer } from './mock-api-answers.mjs'
import { DEFAULT_USAGE, sendError, sendJson, sendMessage } from './mock-api-wire.mjs'

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
  /** What must end at once when the mock closes. */
  #closing = new AbortController()
  /** How often a `FAIL` has failed, by its text. */
  #failures = new Map()
  /** Opens a `HOLD`, by its text. */
  #gates = new Map()
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

  /** Lets every `HOLD` of this text, past or to come, go on to its answer. */
  release(text) {
    this.#gate(text).open()
  }

  /** Ends every open answer and the server. */
  async close() {
    this.#closing.abort()
    for (const { open } of this.#gates.values()) open()
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
    const asks = request.method === 'POST' && path === '/v1/messages' && body
    if (asks && !isQuotaProbe(body)) return this.#answer(body, request, response)
    this.others.push(`${request.method} ${path}`)
    if (asks) {
      const options = { usage: DEFAULT_USAGE, cancelled: this.#closing.signal }
      return sendMessage(response, body, [{ type: 'text', text: '#' }], options)
    }
    if (path === '/v1/messages/count_tokens') {
      const tokens = Math.ceil(JSON.stringify(body ?? '').length / 4)
      return sendJson(response, 200, { input_tokens: tokens })
    }
    if (request.method === 'HEAD' || path === '/') return response.writeHead(200).end()
    return sendError(response, 404, `no such endpoint: ${path}`)
  }

  async #answer(body, request, response) {
    const record = this.#record(body, request)
    response.on('close', () => {
      record.finished = response.writableFinished
      record.endedAt = performance.now()
    })
    try {
      const released = (text) => this.#gate(text).opened
      await answer(record, response, { failures: this.#failures, released, cancelled: this.#closing.signal })
    } catch (error) {
      // A command that makes no sense is the test's mistake: it reads the reason in the CLI's answer.
      sendError(response, 400, `the mock does not understand this: ${error.message}`)
    }
  }

  #gate(text) {
    if (!this.#gates.has(text)) {
      const gate = {}
      gate.opened = new Promise((resolve) => (gate.open = resolve))
      this.#gates.set(text, gate)
    }
    return this.#gates.get(text)
  }

  /** Keeps one request, with what `readMessages` finds in it. */
  #record(body, request) {
    const record = {
      body,
      headers: request.headers,
      ...readMessages(body.messages),
      /** The system prompt as one text. */
      system: textOf(body.system),
      startedAt: performance.now(),
      endedAt: null,
      /** False when the client hung up. */
      finished: null,
      /** Tokens that the answer reports. */
      usage: undefined,
    }
    this.requests.push(record)
    for (const watch of [...this.#watchers]) watch(record)
    return record
  }
}

const NOTIFICATION = /<task-notification>[^]*<\/task-notification>/

/**
 * What a request says: `userTexts` (the user's own texts, oldest first, one per block: the CLI puts a message that got no
 * answer and the next one as two blocks into one message), `text` (the last of them), `toolResults` (texts of the results
 * that came after it), `notifications` (what the CLI told the model about things in the background). A turn that the CLI
 * starts by itself has a notification, and nothing else, after the model's last word: that is then the `text`, and
 * `notified` is true.
 */
function readMessages(messages) {
  const userTexts = []
  const notifications = []
  let toolResults = []
  let notification = null
  let isPrompted = false
  for (const { role, content } of messages) {
    if (role === 'assistant') {
      notification = null
      isPrompted = false
    }
    if (role !== 'user') continue
    for (const block of blocksOf(content)) {
      if (block.type === 'tool_result') {
        toolResults.push(textOf(block.content))
        isPrompted = true
      }
      const [found] = NOTIFICATION.exec(block.text ?? '') ?? []
      if (found !== undefined) notifications.push(found)
      notification ??= found ?? null
      const text = block.type === 'text' ? ownText(block.text) : ''
      if (text === '') continue
      userTexts.push(text)
      toolResults = []
      isPrompted = true
    }
  }
  const notified = notification !== null && !isPrompted
  return { userTexts, toolResults, notifications, notified, text: notified ? notification : (userTexts.at(-1) ?? '') }
}

/** The CLI asks for one token when it only wants the rate limit headers. */
function isQuotaProbe(body) {
  return body.max_tokens === 1
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

/** What the CLI adds to the user's words: reminders and notifications in tags, the place where it keeps a picture. */
const ADDED = [/<system-reminder>[^]*?<\/system-reminder>/g, NOTIFICATION, /^\[Image: source: [^\]]*\]$/gm]

function ownText(text) {
  return ADDED.reduce((rest, added) => rest.replace(added, ''), text).trim()
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
