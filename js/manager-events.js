'use strict'

// The events of a manager. No EventEmitter: a subclass may be one itself, or have members of these names.

const { typeError } = require('./errors')

/** The listeners of one manager, by type of event. */
class ManagerEvents {
  #manager
  /** @type {Map<string, { listener: Function, once: boolean }[]>} */
  #listeners = new Map()

  constructor(manager) {
    this.#manager = manager
  }

  add(type, listener, once) {
    if (typeof type !== 'string') throw typeError('type', 'a string', type)
    if (typeof listener !== 'function') throw typeError('listener', 'a function', listener)
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), { listener, once }])
  }

  /** Removes the listener that was added last, if it was added more than once. */
  remove(type, listener) {
    const entry = this.#listeners.get(type)?.findLast((known) => known.listener === listener)
    if (entry !== undefined) this.#drop(type, entry)
  }

  has(type) {
    return this.#listeners.has(type)
  }

  /** Calls each listener. One that throws throws on its own, so that the others and the session's work go on. */
  emit(type, name, details) {
    const listeners = this.#listeners.get(type)
    if (listeners === undefined) return
    const event = { type, name, ...details }
    for (const entry of listeners) {
      if (entry.once && !this.#drop(type, entry)) continue
      try {
        Reflect.apply(entry.listener, this.#manager, [event])
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** Whether it was still there. */
  #drop(type, entry) {
    const before = this.#listeners.get(type) ?? []
    const left = before.filter((known) => known !== entry)
    if (left.length > 0) this.#listeners.set(type, left)
    else this.#listeners.delete(type)
    return left.length < before.length
  }
}

module.exports = { ManagerEvents }
