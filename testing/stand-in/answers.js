'use strict'

/** Directives that choose the answer: fixed texts, and what the process knows about itself. */

const { takeNumber } = require('./directives.js')

const answerWith = (text) => ({ run: (turn, args, message) => (turn.answer = text(turn, args, message)) })

const environmentOf = (names) =>
  Object.fromEntries(
    names
      .split(/[\s,]+/)
      .filter(Boolean)
      .map((name) => [name, process.env[name] ?? null]),
  )

module.exports = {
  echo: { run: (turn, args) => (turn.echoText = args) },
  text: answerWith((turn, args) => args),
  recall: answerWith((turn) => turn.session.conversation.userTexts().slice(0, -1).join(' | ')),
  usage: {
    run: (turn, args) => {
      const [input, output] = args.split(/[\s,]+/).map(Number)
      turn.wanted = { input, output }
    },
  },
  env: answerWith((turn, args) => JSON.stringify(environmentOf(args))),
  argv: answerWith(() => JSON.stringify(process.argv.slice(2))),
  cwd: answerWith(() => process.cwd()),
  pid: answerWith(() => String(process.pid)),
  model: answerWith((turn) => turn.session.model),
  'permission-mode': answerWith((turn) => turn.session.permissionMode),
  'session-id': answerWith((turn) => turn.session.conversation.id),
  'system-prompt': answerWith(({ session }) => `${session.systemPrompt.length} ${session.systemPrompt}`),
  received: answerWith((turn, args, message) => JSON.stringify(message.raw)),
  surrogate: {
    run: async (turn) => {
      turn.answer = 'lone \ud83d end'
      await require('./work.js').showTool(turn, 'Bash', { command: 'printf lone' }, 'cut \ude00 here')
    },
  },
  big: {
    run: (turn, args) => {
      ;[turn.bigMebibytes] = takeNumber(args, 1)
    },
  },
  'spawn-children': {
    run: (turn, args) => {
      const [count] = takeNumber(args, 1)
      turn.answer = JSON.stringify(turn.session.children.sleepers(turn.session, count))
    },
  },
  'spawn-orphans': {
    run: async (turn, args) => {
      const [count] = takeNumber(args, 1)
      turn.answer = JSON.stringify(await turn.session.children.orphans(turn.session, count))
    },
  },
}
