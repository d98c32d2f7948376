'use strict'

// The answer to one message as it grows: an async iterable. It keeps a bounded number of items for a reader who is slow.

const { blocksOf } = require('./messages')

/** From so many items or characters on, a reader does not keep up. */
const MOST_ITEMS = 1000
const MOST_CHARACTERS = 1_000_000

/** The items of one answer, for one reader. */
class AnswerStream {
  /** @type {{ item: object, size: number }[]} */
  #items = []
  #characters = 0
  #dropped = { deltas: 0, blocks: 0 }
  /** How it ends: the response, or why there is none. */
  #end = null
  #isOver = false
  #held = false
  /** Reads that wait for something to come. @type {((value?: unknown) => void)[]} */
  #waiting = []
  #hold
  #leave = () => {}

  /**
   * @param {((held: boolean) => void) | null} hold stops the output while the reader does not keep up; without it, items are
   *   dropped
   */
  constructor(hold) {
    this.#hold = hold
  }

  /** Calls `leave` when no more items are wanted. */
  onLeave(leave) {
    this.#leave = leave
  }

  /** Ends the items with the response, or with the error. */
  follow(response) {
    response.then(
      (value) => this.#finish({ response: value }),
      (error) => this.#finish({ error }),
    )
  }

  /** An item has come; `size` in characters. */
  push(item, size) {
    if (this.#isOver) return
    const isFull = this.#items.length >= MOST_ITEMS || this.#characters >= MOST_CHARACTERS
    if (isFull && this.#hold === null) {
      if (item.type === 'gap') this.#dropped.deltas += item.deltas
      else this.#dropped[item.type === 'delta' ? 'deltas' : 'blocks'] += 1
      return
    }
    this.#tellGap()
    this.#items.push({ item, size })
    this.#characters += size
    if (isFull) this.#setHeld(true)
    this.#wake()
  }

  /** A message of the CLI has come. */
  pushMessage(message, size) {
    for (const { type, block } of blocksOf(message)) {
      this.push(type === 'text' ? { type, text: block.text } : { ...block, type }, size)
    }
  }

  async next() {
    for (;;) {
      const [first] = this.#items.splice(0, 1)
      if (first !== undefined) {
        this.#characters -= first.size
        if (this.#items.length < MOST_ITEMS / 2 && this.#characters < MOST_CHARACTERS / 2) this.#setHeld(false)
        return { done: false, value: first.item }
      }
      if (this.#isOver) return { done: true, value: undefined }
      if (this.#end !== null) return this.#last(this.#end)
      await new Promise((resolve) => this.#waiting.push(resolve))
    }
  }

  /** The reader leaves; the turn goes on. */
  async return() {
    this.#close()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator]() {
    return this
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  #last({ response, error }) {
    this.#close()
    if (error !== undefined) throw error
    return { done: false, value: { type: 'response', response } }
  }

  #finish(end) {
    this.#tellGap()
    this.#setHeld(false)
    this.#leave()
    this.#end = end
    this.#wake()
  }

  #tellGap() {
    const { deltas, blocks } = this.#dropped
    if (deltas === 0 && blocks === 0) return
    this.#dropped = { deltas: 0, blocks: 0 }
    this.#items.push({ item: { type: 'gap', deltas, blocks }, size: 0 })
  }

  #setHeld(held) {
    if (this.#hold === null || this.#held === held) return
    this.#held = held
    this.#hold(held)
  }

  #close() {
    this.#isOver = true
    this.#items = []
    this.#setHeld(false)
    this.#leave()
    this.#wake()
  }
}

module.exports = { AnswerStream }
