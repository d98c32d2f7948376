'use strict'

/** Removes from recorded lines what tells of this machine and its user: places, secrets, ports. */

const fs = require('fs')
const os = require('os')
const { join } = require('path')

const HOME = '/home/user'
const PROJECT = '/home/user/project'
const TEMPORARY = '/tmp'
const SECRET = 'scrubbed'
const PORT = '8080'

/** Variables whose values are nobody's business. */
const SECRET_NAME = /KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH/i

/** Shorter values would turn up in any text. */
const SHORTEST_SECRET = 8
const SHORTEST_PATH = 4

const escapeRegExp = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** The text as it stands in a line: one character per byte, and as JSON writes it. */
const forms = (text) => {
  const written = [text, JSON.stringify(text).slice(1, -1)]
  return written.map((form) => Buffer.from(form).toString('latin1'))
}

/** A path as given and as the system resolves it. */
const spellings = (path) => {
  try {
    return [path, fs.realpathSync(path), fs.realpathSync.native(path)]
  } catch {
    return [path]
  }
}

/** The CLI names folders after a path: everything but letters and digits becomes a dash. */
const folderName = (path) => path.replace(/[^A-Za-z0-9]/g, '-')

/** Rules for places, the first of equal length first. */
const placeRules = (places) =>
  places.flatMap(([path, replacement]) =>
    [...new Set(spellings(path))]
      .filter((spelling) => spelling.length >= SHORTEST_PATH)
      .flatMap((spelling) => [
        ...forms(spelling).map((form) => [form.length, escapeRegExp(form), replacement]),
        // Only as a part of a path; elsewhere it may be a word.
        [spelling.length, `(?<=[/\\\\])${escapeRegExp(folderName(spelling))}`, folderName(replacement)],
      ]),
  )

const secretRules = (env) =>
  Object.entries(env)
    .filter(([name, value]) => SECRET_NAME.test(name) && value.length >= SHORTEST_SECRET)
    .flatMap(([, value]) => forms(value).map((form) => [form.length, escapeRegExp(form), SECRET]))

const GENERAL = [
  // Keys of the API, wherever they come from.
  [/sk-ant-[\w-]+/g, `sk-ant-${SECRET}`],
  [/\b(127\.0\.0\.1|localhost|\[::1\]):\d+/g, `$1:${PORT}`],
  [/\/claude-\d+\//g, '/claude-1000/'],
]

/**
 * A function that scrubs recorded text (latin1, one character per byte) of a process with this environment and working
 * directory. Ids and times are kept.
 */
const createScrubber = (env, cwd) => {
  const home = env.HOME || env.USERPROFILE || os.homedir()
  const places = placeRules([
    [cwd, PROJECT],
    [home, HOME],
    [env.CLAUDE_CONFIG_DIR || join(home, '.claude'), `${HOME}/.claude`],
    [os.tmpdir(), TEMPORARY],
  ])
  // The longest first: one place may lie in another. Of two equal ones the first, which is the working directory, counts.
  const rules = [...secretRules(env), ...places]
    .toSorted(([left], [right]) => right - left)
    .map(([, source, replacement]) => [new RegExp(source, 'g'), () => replacement])
  return (text) => [...rules, ...GENERAL].reduce((left, [found, replacement]) => left.replace(found, replacement), text)
}

module.exports = { createScrubber }
