'use strict'

// Names of options that do not exist. They are ignored, as in clearctx 3, but a typo should not go unnoticed.

/** A program that makes up names without end is not told of all of them. */
const MAX_PLACES = 1000

/** How many names one warning lists. */
const MAX_NAMES = 5

/** Longer names resemble none of ours. */
const MAX_NAME = 40

/** What names of other tools, and of options of other calls, mean here; the first that the call has. */
const otherNames = new Map([
  ['appendsystemprompt', ['systemPrompt']],
  ['cli', ['claudePath']],
  ['cwd', ['workDir']],
  ['dir', ['dataDir', 'workDir']],
  ['directory', ['dataDir', 'workDir']],
  ['executable', ['claudePath']],
  ['maxbudgetusd', ['maxBudget']],
  ['message', ['prompt']],
  ['model', ['defaultModel']],
  ['pathtoclaudecodeexecutable', ['claudePath']],
  ['permissionmode', ['defaultPermissionMode']],
  ['prompt', ['message']],
  ['timeout', ['defaultTimeout']],
  ['tools', ['allowedTools']],
  ['workingdirectory', ['workDir']],
])

/** Places in the program, with what was said there. */
const said = new Set()

/**
 * Warns of each property that is no option, once for each place in the program.
 * @param {object} given
 * @param {string} call which call it was given to, as messages name it
 * @param {Record<string, readonly string[]>} options the options of all calls
 * @param {readonly string[]} [ignored] what is no option and no mistake
 */
function checkNames(given, call, options, ignored = []) {
  for (const name of Object.keys(given)) {
    if (options[call].includes(name) || ignored.includes(name)) continue
    const text = `${call} has no option ${JSON.stringify(name.slice(0, MAX_NAME))}, which is ignored.`
    warnOnce('CLEARCTX_UNKNOWN_OPTION', text + hint(name, call, options))
  }
}

function hint(name, call, options) {
  const meant = suggestion(name, options[call])
  if (meant !== undefined) return ` Did you mean "${meant}"?`
  const other = Object.keys(options).find((known) => options[known].includes(name))
  return other === undefined ? '' : ` It is an option of ${other}.`
}

/** Warns of objects behind the last parameter, which look like options. */
function checkNoMore(extra, call) {
  for (const value of extra) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) continue
    const names = Object.keys(value).slice(0, MAX_NAMES)
    if (names.length === 0) continue
    const list = names.map((name) => JSON.stringify(name.slice(0, MAX_NAME))).join(', ')
    warnOnce('CLEARCTX_UNKNOWN_OPTION', `${call} takes no options there: ${list} ignored.`)
  }
}

/** Warns of something in the caller's program, unless the same was said of the same line. */
function warnOnce(code, message) {
  const place = callerLine()
  const text = place === undefined ? message : `${message} (${place})`
  if (said.has(text) || said.size >= MAX_PLACES) return
  said.add(text)
  process.emitWarning(text, { code })
}

/** The line of the program that called this package, as a stack names it. */
function callerLine() {
  const lines = String(new Error('where').stack).split('\n').slice(1)
  return lines.find((line) => !/\bnode:|\(<anonymous>\)/.test(line) && !line.includes(__dirname))?.trim()
}

function suggestion(name, known) {
  if (name.length > MAX_NAME) return undefined
  const wanted = name.toLowerCase()
  const other = otherNames.get(wanted)?.find((option) => known.includes(option))
  if (other !== undefined) return other
  const near = known
    .map((option) => ({ option, distance: distance(wanted, option.toLowerCase()) }))
    .filter((found) => found.distance <= Math.min(3, Math.ceil(found.option.length / 4)))
  return near.toSorted((a, b) => a.distance - b.distance)[0]?.option
}

/** How many characters must be added, removed, replaced or swapped with the next one. */
function distance(a, b) {
  const rows = [Array.from({ length: b.length + 1 }, (_, column) => column)]
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(replaced, rows[i - 1][j] + 1, row[j - 1] + 1)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1)
      }
    }
    rows.push(row)
  }
  return rows[a.length][b.length]
}

module.exports = { checkNames, checkNoMore, warnOnce }
