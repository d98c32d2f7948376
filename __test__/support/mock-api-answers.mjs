// What the mock of the Messages API answers: the last text that the user wrote decides.
//
//   any text                    `echo(N): text`, N = how many messages of the user the model sees
//   RECALL                      all earlier texts of the user, joined with ` | `
//   SLOW:ms:text                `slow: text` after a silence of ms
//   HOLD:text                   `held: text` once the test calls `release('text')`
//   LONG:n[:width]              n deltas `w0 w1 ...`, each padded with dots to a width of that many characters
//   DRIP:n:ms                   n deltas `w0 w1 ...`, one every ms
//   TOOL:Name:{json}            one tool call; once its result is there: `tool: <result>`
//   TOOLS:[["Name",{json}],…]   several calls in one answer; then `tools: <result> ; <result>`
//   AGENT:prompt                a call of the tool that runs a subagent in the foreground, whatever this version names
//                               it; then as TOOL. The subagent is answered by the same rules
//   ERROR:status[:after]        an HTTP error; `after` is the header retry-after, `never` forbids another try
//   FAIL:n:status[:after]       the same for the first n requests, then an echo
//   CUT                         half an answer, then the connection breaks
//   USAGE:in,out[,written[,writtenLong[,read]]][:command]
//                               token counts of every answer of this turn (default 10,5,0,0,0): input, output, cache of
//                               five minutes, cache of one hour, read from the cache
//
// A turn that the CLI starts by itself is answered with `noted: <summary>`; `USAGE:…` in the summary counts too. A model
// whose name contains `no-such` is not found.

import { DEFAULT_USAGE, nextSerial, sendError, sendHalf, sendMessage } from './mock-api-wire.mjs'

/** Tools that run a subagent, by the names that versions of the CLI give them. */
const SUBAGENT_TOOLS = ['Agent', 'Task']

const NOTHING = { input: 0, output: 0 }

const COUNTS = /USAGE:(\d+),(\d+)(?:,(\d+))?(?:,(\d+))?(?:,(\d+))?/

const COMMAND_WITH_COUNTS = new RegExp(`^${COUNTS.source}(?::([^]*))?$`)

/**
 * Answers one request. `record` is what the mock keeps of it (see mock-api.mjs) and gets `usage`, the tokens that the
 * answer reports; `cancelled` ends every wait; `released(text)` resolves when a `HOLD` may go on.
 */
export async function answer(record, response, { failures, released, cancelled }) {
  const { body } = record
  const { command, usage } = splitUsage(record.text)
  const [, word, rest = ''] = /^([A-Z]+)(?::([^]*))?$/.exec(command) ?? []
  const fail = (status, message, retryAfter) => {
    record.usage = NOTHING
    sendError(response, status, message, retryAfter)
  }
  if (body.model.includes('no-such')) return fail(404, `model: ${body.model}`)
  record.usage = usage
  const send = (content, options) => sendMessage(response, body, content, { usage, cancelled, ...options })
  const text = (words, options) => send([{ type: 'text', text: words }], options)
  const echo = () => text(`echo(${record.userTexts.length}): ${command}`)
  if (record.notified) return text(`noted: ${/<summary>([^]*)<\/summary>/.exec(record.text)?.[1]}`)
  const numbers = () => rest.split(':').map(Number)

  const commands = {
    RECALL: () => text(record.userTexts.slice(0, -1).join(' | ')),
    SLOW() {
      const [, silence, words] = /^(\d+):([^]*)$/.exec(rest)
      return text(`slow: ${words}`, { silence: Number(silence) })
    },
    async HOLD() {
      await released(rest)
      return text(`held: ${rest}`)
    },
    LONG: () => text(longText(...numbers())),
    DRIP() {
      const [count, pause] = numbers()
      return text(longText(count), { pause })
    },
    TOOL() {
      const [, name, input] = /^(\w+):([^]*)$/.exec(rest)
      return afterTools(() => [toolUse(name, JSON.parse(input))])
    },
    TOOLS: () => afterTools(() => JSON.parse(rest).map(([name, input]) => toolUse(name, input)), 'tools'),
    AGENT: () => afterTools(() => [subagentCall(body, rest)]),
    ERROR() {
      const [status, retryAfter] = rest.split(':')
      fail(Number(status), `mock error ${status}`, retryAfter)
    },
    FAIL() {
      const [times, status, retryAfter] = rest.split(':')
      const failed = failures.get(record.text) ?? 0
      if (failed >= Number(times)) return echo()
      failures.set(record.text, failed + 1)
      fail(Number(status), `mock error ${status}`, retryAfter)
    },
    CUT() {
      record.usage = { ...usage, output: 1 }
      sendHalf(response, body, usage)
    },
  }
  return Object.hasOwn(commands, word ?? '') ? commands[word]() : echo()

  /** The calls; with their results there, the answer to those. */
  function afterTools(calls, label = 'tool') {
    const results = record.toolResults
    return results.length > 0 ? text(`${label}: ${results.join(' ; ')}`) : send(calls())
  }
}

function splitUsage(text) {
  const found = COUNTS.exec(text)
  if (found === null) return { command: text, usage: DEFAULT_USAGE }
  const [input, output, written, writtenLong, read] = found.slice(1).map((count) => Number(count ?? 0))
  const whole = COMMAND_WITH_COUNTS.exec(text)
  const command = whole === null ? text : (whole.at(-1) ?? `usage ${input},${output}`)
  return { command, usage: { input, output, written, writtenLong, read } }
}

function toolUse(name, input) {
  return { type: 'tool_use', id: `toolu_mock_${nextSerial()}`, name, input }
}

function subagentCall({ tools }, prompt) {
  const tool = tools.find(({ name }) => SUBAGENT_TOOLS.includes(name))
  if (tool === undefined) throw new Error(`no tool for subagents among ${tools.map(({ name }) => name).join(', ')}`)
  const input = { description: 'sub job', prompt, subagent_type: 'general-purpose', run_in_background: false }
  return toolUse(tool.name, input)
}

/** The deltas of `LONG` and `DRIP`. */
function longText(count, width = 0) {
  return Array.from({ length: count }, (_, index) => `${`w${index}`.padEnd(width - 1, '.')} `)
}
