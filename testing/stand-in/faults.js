'use strict'

/** Directives that misbehave: errors of the API, crashes, broken output, deafness. */

const { modelCall, uuid } = require('./ids.js')
const { takeNumber } = require('./directives.js')
const { encode, tell } = require('./output.js')
const lines = require('./lines.js')

const GARBAGE_LINES = [
  'this is no JSON',
  '',
  '   ',
  '{"type":"assistant","message":',
  'null',
  '42',
  '"a string"',
  '[]',
  '[{"type":"result"}]',
  '{}',
  '{"type":7}',
  '{"type":"no_such_type","session_id":null}',
  '{"type":"system","subtype":"no_such_subtype","data":{"deep":[[[{}]]]}}',
  '{"type":"assistant"}',
  '{"type":"user","message":null}',
  '\u0000\u0001\u001b[31mred\u001b[0m\u007f',
  '\ufeff{"type":"no_such_type"}',
  '{"a":1}{"b":2}',
]

const garbage = () =>
  Buffer.concat([
    Buffer.from(GARBAGE_LINES.join('\n') + '\n'),
    Buffer.from([0xff, 0xfe, 0x80, 0xc3, 0x28, 0x0a]),
    Buffer.from('{"type":"no_such_type","text":"'),
    Buffer.from([0xed, 0xa0, 0x80, 0xf0, 0x9f]),
    Buffer.from('"}\n'),
  ])

const crash = () => {
  process.kill(process.pid, 'SIGKILL')
  // The signal is not always delivered before the call returns.
  return new Promise(() => {})
}

const writeAnswer = (turn) => turn.writeBlock(modelCall(), { type: 'text', text: turn.answerText() })

const fail = (turn, text, outcome, extra) => {
  const { session } = turn
  turn.open()
  session.write(lines.syntheticAssistant(session, text, { stopReason: outcome.stopReason, extra }))
  session.conversation.addAssistant(text, { synthetic: true, isApiErrorMessage: true })
  turn.outcome = { text, isError: true, ...outcome }
}

const apiError = (turn, status) => {
  const { session } = turn
  if (status === 529) for (const attempt of [1, 2]) session.write(lines.apiRetry(session, attempt, 529, 500 * attempt))
  const text =
    status === 529 ? 'API Error: Repeated 529 Overloaded errors.' : `API Error: ${status} stand-in error ${status}`
  const terminalReason = session.habit.newer ? 'api_error' : 'completed'
  const outcome = { apiErrorStatus: status === 529 ? null : status, stopReason: 'stop_sequence', terminalReason }
  const error = status === 529 || status >= 500 ? 'server_error' : 'unknown'
  fail(turn, text, outcome, { error, ...(status !== 529 && { request_id: modelCall().requestId }) })
}

const failTurn = (turn, subtype, message, outcome) => {
  writeAnswer(turn)
  turn.session.conversation.addAssistant(turn.answerText())
  turn.charge(turn.wanted)
  turn.outcome = { subtype, isError: true, errors: [message], stopReason: 'end_turn', ...outcome }
}

/** The limit of a subscription is used up for `seconds`: the event comes before the words, without a retry. */
const limitReached = (turn, seconds) => {
  const { session } = turn
  session.write(lines.limitReached(session, Math.floor(Date.now() / 1000) + seconds))
  const outcome = { apiErrorStatus: 429, stopReason: 'stop_sequence' }
  fail(turn, "You've hit your 5-hour limit", outcome, {
    error: 'rate_limit',
    ...(session.habit.newer && { api_error_status: 429, api_error: 'usage_limit_reached' }),
  })
}

const error = (turn, args) => {
  const [kind, ...words] = args.replace(/^api\s+/, '').split(/\s+/)
  const said = words.join(' ')
  if (/^\d+$/.test(kind)) apiError(turn, Number(kind))
  else if (kind === 'execution') failTurn(turn, 'error_during_execution', said || 'stand-in: execution failed', {})
  else if (kind === 'max-turns') {
    failTurn(turn, 'error_max_turns', 'Reached maximum number of turns', { terminalReason: 'max_turns' })
  } else if (kind === 'budget') {
    // Up to 2.1.61 it is not marked as an error.
    const isError = said !== 'unmarked'
    failTurn(turn, 'error_max_budget_usd', 'Reached maximum budget', { isError, terminalReason: undefined })
  } else if (kind === 'usage-limit') {
    limitReached(turn, Number(said) || 3600)
  } else if (kind === 'login') {
    const outcome = { stopReason: 'stop_sequence', terminalReason: 'completed' }
    fail(turn, 'Not logged in · Please run /login', outcome, { error: 'authentication_failed' })
  } else complain(turn, `unknown error '${args}'`)
}

