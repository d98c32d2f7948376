'use strict'

/** Directives about the control protocol itself: requests of any shape, requests out of turn, faults of answers. */

const { modelCall, uuid } = require('./ids.js')
const { askHost } = require('./requests.js')
const { complain } = require('./faults.js')

const parse = (turn, what, json) => {
  try {
    return JSON.parse(json)
  } catch (error) {
    complain(turn, `${what}: ${error.message}`)
    return null
  }
}

/** `request JSON`: any control request; its answer is that of the turn. After the result nobody waits for it. */
const request = async (turn, args) => {
  const body = parse(turn, 'request', args)
  if (!body) return
  if (turn.finished) turn.session.requests.send(body, { onAnswer: () => {} })
  else turn.answer = JSON.stringify(await askHost(turn, body))
}

/** `control FAULT`: see control-faults.js. */
const control = (turn, args) => {
  try {
    turn.session.controlFaults.add(args)
  } catch (error) {
    complain(turn, error.message)
  }
}

const cancelUnknown = ({ session }) => session.write({ type: 'control_cancel_request', request_id: uuid() })

const answerUnknown = ({ session }) =>
  session.write({ type: 'control_response', response: { subtype: 'success', request_id: uuid() } })

/** `think TEXT`: a block of thinking before the answer. */
const think = (turn, args) => {
  turn.thoughtCall = modelCall()
  turn.writeBlock(turn.thoughtCall, {
    type: 'thinking',
    thinking: args || 'thinking it over',
    signature: 'c2lnbmF0dXJl',
  })
}

const directives = {
  request: { run: request },
  control: { phase: 'before', run: control },
  'cancel-unknown': { run: cancelUnknown },
  'answer-unknown': { run: answerUnknown },
  think: { run: think },
  contexts: { run: (turn) => (turn.answer = JSON.stringify(turn.contexts)) },
}

module.exports = { directives }
