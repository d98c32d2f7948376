'use strict'

/** Standard input in streaming mode: lines, what they mean, and which of them end the process. */

const { zeroedResult } = require('./result.js')

const NEWLINE = 0x0a
const RANK = new Set(['now', 'next', 'later'])

/** Input that the CLI does not survive: words for stderr, and a result line if it writes one. */
class FatalInput extends Error {
  constructor(message, { result = null } = {}) {
    super(message)
    this.result = result
  }
}

/** Cut chunks into lines; `end` gives a last line without its newline. */
class LineReader {
  constructor(onLine) {
    this.onLine = onLine
    this.parts = []
  }

  feed(chunk) {
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.parts.push(chunk.subarray(from, at))
      this.finishLine()
      from = at + 1
    }
    if (from < chunk.length) this.parts.push(chunk.subarray(from))
  }

  end() {
    if (this.parts.length > 0) this.finishLine()
  }

  finishLine() {
    const line = Buffer.concat(this.parts)
    this.parts = []
    this.onLine(line.toString('utf8').replace(/\r$/, ''))
  }
}

const parseLine = (habit, line) => {
  if (line === '') return null
  if (habit.newer && line.trim() === '') return null
  try {
    return JSON.parse(habit.newer ? line.replace(/^\ufeff/, '') : line)
  } catch (error) {
    const told = habit.newer ? `(${line.length} characters)` : `${line}:`
    throw new FatalInput(`Error parsing streaming input line: ${told} ${error.name}: ${error.message}`)
  }
}

/** @returns {any} kind (user, control, cancel, response, assistant), raw, and what readUser adds; null: to be ignored */
const readMessage = (habit, line, sessionId) => {
  const raw = parseLine(habit, line)
  if (raw === null && line.trim() === 'null') throw new FatalInput('Error: Cannot read a message from null')
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw)) return null
  if (raw.type === 'control_request') {
    if (!raw.request) throw new FatalInput('Error: Control request without a request')
    return { kind: 'control', raw }
  }
  if (raw.type === 'control_cancel_request') return { kind: 'cancel', raw }
  if (raw.type === 'control_response') return { kind: 'response', raw }
  if (raw.type === 'assistant' && raw.message) return { kind: 'assistant', raw }
  if (raw.type !== 'user') return null
  return readUser(habit, raw, sessionId)
}

const readUser = (habit, raw, sessionId) => {
  if (!raw.message || typeof raw.message !== 'object') throw new FatalInput('Error: User message without a message')
  const { role, content } = raw.message
  if (role !== 'user') throw new FatalInput(`Error: Expected message role 'user', got '${role}'`)
  if ((content === null || content === undefined) && !habit.newer) {
    const words = "null is not an object (evaluating 'e.filter')"
    throw new FatalInput(words, { result: zeroedResult(habit, sessionId, words) })
  }
  return {
    kind: 'user',
    raw,
    text: textOf(content),
    uuid: raw.uuid === undefined ? undefined : String(raw.uuid),
    priority: RANK.has(raw.priority) ? raw.priority : 'next',
    shouldQuery: raw.shouldQuery !== false,
  }
}

/** The words of a message; its images are named. Lone surrogates are replaced as the CLI replaces them. */
const textOf = (content) => {
  if (typeof content === 'string') return wellFormed(content)
  if (!Array.isArray(content)) return ''
  return wellFormed(content.map((block) => (block?.type === 'text' ? block.text : `[${block?.type}]`)).join('\n'))
}

const wellFormed = (text) =>
  text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')

module.exports = { LineReader, readMessage, FatalInput }