/** A message that the stand-in does not understand must not pass for an answer. */
const complain = (turn, words) => {
  const outcome = { stopReason: 'stop_sequence', terminalReason: 'completed' }
  fail(turn, `stand-in: ${words}`, outcome, { error: 'invalid_request' })
}

const refuse = (turn) => {
  const { session } = turn
  const call = modelCall()
  turn.writeBlock(call, { type: 'text', text: turn.answerText() })
  turn.charge(turn.wanted)
  session.writeSystem('model_refusal_no_fallback', {
    original_model: session.model,
    request_id: call.requestId,
    api_refusal_category: null,
    api_refusal_explanation: null,
    refused_user_message_uuid: turn.mainUuid || uuid(),
    content: '',
  })
  const text = 'API Error: Claude Code is unable to respond to this request (stand-in refusal).'
  const outcome = { stopReason: 'refusal', terminalReason: 'completed' }
  fail(turn, text, outcome, { error: 'invalid_request', request_id: call.requestId })
}

const floodStderr = async (turn, args) => {
  const [mebibytes] = takeNumber(args, 1)
  const line = Buffer.from('stand-in: noise on stderr '.padEnd(1023, '.') + '\n')
  const mebibyte = Buffer.concat(Array(1024).fill(line))
  for (let left = mebibytes; left > 0; left -= 1) {
    const part = mebibyte.subarray(0, Math.ceil(Math.min(left, 1) * mebibyte.length))
    await tell(part)
  }
}

const leave = async (turn, args) => {
  const [code] = takeNumber(args, 1)
  await tell(`stand-in: leaving with code ${code}\n`)
  await turn.session.exit(code)
}

const halfLine = (turn) => {
  turn.writeResult = (result) => {
    const line = Buffer.from(encode(result))
    turn.session.out.bytes(line.subarray(0, line.length >> 1))
    turn.session.exit(0)
  }
}

const twoResults = (turn) => {
  turn.writeResult = (result) => {
    turn.session.writeResult(result)
    const again = { ...result, uuid: uuid() }
    if (turn.session.habit.newer)
      Object.assign(again, { result_index: result.result_index + 1, model_usage_since_last_result: {} })
    turn.session.writeResult(again)
  }
}

const dribble = async (turn, args) => {
  const [bytes, words] = takeNumber(args, 1)
  const { out } = turn.session
  turn.echoText = `${words || turn.echoText || turn.text} 🙂 grüße 日本`
  const before = out.chunkBytes
  out.chunkBytes = bytes
  turn.undo = () => (out.chunkBytes = before)
}

const directives = {
  error: { run: error },
  refusal: { run: refuse },
  silent: {
    run: (turn) => {
      turn.doing = 'silent'
      return turn.wait()
    },
  },
  mute: {
    phase: 'before',
    run: (turn) => {
      turn.mute = true
      turn.doing = 'silent'
      return turn.wait()
    },
  },
  'no-init': { phase: 'before', run: (turn) => (turn.mute = true) },
  'init-late': { phase: 'before', run: (turn, args) => turn.wait(takeNumber(args, 0)[0]) },
  'crash-before-init': { phase: 'before', run: crash },
  'exit-before-init': { phase: 'before', run: leave },
  crash: {
    run: async (turn) => {
      if (!turn.outcome && !turn.finished) writeAnswer(turn)
      await turn.session.out.flushed()
      await crash()
    },
  },
  exit: { run: leave },
  'half-line': { run: halfLine },
  'two-results': { run: twoResults },
  garbage: { run: (turn) => turn.session.out.bytes(garbage()) },
  dribble: { phase: 'before', run: dribble },
  stderr: { run: floodStderr },
  'close-stdout': { run: (turn) => turn.session.out.close() },
  'ignore-signals': { phase: 'before', run: (turn) => turn.session.lifetime.ignoreSignals() },
  linger: { run: (turn, args) => turn.session.lifetime.lingerAfterEnd(takeNumber(args, 0)[0]) },
  'no-read': {
    run: (turn) => {
      process.stdin.pause()
      turn.session.lifetime.holdOpen()
    },
  },
}

module.exports = { directives, complain }
