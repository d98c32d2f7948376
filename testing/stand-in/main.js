'use strict'

/** The start: arguments, checks, then streaming mode, one turn, or the replay of a transcript. */

const { parseArguments, UsageError } = require('./arguments.js')
const { chooseHabit } = require('./habits.js')
const { Output, tell } = require('./output.js')
const { openLog } = require('./log.js')
const { runEarlyFaults, runSessionFaults, leave } = require('./start.js')
const { zeroedResult } = require('./result.js')

const ROOT_REFUSAL = '--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons'

const asksForBypass = (options) =>
  options['dangerously-skip-permissions'] ||
  options['allow-dangerously-skip-permissions'] ||
  options['permission-mode'] === 'bypassPermissions'

/** @returns {string | null} why these options cannot work together */
const findConflict = (options) => {
  const { 'input-format': input = 'text', 'output-format': output = 'text', verbose, print } = options
  if (!print) return 'stand-in: only -p (--print) is supported'
  if (input === 'stream-json' && output !== 'stream-json') {
    return 'Error: --input-format=stream-json requires output-format=stream-json.'
  }
  if (output === 'stream-json' && !verbose) {
    return 'Error: When using --print, --output-format=stream-json requires --verbose'
  }
  if (options['include-partial-messages'] && output !== 'stream-json') {
    return 'Error: --include-partial-messages requires --print and --output-format=stream-json.'
  }
  if (options['fork-session'] && !options.resume && !options.continue) {
    return 'Error: --fork-session can only be used with --resume or --continue'
  }
  const sandboxed = process.env.IS_SANDBOX === '1' || process.env.CLAUDE_CODE_BUBBLEWRAP === '1'
  if (asksForBypass(options) && process.getuid?.() === 0 && !sandboxed) return ROOT_REFUSAL
  return null
}

/** A session, or null after a failed start has been told. */
const openSession = async (habit, options, out, log) => {
  const { Session, StartError } = require('./session.js')
  const sink = require('./sinks.js').createSink(out, options)
  try {
    const session = new Session({ habit, options, out, sink, log })
    if (asksForBypass(options)) session.mayBypass = true
    if (options['dangerously-skip-permissions']) session.permissionMode = 'bypassPermissions'
    return equip(session)
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    if (error.sessionId && options['output-format'] === 'stream-json') {
      out.line(zeroedResult(habit, error.sessionId, error.message))
    }
    await leave(out, 1, error.message)
    return null
  }
}

const equip = (session) => {
  const { Scheduler } = require('./scheduler.js')
  const { Lifetime } = require('./lifetime.js')
  session.scheduler = new Scheduler(session)
  session.lifetime = new Lifetime(session)
  session.fail = fail
  return session
}

/** A defect of the stand-in itself must be seen, and must not look like the CLI. */
const fail = (error) => {
  tell(`stand-in: internal error: ${error.stack}\n`).then(() => process.exit(70))
}

const run = async (argv) => {
  const { options, positional } = parseArguments(argv)
  const habit = chooseHabit(process.env.CLEARCTX_STAND_IN_HABIT, process.env.CLEARCTX_STAND_IN_VERSION)
  const out = new Output(Number(process.env.CLEARCTX_STAND_IN_CHUNK) || 0)
  const log = openLog(process.env.CLEARCTX_STAND_IN_LOG)
  if (options.version) {
    out.bytes(Buffer.from(`${habit.version} (Claude Code) [clearctx stand-in]\n`))
    return
  }
  log('start', { argv, cwd: process.cwd() })
  await runEarlyFaults(out, habit)
  const conflict = findConflict(options)
  if (conflict) return leave(out, 1, conflict)
  if (process.env.CLEARCTX_STAND_IN_TRANSCRIPT) return require('./replay.js').runReplay(options, out, log)
  const session = await openSession(habit, options, out, log)
  if (!session) return
  runSessionFaults(session)
  if (options['input-format'] === 'stream-json') require('./streaming.js').runStreaming(session)
  else await require('./one-shot.js').runOneShot(session, positional)
}

const main = (argv) => {
  process.on('uncaughtException', fail)
  run(argv).catch((error) => {
    if (!(error instanceof UsageError)) return fail(error)
    tell(`${error.message}\n`).then(() => process.exit(1))
  })
}

module.exports = { main }
