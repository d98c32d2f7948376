'use strict'

// Requests of the CLI that the program answers while a turn runs: permissions and hooks. The engine has told the CLI nothing
// until one of these answers, and answers itself when the time is over.

/** Kinds of permission requests that are more than a tool, by the tool's name, which may be any text. */
const kinds = new Map([
  ['AskUserQuestion', 'question'],
  ['ExitPlanMode', 'plan'],
])

/** The requests of one session. */
class Asks {
  #name
  #callbacks
  /** @type {(id: string, payload: string | undefined, words?: string) => void} */
  #answer
  /** @type {(request: object) => boolean} whether somebody listens */
  #tell
  /** @type {Map<string, { controller: AbortController, request: object | undefined }>} */
  #open = new Map()

  /**
   * @param {string} name the session's
   * @param {import('./live').Callbacks} callbacks
   * @param {(id: string, payload: string | undefined, words?: string) => void} answer
   * @param {(request: object) => boolean} tell emits a permission request; whether somebody listens
   */
  constructor(name, callbacks, answer, tell) {
    this.#name = name
    this.#callbacks = callbacks
    this.#answer = answer
    this.#tell = tell
  }

  /** The permission requests that wait, as a program may show them. */
  get pending() {
    const requests = [...this.#open.values()].map(({ request }) => request)
    return requests
      .filter((request) => request !== undefined)
      .map(({ id, kind, toolName, input, toolUseId }) => ({ id, kind, toolName, input, toolUseId }))
  }

  /** Whether permission requests are answered by this program. */
  get hasPermissions() {
    return this.#callbacks.canUseTool !== undefined || this.#callbacks.tells
  }

  /** A request has come. */
  take(id, subtype, text) {
    const asked = JSON.parse(text)
    const controller = new AbortController()
    this.#open.set(id, { controller, request: undefined })
    // The engine passes on no others.
    if (subtype === 'can_use_tool') this.#permission(id, asked, controller.signal)
    else void this.#hook(id, asked, controller.signal)
  }

  /** No answer is wanted any more. */
  end(id, reason) {
    const open = this.#open.get(id)
    this.#open.delete(id)
    open?.controller.abort(new Error(`The request is over: ${reason}`))
  }

  #permission(id, asked, signal) {
    const request = this.#request(id, asked, signal)
    this.#open.get(id).request = request
    const heard = this.#callbacks.tells && this.#tell(request)
    if (this.#callbacks.canUseTool !== undefined) void this.#decide(request)
    else if (!heard) request.deny('Nobody listens to permission requests.')
  }

  /** A request as its listeners get it. What is answered after the first answer changes nothing. */
  #request(id, asked, signal) {
    const { tool_name: toolName, tool_use_id: toolUseId, permission_suggestions: suggestions } = asked
    // What is wrong in a request of the CLI must not become an exception of the program.
    const input = asked.input ?? {}
    const kind = kinds.get(toolName) ?? 'tool'
    return {
      id,
      name: this.#name,
      kind,
      toolName,
      input,
      toolUseId,
      suggestions: suggestions ?? [],
      ...(kind === 'question' ? { questions: input.questions ?? [] } : {}),
      ...(kind === 'plan' ? { plan: input.plan ?? null } : {}),
      signal,
      allow: (answer) => this.#settle(id, allowed(input, answer)),
      deny: (message, options) => this.#settle(id, denied(message, options?.interrupt)),
    }
  }

  async #decide(request) {
    const { toolName, input, signal, suggestions, toolUseId, name } = request
    try {
      const answer = await this.#callbacks.canUseTool(toolName, input, { signal, suggestions, toolUseId, name })
      decide(request, answer)
    } catch (error) {
      warnOf(`canUseTool of session "${this.#name}"`, error)
      request.deny('The program could not decide on this call.')
    }
  }

  async #hook(id, { callback_id: callbackId, input, tool_use_id: toolUseId }, signal) {
    const { event, hook, fallback } = this.#callbacks.hooks.get(callbackId) ?? {}
    if (hook === undefined) return this.#settle(id, undefined, 'there is no such hook')
    try {
      const answer = (await hook(input, toolUseId, { signal })) ?? {}
      if (typeof answer !== 'object' || Array.isArray(answer)) throw new TypeError('a hook answers with an object')
      this.#settle(id, answer)
    } catch (error) {
      warnOf(`A hook for ${event} of session "${this.#name}"`, error)
      this.#settle(id, fallback)
    }
  }

  #settle(id, payload, words) {
    if (!this.#open.has(id)) return
    // An answer that is no JSON throws here, and the request waits for a better one.
    const json = payload === undefined ? undefined : JSON.stringify(payload)
    this.#open.delete(id)
    this.#answer(id, json, words)
  }
}

/** Answers a request by a decision of `canUseTool`; throws if it is none. */
function decide(request, answer) {
  const { behavior, updatedInput, updatedPermissions, message, interrupt } = answer ?? {}
  if (behavior === 'allow') request.allow({ updatedInput, updatedPermissions })
  else if (behavior === 'deny') request.deny(message, { interrupt })
  else throw new TypeError("canUseTool answers { behavior: 'allow' } or { behavior: 'deny', message }")
}

/**
 * The input is given in any case: 2.1.197 wants one.
 * @param {object} input as it was asked
 * @param {{ updatedInput?: object, updatedPermissions?: object[], answers?: object }} [answer]
 */
function allowed(input, answer = {}) {
  const { updatedInput = input, updatedPermissions, answers } = answer
  const whole = answers === undefined ? updatedInput : { ...updatedInput, answers }
  return { behavior: 'allow', updatedInput: whole, updatedPermissions }
}

function denied(message, interrupt) {
  const words = typeof message === 'string' && message !== '' ? message : 'The program denied this call.'
  return { behavior: 'deny', message: words, ...(interrupt === true ? { interrupt } : {}) }
}

/** A callback that fails is the program's defect; the turn goes on. */
function warnOf(who, error) {
  const detail = error instanceof Error ? error.stack : String(error)
  process.emitWarning(`${who} failed: ${error?.message ?? error}`, { code: 'CLEARCTX_CALLBACK_FAILED', detail })
}

module.exports = { Asks }
