'use strict'

/** Streaming mode: messages and control requests come in on standard input until it ends. */

const { LineReader, readMessage, FatalInput } = require('./input.js')
const { handleControl, handleCancel } = require('./control.js')
const { leave } = require('./start.js')

const handleLine = (session, line) => {
  const message = readMessage(session.habit, line, session.conversation.id)
  if (message === null) return
  session.log('message', { raw: message.raw })
  if (message.kind === 'control') handleControl(session, message.raw)
  else if (message.kind === 'cancel') handleCancel(session, message.raw)
  else if (message.kind === 'response') session.requests.answer(message.raw)
  else if (message.kind === 'user') session.scheduler.receive(message)
  else if (message.kind === 'assistant') session.conversation.addAssistant(JSON.stringify(message.raw.message.content))
  session.isFirstLine = false
}

const runStreaming = (session) => {
  let dead = false
  const onLine = (line) => {
    if (dead) return
    try {
      handleLine(session, line)
    } catch (error) {
      if (!(error instanceof FatalInput)) throw error
      dead = true
      if (error.result) session.write(error.result)
      leave(session.out, 1, error.message)
    }
  }
  const reader = new LineReader(onLine)
  session.scheduler.onIdle = () => session.lifetime.leaveWhenDone()
  process.stdin.on('data', (chunk) => reader.feed(chunk))
  process.stdin.on('end', () => {
    reader.end()
    if (!dead) session.lifetime.onEndOfInput()
  })
  process.stdin.on('error', () => session.lifetime.onEndOfInput())
}

module.exports = { runStreaming }
