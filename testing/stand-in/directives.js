'use strict'

/**
 * The grammar of messages: `stand-in: NAME ARGUMENTS; NAME ARGUMENTS; ...`. A semicolon inside a JSON value separates
 * nothing; `text` and `echo` take the rest of the message. Anything else is a plain message.
 */

const PREFIX = /^\s*stand-in:\s*/
const TAKES_REST = new Set(['text', 'echo'])

/**
 * @param {string} text a message
 * @returns {{ name: string, args: string, after: boolean }[]} its directives; `after`: they follow the result
 */
const parseDirectives = (text) => {
  const prefix = PREFIX.exec(text)
  if (!prefix) return []
  const directives = []
  let rest = text.slice(prefix[0].length)
  while (rest.trim() !== '') {
    const [part, next] = cutDirective(rest.trimStart())
    if (part.trim() !== '') directives.push(readDirective(part))
    rest = next
  }
  return directives
}

const cutDirective = (text) => {
  const name = /^(?:then\s+)?(\S+)/.exec(text)?.[1]
  if (TAKES_REST.has(name)) return [text, '']
  const end = findSeparator(text)
  return [text.slice(0, end), text.slice(end + 1)]
}

/** Index of the first semicolon outside of JSON, else the length. */
const findSeparator = (text) => {
  let depth = 0
  let quoted = false
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i]
    if (quoted && c === '\\') i += 1
    else if (depth > 0 && c === '"') quoted = !quoted
    else if (!quoted && (c === '{' || c === '[')) depth += 1
    else if (!quoted && (c === '}' || c === ']')) depth -= 1
    else if (depth === 0 && c === ';') return i
  }
  return text.length
}

const readDirective = (part) => {
  const after = /^then\s/.test(part)
  const [, name, args = ''] = /^(\S+)(?:\s([\s\S]*))?$/.exec(part.replace(/^then\s+/, '').trimEnd()) || [null, part]
  return { name, args: TAKES_REST.has(name) ? args : args.trim(), after }
}

/** Tokens that a text asks for with `usage:IN,OUT`, or null. */
const parseUsage = (text) => {
  const found = /\busage:(\d+),(\d+)/i.exec(text)
  return found && { input: Number(found[1]), output: Number(found[2]) }
}

/** First word as a number (or a default), and what follows it. */
const takeNumber = (args, fallback) => {
  const found = /^(\d+(?:\.\d+)?)(ms|s)?(?:\s+([\s\S]*))?$/.exec(args)
  if (!found) return [fallback, args]
  return [Number(found[1]) * (found[2] === 's' ? 1000 : 1), found[3] || '']
}

module.exports = { parseDirectives, parseUsage, takeNumber }
