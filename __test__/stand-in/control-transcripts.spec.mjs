/** The lines of the stand-in CLI against recorded conversations of the real one with a host that controls it. */

import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { makeHome, takeLeftovers } from '../support/stand-in-client.mjs'
import { rerun } from '../support/stand-in-conformance.mjs'
import { kinds } from '../support/stand-in-host.mjs'

after(() => assert.deepEqual(takeLeftovers(), [], 'every process has ended'))

const RECORDINGS = [
  ['interrupt-330'],
  ['interrupt-queue-330'],
  ['interrupt-too-early-330', { env: { CLEARCTX_STAND_IN_CONTROL: 'race' } }],
  ['permission-answers-330'],
  ['permission-cancelled-330'],
  ['permission-pending-330'],
  ['ask-user-question-330'],
  ['exit-plan-mode-330'],
  ['hooks-330'],
  ['hook-unanswered-330'],
  ['hook-unanswered-197'],
  ['mcp-in-process-330'],
  ['mcp-in-process-197'],
  ['mcp-call-interrupted-330'],
  [
    'elicitation-330',
    { prompt: () => 'stand-in: elicit {"requested_schema":{"properties":{"name":{"type":"string"}}}}' },
  ],
  ['partial-messages-330', { prompt: () => 'stand-in: text w0 w1 w2 ' }],
  ['settings-330'],
  ['rewind-files-330', { env: { CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING: 'true' } }],
  ['initialize-330'],
  ['initialize-197'],
  ['end-session-queue-330'],
  ['end-session-queue-197'],
]

/**
 * Names of the fields of a line and of what it carries. Of the answers to control requests, only those that the stand-in
 * gives are compared: the CLI says much more there that no host needs.
 */
const fieldsOf = (line, other) => {
  const names = (value) => (typeof value === 'object' && value ? Object.keys(value).toSorted() : typeof value)
  const { request, response } = line
  const shared = Object.keys(line.response?.response ?? {}).filter((name) => name in (other.response?.response ?? {}))
  return {
    line: names(line),
    blocks: Array.isArray(line.message?.content) ? line.message.content.map(names) : [],
    request: names(request),
    input: names(request?.input),
    message: names(request?.message),
    response: names(response),
    answer: shared.toSorted(),
    detail: names(line.tool_use_result),
  }
}

describe('the order of lines, and their fields', { concurrency: 3 }, () => {
  for (const [name, options = {}] of RECORDINGS) {
    test(name, { timeout: 20000 }, async (t) => {
      const { lines, recorded, exit, expectedExit } = await rerun({ name, home: makeHome(t), ...options })
      assert.deepEqual(kinds(lines), kinds(recorded))
      for (const [i, line] of lines.entries())
        assert.deepEqual(fieldsOf(line, recorded[i]), fieldsOf(recorded[i], line))
      assert.equal(exit.code, expectedExit.code)
    })
  }
})
