'use strict'

/** Where the messages of a turn go, by output format. Each sink has write(message) and writeBig(message, ...). */

const { encode } = require('./output.js')

const MIB = 1 << 20
const MARK = '<<big>>'

/** Pieces of a line in which every string MARK stands for `mebibytes` of text, made one MiB at a time. */
function* bigLine(message, mebibytes) {
  const filler = Buffer.alloc(MIB, 'x')
  const parts = encode(message).split(MARK)
  for (const [i, part] of parts.entries()) {
    if (i > 0) {
      for (let left = mebibytes * MIB; left > 0; left -= MIB) yield filler.subarray(0, Math.min(left, MIB))
    }
    yield Buffer.from(part)
  }
  yield Buffer.from('\n')
}

/** `stream-json`: each message is a line. */
class StreamSink {
  constructor(out) {
    this.out = out
  }

  write(message) {
    this.out.line(message)
  }

  writeBig(message, mebibytes) {
    this.out.lazy(bigLine(message, mebibytes))
  }

  end() {}
}

/** `json`: the result alone. */
class ResultSink extends StreamSink {
  write(message) {
    if (message.type === 'result') super.write(message)
  }

  writeBig(message, mebibytes) {
    if (message.type === 'result') super.writeBig(message, mebibytes)
  }
}

/** `json` with `--verbose`: one array of all messages. */
class ArraySink extends StreamSink {
  messages = []

  write(message) {
    this.messages.push(message)
  }

  writeBig(message) {
    this.messages.push(message)
  }

  end() {
    this.out.line(this.messages)
  }
}

/** `text`: the words of the result. */
class TextSink extends StreamSink {
  write(message) {
    if (message.type === 'result')
      this.out.bytes(Buffer.from(`${message.result ?? (message.errors || []).join('\n')}\n`))
  }

  writeBig() {}
}

const createSink = (out, { 'output-format': format = 'text', verbose }) => {
  if (format === 'stream-json') return new StreamSink(out)
  if (format === 'json') return verbose ? new ArraySink(out) : new ResultSink(out)
  return new TextSink(out)
}

module.exports = { createSink, MARK }
