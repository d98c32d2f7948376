'use strict'

/**
 * Replay of a recorded conversation. The recorded lines go out byte for byte; only the ids of user messages in them
 * are replaced by those of the messages received, because a client matches by them. A user message releases the lines
 * up to the next result, a control request the next control_response, an answer to a recorded control_request
 * what follows it.
 */

const fs = require('fs')
const { LineReader } = require('./input.js')
const { limitLife } = require('./lifetime.js')

// Turns that nobody asked for come after a little while, as they do in life.
const UNSOLICITED_DELAY_MS = 20
const STARTS_TURN_OVER = ['completed', 'cancelled', 'idle']

const parse = (line) => {
  try {
    return JSON.parse(line) ?? {}
  } catch {
    return {}
  }
}

/** Lines of the file as latin1 text, which keeps every byte, with their newline and what they say. */
const readLines = (path) => {
  const text = fs.readFileSync(path, 'latin1')
  const lines = text.match(/[^\n]*\n|[^\n]+$/g) || []
  return lines.map((bytes) => ({ bytes, message: parse(Buffer.from(bytes, 'latin1').toString()) }))
}

const belongsToTurnBefore = ({ type, subtype, state }) =>
  (type === 'command_lifecycle' || subtype === 'session_state_changed') && STARTS_TURN_OVER.includes(state)

const isFailedStart = (message) => (message?.errors?.[0] || '').startsWith('No conversation found')

/** Turns of the recording: their lines, and whether they wait for a message. */
const readTurns = (path) => {
  const turns = [[]]
  let over = false
  for (const line of readLines(path)) {
    if (over && !belongsToTurnBefore(line.message)) {
      turns.push([])
      over = false
    }
    turns.at(-1).push(line)
    over ||= line.message.type === 'result'
  }
  const hasResult = turns.some((lines) => lines.some(({ message }) => message.type === 'result'))
  return turns.flatMap(splitHooks).map((lines) => describeTurn(lines, hasResult))
}

/** Hook lines before the first turn come by themselves. */
const splitHooks = (lines, index) => {
  const end = lines.findIndex(({ message }) => !String(message.subtype).startsWith('hook_'))
  return index === 0 && end > 0 ? [lines.slice(0, end), lines.slice(end)] : [lines]
}

const describeTurn = (lines, hasResult) => {
  const result = lines.find(({ message }) => message.type === 'result')?.message
  const hooksOnly = lines.every(({ message }) => String(message.subtype).startsWith('hook_'))
  const controlOnly = lines.every(({ message }) => message.type === 'control_response')
  const asked = result ? !result.origin && !isFailedStart(result) : !hasResult && !hooksOnly && !controlOnly
  return { lines, asked, result, uuids: new Set(result?.user_message_uuids || []) }
}

/** Put the id of the message that released a turn where the recorded ids stand. */
const renameMessages = (line, turn, uuid) => {
  const { bytes, message } = line
  if (!uuid || process.env.CLEARCTX_STAND_IN_TRANSCRIPT_UUIDS === 'keep') return bytes
  const id = Buffer.from(JSON.stringify(uuid)).toString('latin1')
  const text = bytes
    .replace(/"user_message_uuid":"[^"]*"/g, () => `"user_message_uuid":${id}`)
    .replace(/"user_message_uuids":\[[^\]]*\]/g, () => `"user_message_uuids":[${id}]`)
  if (message.type === 'command_lifecycle' && turn.uuids.has(message.command_uuid)) {
    return text.replace(/"command_uuid":"[^"]*"/, () => `"command_uuid":${id}`)
  }
  const isReplayOfMessage = message.isReplay && !String(message.message?.content).startsWith('<local-command')
  return isReplayOfMessage ? text.replace(`"uuid":"${message.uuid}"`, () => `"uuid":${id}`) : text
}

class Replay {
  constructor(path, out) {
    this.out = out
    this.turns = readTurns(path)
    this.messages = []
    this.controlRequests = 0
    this.controlAnswers = 0
    this.running = null
    this.lastIsError = false
    this.onRest = () => {}
  }

  /** Write what the input so far releases; called again after each input. */
  advance() {
    if (this.waiting) return
    for (;;) {
      if (!this.running && !this.openTurn()) break
      if (!this.writeTurn()) break
    }
    if (!this.waiting) this.onRest()
  }

  /** @returns {boolean} whether the next turn may begin now */
  openTurn() {
    const turn = this.turns[0]
    if (!turn) return false
    if (turn.asked) {
      // Control requests may come before the first message.
      const first = turn.lines[0].message.type === 'control_response' && this.controlRequests > 0
      if (this.messages.length === 0 && !first) return false
      turn.uuid = first ? undefined : this.messages.shift()
      turn.owed = first
    } else if (!turn.ready) {
      this.waiting = setTimeout(() => {
        turn.ready = true
        this.waiting = null
        this.advance()
      }, UNSOLICITED_DELAY_MS)
      return false
    }
    this.running = this.turns.shift()
    return true
  }

  /** @returns {boolean} whether the turn is complete */
  writeTurn() {
    const turn = this.running
    while (turn.lines.length > 0) {
      const { message } = turn.lines[0]
      if (!this.take(turn, message)) return false
      const line = turn.lines.shift()
      this.out.bytes(Buffer.from(renameMessages(line, turn, turn.uuid), 'latin1'))
      if (message.type === 'control_request') turn.unanswered = true
    }
    if (turn.result) this.lastIsError = turn.result.is_error
    this.failedStart = isFailedStart(turn.result)
    this.running = null
    return true
  }

  /** @returns {boolean} whether the input allows this line */
  take(turn, message) {
    if (turn.unanswered) {
      if (this.controlAnswers === 0 && message.type !== 'control_cancel_request' && message.type !== 'control_response')
        return false
      if (this.controlAnswers > 0) this.controlAnswers -= 1
      turn.unanswered = false
    }
    if (message.type === 'control_response') {
      if (this.controlRequests === 0) return false
      this.controlRequests -= 1
    } else if (turn.owed && message.subtype === 'init') {
      if (this.messages.length === 0) return false
      turn.uuid = this.messages.shift()
      turn.owed = false
    }
    return true
  }

  receive(message) {
    if (message.type === 'user') this.messages.push(message.uuid)
    else if (message.type === 'control_request') this.controlRequests += 1
    else if (message.type === 'control_response') this.controlAnswers += 1
    this.advance()
  }
}

const exitCode = (replay) => Number(process.env.CLEARCTX_STAND_IN_EXIT || (replay.lastIsError ? 1 : 0))

const runReplay = (options, out, log) => {
  const replay = new Replay(process.env.CLEARCTX_STAND_IN_TRANSCRIPT, out)
  const leave = async () => {
    await out.flushed()
    log('exit', { code: exitCode(replay) })
    process.exit(exitCode(replay))
  }
  limitLife(log, () => {})
  let ended = false
  replay.onRest = () => {
    if (ended || replay.failedStart) leave()
  }
  // One-shot use has no messages on standard input: its prompt releases everything.
  if (options['input-format'] !== 'stream-json') {
    ended = true
    for (const turn of replay.turns) turn.asked = false
  }
  const reader = new LineReader((line) => {
    const message = parse(line)
    log('message', { raw: message })
    replay.receive(message)
  })
  process.on('SIGINT', () => process.exit(0))
  process.stdin.on('data', (chunk) => reader.feed(chunk))
  process.stdin.on('end', () => {
    reader.end()
    log('eof', {})
    ended = true
    replay.advance()
  })
  replay.advance()
}

module.exports = { runReplay }
