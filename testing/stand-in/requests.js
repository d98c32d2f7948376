'use strict'

/** Control requests of the CLI's own: what is open, who waits for it, and when an answer is no longer wanted. */

const { uuid } = require('./ids.js')

// The longest timer there is: an empty event loop would end the process.
const FOR_EVER_MS = 2 ** 31 - 1

const STREAM_CLOSED = { subtype: 'error', error: 'Tool permission stream closed before response received' }

class Requests {
  constructor(session) {
    this.session = session
    this.open = new Map()
    this.inputEnded = false
  }

  /**
   * Write a request; the first answer to it settles it.
   * @param {{ turn?: object, onAnswer: (response: any) => void, onCut?: (timedOut: boolean) => void }} use `turn`: an interrupt of this
   *   turn takes the request back, with `onCut` if that is not done with a `control_cancel_request`
   * @returns {string} its id
   */
  send(request, use) {
    const id = uuid()
    this.open.set(id, { request, ...use })
    this.session.write({ type: 'control_request', request_id: id, request })
    if (this.inputEnded) setImmediate(() => this.settle(id, STREAM_CLOSED))
    return id
  }

  /** Late, duplicate and unknown answers are ignored without a trace. */
  answer({ response }) {
    this.settle(response?.request_id, response)
  }

  settle(id, response) {
    const entry = this.open.get(id)
    if (!entry) return
    this.open.delete(id)
    entry.onAnswer(response)
  }

  cancel(id, timedOut = false) {
    const entry = this.open.get(id)
    if (!entry) return
    this.open.delete(id)
    if (entry.onCut) entry.onCut(timedOut)
    else this.session.write({ type: 'control_cancel_request', request_id: id })
  }

  /** Whatever is answered to this is too late, and nobody is told. */
  forget(id) {
    this.open.delete(id)
  }

  /** A turn is cut: what it asked for is taken back, before anything else is said of it. */
  cancelOf(turn) {
    for (const [id, entry] of this.open) if (entry.turn === turn) this.cancel(id)
  }

  /** After the end of input no answer can come. */
  endOfInput() {
    this.inputEnded = true
    for (const id of [...this.open.keys()]) this.settle(id, STREAM_CLOSED)
  }

  /** The open questions for a permission, as a repeated `initialize` gives them back. */
  pendingPermissions() {
    const asked = [...this.open].filter(([, { request }]) => request.subtype === 'can_use_tool')
    return asked.map(([id, { request }]) => ({ type: 'control_request', request_id: id, request }))
  }
}

/**
 * Ask the host in a turn and wait for the answer.
 * @returns {Promise<any>} the `response` of the answer; null if none came in time
 */
const askHost = (turn, request, { timeoutMs = FOR_EVER_MS, onCut = undefined } = {}) => {
  const { requests } = turn.session
  return turn.until(
    (resolve) => {
      const onAnswer = (response) => {
        clearTimeout(timer)
        resolve(response)
      }
      const id = requests.send(request, { turn, onAnswer, onCut })
      const timer = setTimeout(() => {
        requests.cancel(id, true)
        resolve(null)
      }, timeoutMs)
      return () => {
        clearTimeout(timer)
        requests.cancel(id)
      }
    },
    { asksHost: true },
  )
}

/**
 * Ask the host several things at once. The first answer of which `read` makes something counts; later ones are ignored.
 * @param {{ request: object, read: (response: any) => any }[]} questions
 */
const askFirst = (turn, questions) => {
  const { requests } = turn.session
  const start = (resolve) => {
    const ids = questions.map(({ request, read }) => {
      const onAnswer = (response) => {
        const said = read(response)
        if (said === null) return
        for (const id of ids) requests.forget(id)
        resolve(said)
      }
      return requests.send(request, { turn, onAnswer })
    })
    return () => ids.forEach((id) => requests.cancel(id))
  }
  return turn.until(start, { asksHost: true })
}

module.exports = { Requests, askHost, askFirst }
