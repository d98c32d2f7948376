'use strict'

/** The command line: the options of the CLI that matter to a program which drives it. */

// kind: flag (no value), value (exactly one), maybe (one unless it looks like an option), list (variadic).
const OPTIONS = {
  '--print': 'flag',
  '--verbose': 'flag',
  '--fork-session': 'flag',
  '--replay-user-messages': 'flag',
  '--include-partial-messages': 'flag',
  '--include-hook-events': 'flag',
  '--continue': 'flag',
  '--no-session-persistence': 'flag',
  '--dangerously-skip-permissions': 'flag',
  '--allow-dangerously-skip-permissions': 'flag',
  '--strict-mcp-config': 'flag',
  '--version': 'flag',
  '--help': 'flag',
  '--input-format': 'value',
  '--output-format': 'value',
  '--model': 'value',
  '--fallback-model': 'value',
  '--permission-mode': 'value',
  '--permission-prompt-tool': 'value',
  '--system-prompt': 'value',
  '--system-prompt-file': 'value',
  '--append-system-prompt': 'value',
  '--append-system-prompt-file': 'value',
  '--max-budget-usd': 'value',
  '--max-turns': 'value',
  '--agent': 'value',
  '--agents': 'value',
  '--session-id': 'value',
  '--name': 'value',
  '--effort': 'value',
  '--settings': 'value',
  '--setting-sources': 'value',
  '--json-schema': 'value',
  '--resume': 'maybe',
  '--debug': 'maybe',
  '--allowedTools': 'list',
  '--disallowedTools': 'list',
  '--tools': 'list',
  '--add-dir': 'list',
  '--mcp-config': 'list',
  '--betas': 'list',
}

const ALIASES = {
  '-p': '--print',
  '-r': '--resume',
  '-c': '--continue',
  '-n': '--name',
  '-v': '--version',
  '-h': '--help',
  '-d': '--debug',
  '--allowed-tools': '--allowedTools',
  '--disallowed-tools': '--disallowedTools',
}

const CHOICES = {
  '--input-format': ['text', 'stream-json'],
  '--output-format': ['text', 'json', 'stream-json'],
  '--permission-mode': ['acceptEdits', 'auto', 'bypassPermissions', 'default', 'dontAsk', 'plan'],
}

class UsageError extends Error {}

const looksLikeOption = (arg) => arg.length > 1 && arg.startsWith('-')

/**
 * @param {string[]} argv
 * @returns {{ options: Record<string, any>, positional: string[] }} options by their long name without dashes
 */
const parseArguments = (argv) => {
  const rest = [...argv]
  const options = {}
  const positional = []
  while (rest.length > 0) {
    const arg = rest.shift()
    if (arg === '--') {
      positional.push(...rest.splice(0))
    } else if (looksLikeOption(arg)) {
      takeOption(arg, rest, options)
    } else {
      positional.push(arg)
    }
  }
  return { options, positional }
}

const takeOption = (arg, rest, options) => {
  const equals = arg.startsWith('--') ? arg.indexOf('=') : -1
  const written = equals > 0 ? arg.slice(0, equals) : arg
  const name = ALIASES[written] || written
  const kind = OPTIONS[name]
  if (!kind) throw new UsageError(`error: unknown option '${written}'`)
  const key = name.slice(2)
  if (kind === 'flag') {
    options[key] = true
    return
  }
  if (equals > 0) rest.unshift(arg.slice(equals + 1))
  const attached = equals > 0
  if (kind === 'list') options[key] = [...(options[key] || []), ...takeList(name, rest, attached)]
  else if (kind === 'maybe' && !attached && (rest.length === 0 || looksLikeOption(rest[0]))) options[key] = true
  else options[key] = takeValue(name, rest)
}

const takeValue = (name, rest) => {
  if (rest.length === 0) throw new UsageError(`error: option '${name} <value>' argument missing`)
  const value = rest.shift()
  const choices = CHOICES[name]
  if (choices && !choices.includes(value)) {
    const allowed = choices.join(', ')
    throw new UsageError(
      `error: option '${name} <value>' argument '${value}' is invalid. Allowed choices are ${allowed}.`,
    )
  }
  return value
}

// The first value of a variadic option is taken whatever it looks like, the others up to the next option.
const takeList = (name, rest, attached) => {
  const values = [takeValue(name, rest)]
  while (!attached && rest.length > 0 && !looksLikeOption(rest[0])) values.push(rest.shift())
  return name === '--mcp-config' ? values : values.flatMap(splitTools)
}

/** Tool names may be separated by commas or blanks; what stands in parentheses belongs to its tool. */
const splitTools = (text) => text.match(/(?:[^\s,(]|\([^)]*\))+/g) || []

module.exports = { parseArguments, UsageError }
