'use strict'

/**
 * Standard output: lines in order, optionally cut into small chunks. Small lines go to the stream at once (it buffers
 * what the reader does not take); a lazy line is produced piece by piece, as fast as the reader takes it.
 */

const ROOM_BYTES = 1 << 20

const nextRound = () => new Promise((resolve) => setImmediate(resolve))

// The CLI escapes the two line separators that JSON allows in strings.
const encode = (object) =>
  JSON.stringify(object).replace(/[\u2028\u2029]/g, (c) => '\\u' + c.charCodeAt(0).toString(16))

/** Write to standard error; done when the reader has taken it. */
const tell = (words) => {
  if (process.stderr.listenerCount('error') === 0) process.stderr.on('error', () => {})
  return new Promise((resolve) => process.stderr.write(words, resolve))
}

class Output {
  /** @param {number} chunkBytes cut everything into chunks of this size; 0: do not cut */
  constructor(chunkBytes) {
    this.stream = process.stdout
    this.chunkBytes = chunkBytes
    this.queue = []
    this.pumping = null
    this.closed = false
    // A reader that has gone does not end the CLI.
    this.stream.on('error', () => {})
  }

  /** Write one message as a line. */
  line(object) {
    this.bytes(Buffer.from(encode(object) + '\n'))
  }

  /** Write bytes as they are. */
  bytes(buffer) {
    if (this.closed) return
    if (!this.pumping && this.chunkBytes === 0) this.stream.write(buffer)
    else this.enqueue({ pieces: [buffer], chunkBytes: this.chunkBytes })
  }

  /** Write a line whose pieces are made only when the reader has taken the ones before. */
  lazy(pieces) {
    if (!this.closed) this.enqueue({ pieces, chunkBytes: this.chunkBytes })
  }

  enqueue(item) {
    this.queue.push(item)
    this.pumping ??= this.pump().finally(() => (this.pumping = null))
  }

  async pump() {
    while (this.queue.length > 0) {
      const { pieces, chunkBytes } = this.queue.shift()
      for (const piece of pieces) await this.writePiece(piece, chunkBytes)
    }
  }

  async writePiece(piece, chunkBytes) {
    const step = chunkBytes || piece.length
    for (let at = 0; at < piece.length && !this.closed; at += step) {
      await new Promise((resolve) => this.stream.write(piece.subarray(at, at + step), resolve))
      if (chunkBytes) await nextRound()
    }
  }

  /** Wait while much output is unread. */
  async room() {
    while (this.stream.writableLength > ROOM_BYTES && !this.closed) {
      await new Promise((resolve) => this.stream.write('', resolve))
    }
  }

  /** Wait until the reader has taken everything. */
  async flushed() {
    while (this.pumping) await this.pumping
    if (!this.closed) await new Promise((resolve) => this.stream.write('', resolve))
  }

  async close() {
    await this.flushed()
    this.closed = true
    const { _handle: handle } = /** @type {any} */ (this.stream)
    handle?.close()
    // Node and libuv leave the descriptors of the standard streams open; the next file opened takes the place.
    const fs = require('fs')
    fs.closeSync(1)
    fs.openSync('/dev/null', 'w')
  }
}

module.exports = { Output, encode, nextRound, tell }
