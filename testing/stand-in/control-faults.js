'use strict'

/**
 * Faults of the answers to control requests: `KIND SUBTYPE ARGUMENT`, from the environment (joined by ` | `) or from the
 * directive `control`. `*` stands for every subtype. Of several faults that fit, the first counts.
 */

const { uuid } = require('./ids.js')
const { onceExists } = require('./events.js')
const { takeNumber } = require('./directives.js')

/** Thrown by a handler to answer with an error. */
class ControlError extends Error {
  constructor(message, code = undefined) {
    super(message)
    this.code = code
  }
}

const KINDS = new Set(['late', 'mute', 'deaf', 'double', 'wrong-id', 'fail', 'miss', 'race', 'off'])
// These are about interrupts alone, and name no subtype.
const OF_INTERRUPTS = new Set(['miss', 'race', 'off'])

/** @returns {{ kind: string, subtype: string, argument: string }} */
const readFault = (text) => {
  const [, kind, rest = ''] = /^(\S+)\s*([\s\S]*)$/.exec(text.trim()) ?? [null, '']
  if (!KINDS.has(kind)) throw new Error(`unknown control fault '${text}'; there are ${[...KINDS].join(', ')}`)
  if (OF_INTERRUPTS.has(kind)) return { kind, subtype: 'interrupt', argument: rest.trim() }
  const [, subtype, argument = ''] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [null, '*']
  return { kind, subtype, argument: argument.trim() }
}

class ControlFaults {
  /** @param {string} text faults of the environment */
  constructor(session, text = '') {
    this.session = session
    this.faults = []
    this.late = new Map()
    // Turns whose interrupt has been missed once.
    this.missed = new WeakSet()
    for (const one of text.split(' | ').filter(Boolean)) this.add(one)
  }

  add(text) {
    const fault = readFault(text)
    if (fault.kind === 'off') this.faults = []
    else this.faults.push(fault)
  }

  find(subtype, kinds) {
    return this.faults.find((fault) => kinds.includes(fault.kind) && ['*', subtype].includes(fault.subtype))
  }

  /** The request is not heard at all. */
  isDeaf(subtype) {
    return Boolean(this.find(subtype, ['deaf']))
  }

  refuse(subtype) {
    const fault = this.find(subtype, ['fail'])
    if (fault) throw new ControlError(fault.argument || 'stand-in: refused')
  }

  deliver(subtype, response) {
    const write = (said) => this.session.write({ type: 'control_response', response: said })
    const fault = this.find(subtype, ['late', 'mute', 'double', 'wrong-id'])
    if (!fault) return write(response)
    if (fault.kind === 'mute') return undefined
    if (fault.kind === 'late') return this.deliverLate(subtype, response, fault.argument, write)
    if (fault.kind === 'wrong-id') return write({ ...response, request_id: uuid() })
    write(response)
    return write(response)
  }

  /** After a time, or when a file exists. */
  deliverLate(subtype, response, argument, write) {
    const done = () => {
      this.late.delete(response.request_id)
      write(response)
    }
    const [ms] = takeNumber(argument, null)
    const timer = ms === null ? null : setTimeout(done, ms)
    const stop = timer ? () => clearTimeout(timer) : onceExists(argument, done)
    this.late.set(response.request_id, { subtype, stop, write })
  }

  /** A `control_cancel_request` of the host: the newer CLI gives up a side question that is still open. */
  withdraw(requestId) {
    const open = this.late.get(requestId)
    if (open?.subtype !== 'side_question' || !this.session.habit.newer) return
    open.stop()
    this.late.delete(requestId)
    open.write({ subtype: 'error', request_id: requestId, error: 'Side question cancelled' })
  }

  /** The first interrupt of a turn does not reach it. One that takes the queue back always does. */
  willMiss(turn, request) {
    return Boolean(turn && this.find('interrupt', ['miss']) && !this.missed.has(turn) && !request.cancel_queued)
  }

  /** @returns {string[]} uuids of a turn that is missed: the receipt says that they are still queued */
  missesTurn(turn, request) {
    return this.willMiss(turn, request) ? turn.uuids : []
  }

  takeMiss(turn, request) {
    const misses = this.willMiss(turn, request)
    if (misses) this.missed.add(turn)
    return misses
  }

  /**
   * With `race`, a message starts its turn a moment after it was read, or when a file exists: an interrupt that comes
   * before finds it in the queue.
   * @returns {boolean} whether `start` will be called later
   */
  delaysStart(start) {
    const fault = this.find('interrupt', ['race'])
    if (!fault) return false
    if (fault.argument) onceExists(fault.argument, start)
    else setImmediate(start)
    return true
  }
}

module.exports = { ControlFaults, ControlError }
