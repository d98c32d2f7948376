'use strict'

/** Faults at the start, from the environment: `exit:3:words | slow:500 | error-result:words | ...`. */

const lines = require('./lines.js')
const { uuid } = require('./ids.js')
const { zeroedResult } = require('./result.js')
const { tell } = require('./output.js')

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

const leave = async (out, code, words) => {
  if (words) await tell(`${words}\n`)
  await out.flushed()
  process.exit(code)
}

/** @returns {{ name: string, args: string }[]} */
const readStartFaults = () => {
  const text = process.env.CLEARCTX_STAND_IN_START || ''
  const parts = text
    .split(' | ')
    .map((part) => part.trim())
    .filter(Boolean)
  return parts.map((part) => {
    const [, name, args = ''] = /^([^:]+)(?::([\s\S]*))?$/.exec(part)
    return { name, args }
  })
}

const hookLines = (sessionId) => {
  const hook = { hook_id: uuid(), hook_name: 'SessionStart:startup', hook_event: 'SessionStart' }
  const said = { output: 'hookout\n', stdout: 'hookout\n', stderr: '', exit_code: 0, outcome: 'success' }
  return [lines.system('hook_started', sessionId, hook), lines.system('hook_response', sessionId, { ...hook, ...said })]
}

/** Faults that come before the process knows its session. */
const runEarlyFaults = async (out, habit) => {
  for (const { name, args } of readStartFaults()) {
    if (name === 'slow') await sleep(Number(args))
    if (name === 'exit') {
      const [code, ...words] = args.split(':')
      await leave(out, Number(code), words.join(':'))
    }
    if (name === 'error-result') {
      out.line(zeroedResult(habit, uuid(), args))
      await leave(out, 1, args)
    }
  }
}

/** Faults of a session that has started. */
const runSessionFaults = (session) => {
  for (const { name } of readStartFaults()) {
    if (name === 'ignore-signals') session.lifetime.ignoreSignals()
    if (name === 'hook-lines') for (const line of hookLines(session.conversation.id)) session.write(line)
  }
}

module.exports = { runEarlyFaults, runSessionFaults, leave }
