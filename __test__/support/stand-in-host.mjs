/** A host of the stand-in: answers what it asks, and compares its lines with a recorded control transcript. */

import { Client, STREAMING, makeHome } from './stand-in-client.mjs'

/** A streaming process of a test. */
export const startCli = (t, { args = [], env = {}, home = makeHome(t) } = {}) =>
  Object.assign(new Client(home, [...STREAMING, ...args], env), { home })

export const ASKING = ['--permission-prompt-tool', 'stdio']

export const isRequest =
  (subtype) =>
  ({ type, request }) =>
    type === 'control_request' && (subtype === undefined || request.subtype === subtype)

/** The `count`th request of this subtype. */
export const asked = (cli, subtype, count = 1) => cli.line(isRequest(subtype), count)

export const answer = (cli, { request_id: requestId }, response) =>
  cli.write({ type: 'control_response', response: { subtype: 'success', request_id: requestId, response } })

export const answerError = (cli, { request_id: requestId }, error) =>
  cli.write({ type: 'control_response', response: { subtype: 'error', request_id: requestId, error } })

export const toolResults = (cli) =>
  cli.lines.flatMap((line) => line?.message?.content ?? []).filter(({ type }) => type === 'tool_result')

/** Kinds of the lines, in order: `user`, `system/init`, `stream_event/message_stop`, `control_request/can_use_tool`. */
export const kinds = (lines) =>
  lines.map((line) =>
    [line.type, line.subtype ?? line.state ?? line.event?.type ?? line.request?.subtype].filter(Boolean).join('/'),
  )
