'use strict'

/** `-p` with a prompt: one turn, then the end. */

const { leave } = require('./start.js')
const { tell } = require('./output.js')
const { SHORT_LISTS } = require('./lines.js')

const STDIN_PATIENCE_MS = 3000

/** All of standard input; with a prompt at hand it is not waited for long. */
const readAll = (hasPrompt) =>
  new Promise((resolve) => {
    const parts = []
    const finish = () => resolve(Buffer.concat(parts).toString('utf8'))
    const timer = setTimeout(() => {
      tell('Warning: no stdin data received in 3s, proceeding without it.\n')
      process.stdin.pause()
      finish()
    }, STDIN_PATIENCE_MS)
    if (!hasPrompt) clearTimeout(timer)
    process.stdin.on('data', (part) => {
      clearTimeout(timer)
      parts.push(part)
    })
    process.stdin.on('end', () => {
      clearTimeout(timer)
      finish()
    })
    process.stdin.on('error', finish)
  })

const checkAgent = ({ agent, 'output-format': format }) => {
  const known = [...SHORT_LISTS.agents, ...(process.env.CLEARCTX_STAND_IN_AGENTS || '').split(',').filter(Boolean)]
  if (!agent || format === 'stream-json' || known.includes(agent)) return null
  return `--agent '${agent}' not found. Available agents: ${known.join(', ')}`
}

const runOneShot = async (session, positional) => {
  const unknownAgent = checkAgent(session.options)
  if (unknownAgent) return leave(session.out, 1, unknownAgent)
  const piped = process.stdin.isTTY ? '' : (await readAll(positional.length > 0)).replace(/\n$/, '')
  const text = [...positional.slice(0, 1), ...(piped ? [piped] : [])].join('\n')
  if (text === '') {
    const words = 'Error: Input must be provided either through stdin or as a prompt argument when using --print'
    return leave(session.out, 1, words)
  }
  const raw = { type: 'user', message: { role: 'user', content: text } }
  session.log('message', { raw })
  session.scheduler.receive({ text, raw, priority: 'next', shouldQuery: true })
  await session.scheduler.ended
  session.sink.end()
  return session.exit(session.lastIsError ? 1 : 0)
}

module.exports = { runOneShot }
