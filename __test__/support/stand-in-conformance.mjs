/**
 * Drives the stand-in with what a host wrote to the real CLI in a recorded conversation, in the recorded order, so that
 * its lines can be compared with the recorded ones.
 */

import { readFileSync } from 'node:fs'

import { Client } from './stand-in-client.mjs'

/** @returns {{ cli: string, argv: string[], events: { in?: any, out?: any }[] }} */
export const readRecording = (name) => {
  const url = new URL(`../fixtures/control/${name}.ndjson`, import.meta.url)
  const [head, ...events] = readFileSync(url, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  return { ...head, events }
}

/** The recorded prompts ask a mock of the API for tools and for slow texts. */
const toDirectives = (never) => (prompt) => {
  const tool = /^TOOL:([^:]+):([\s\S]*)$/.exec(prompt)
  if (tool) return `stand-in: tool ${tool[1]} ${tool[2]}`
  return prompt.startsWith('SLOW:') ? `stand-in: hold ${never}` : prompt
}

const translate = (line, prompt, ids) => {
  if (line.type === 'user') {
    return { ...line, message: { ...line.message, content: prompt(line.message.content) } }
  }
  if (line.type !== 'control_response') return line
  const { response } = line
  return { ...line, response: { ...response, request_id: ids.get(response.request_id) ?? response.request_id } }
}

/**
 * @param {{ name: string, home: object, prompt?: (text: string) => string, env?: object }} run
 * @returns {Promise<{ lines: object[], recorded: object[], exit: object }>}
 */
export const rerun = async ({ name, home, prompt = toDirectives(`${home.cwd}/never`), env = {} }) => {
  const { cli: version, argv, events } = readRecording(name)
  const habit = version === '2.1.197' ? { CLEARCTX_STAND_IN_HABIT: 'older', CLEARCTX_STAND_IN_SAVE_DELAY_MS: '0' } : {}
  const cli = new Client(home, argv, { ...habit, ...env })
  const recorded = []
  const ids = new Map()
  const here = (text) => JSON.parse(JSON.stringify(text).replaceAll('/home/user/project', home.cwd))
  for (let at = 0; at < events.length;) {
    // What was written without waiting for anything is one write here too.
    const written = []
    for (; events[at]?.in; at += 1) written.push(translate(here(events[at].in), prompt, ids))
    if (written.length > 0) cli.write(written.map((line) => `${JSON.stringify(line)}\n`).join(''))
    else if (events[at].out) {
      const line = events[at].out
      recorded.push(line)
      await cli.line(() => true, recorded.length)
      if (line.type === 'control_request') ids.set(line.request_id, requestId(cli, recorded))
      at += 1
    } else {
      if ('in-eof' in events[at]) cli.child.stdin.end()
      at += 1
    }
  }
  return { lines: cli.lines, recorded, exit: await cli.closed, expectedExit: events.at(-1).exit }
}

/** Id of the request that takes the place of the last recorded one. */
const requestId = (cli, recorded) => {
  const isRequest = ({ type }) => type === 'control_request'
  return cli.lines.filter(isRequest)[recorded.filter(isRequest).length - 1]?.request_id
}
