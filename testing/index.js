'use strict'

/** `clearctx/testing`: a stand-in for the `claude` program and a recorder, for tests that must not spend money. */

const path = require('path')

const PREFIX = 'CLEARCTX_STAND_IN_'

/** Environment variable of each option. */
const VARIABLES = {
  habit: 'HABIT',
  version: 'VERSION',
  start: 'START',
  every: 'EVERY',
  log: 'LOG',
  transcript: 'TRANSCRIPT',
  transcriptUuids: 'TRANSCRIPT_UUIDS',
  exitCode: 'EXIT',
  chunkBytes: 'CHUNK',
  saveDelay: 'SAVE_DELAY_MS',
  maxLife: 'MAX_LIFE_MS',
  agents: 'AGENTS',
  settingsMode: 'SETTINGS_MODE',
  forcedMode: 'FORCED_MODE',
  steerOwnTurns: 'STEER_OWN_TURNS',
  control: 'CONTROL',
  mcpTimeout: 'MCP_TIMEOUT_MS',
}

const standInPath = path.join(__dirname, 'claude-stand-in.js')

const toText = (value) => {
  if (Array.isArray(value)) return value.join(',')
  return value === true ? '1' : String(value)
}

const standInEnv = (options = {}) => {
  const env = {}
  for (const [option, value] of Object.entries(options)) {
    if (option === 'configDir') {
      env.CLAUDE_CONFIG_DIR = String(value)
      continue
    }
    if (!Object.hasOwn(VARIABLES, option)) throw new TypeError(`standInEnv: unknown option '${option}'`)
    if (value !== undefined && value !== false) env[PREFIX + VARIABLES[option]] = toText(value)
  }
  return env
}

const recorderPath = path.join(__dirname, 'recorder.js')

const recorderEnv = (options = {}) => {
  const { cli, transcript, ...unknown } = options
  const [option] = Object.keys(unknown)
  if (option !== undefined) throw new TypeError(`recorderEnv: unknown option '${option}'`)
  for (const [name, value] of Object.entries({ cli, transcript })) {
    if (typeof value !== 'string' || value === '') throw new TypeError(`recorderEnv: option '${name}' must be a path`)
  }
  // The CLI runs in a directory of its own: a relative path would lead elsewhere there.
  return { CLEARCTX_RECORD_CLI: path.resolve(cli), CLEARCTX_RECORD_TO: path.resolve(transcript) }
}

exports.recorderPath = recorderPath
exports.recorderEnv = recorderEnv
exports.standInPath = standInPath
exports.standInEnv = standInEnv
