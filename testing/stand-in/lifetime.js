'use strict'

/** When and how the process ends: end of input, signals, and a hard limit that no test can outlive. */

const { dropBackground } = require('./background.js')

const DEFAULT_MAX_LIFE_MS = 120000
// A turn that cannot be cut (its reader is stuck) holds a signal no longer than this.
const SIGNAL_PATIENCE_MS = 2000

/** End for good after the limit, whatever else was asked for. */
const limitLife = (log, endChildren) => {
  const ms = Number(process.env.CLEARCTX_STAND_IN_MAX_LIFE_MS) || DEFAULT_MAX_LIFE_MS
  const timer = setTimeout(() => {
    log('limit', { ms })
    endChildren()
    process.kill(process.pid, 'SIGKILL')
  }, ms)
  timer.unref()
}

class Lifetime {
  constructor(session) {
    this.session = session
    this.ignoring = false
    this.inputEnded = false
    this.endedWhileBusy = false
    this.lingerMs = 0
    this.keepAlive = null
    this.grace = null
    this.ending = false
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => this.onSignal(signal))
    limitLife(session.log, () => session.children.endAll())
  }

  /** From now on signals and the end of input do nothing. */
  ignoreSignals() {
    this.ignoring = true
    this.holdOpen()
  }

  /** Without input the event loop would be empty, and the process would end by itself. */
  holdOpen() {
    this.keepAlive ??= setInterval(() => {}, 1000)
  }

  lingerAfterEnd(ms) {
    this.lingerMs = ms
  }

  onSignal(signal) {
    this.session.log('signal', { signal, ignored: this.ignoring })
    if (this.ignoring || this.ending) return
    if (signal === 'SIGINT') this.interrupt()
    else this.terminate(signal === 'SIGTERM' ? 143 : 129)
  }

  /** SIGINT: the running turn gets its aborted result, then the process ends well. */
  async interrupt() {
    this.ending = true
    const { session } = this
    const { scheduler } = session
    setTimeout(() => process.exit(0), SIGNAL_PATIENCE_MS)
    dropBackground(session)
    scheduler.stopped = true
    scheduler.turn?.abort('signal')
    await scheduler.ended
    await session.exit(0)
  }

  /** SIGTERM and SIGHUP: no result. The older CLI leaves a running tool behind. */
  terminate(code) {
    this.ending = true
    const { session } = this
    session.conversation.flush()
    if (session.habit.newer) session.children.endAll()
    session.log('exit', { code })
    process.exit(code)
  }

  onEndOfInput() {
    this.session.log('eof', {})
    this.inputEnded = true
    this.endedWhileBusy = this.session.scheduler.busy
    this.session.requests.endOfInput()
    this.leaveWhenDone()
  }

  /** `end_session`: like the end of input, but a running turn is cut. */
  endSession() {
    const { scheduler, habit } = this.session
    this.inputEnded = true
    const discarded = habit.newer ? scheduler.discard() : []
    if (scheduler.turn) {
      scheduler.turn.atEnd = () => this.session.writeLifecycle(discarded, 'discarded')
      scheduler.turn.abort('signal')
    } else {
      this.session.writeLifecycle(discarded, 'discarded')
    }
    dropBackground(this.session)
    this.leaveWhenDone()
  }

  leaveWhenDone() {
    const { session } = this
    const { background, scheduler, habit } = session
    if (!this.inputEnded || this.ignoring || this.ending || scheduler.busy) return
    if (background.size > 0) {
      if (habit.backgroundGraceMs < Infinity) this.grace ??= setTimeout(() => this.dropTasks(), habit.backgroundGraceMs)
      return
    }
    this.ending = true
    setTimeout(() => this.leave(), this.lingerMs)
  }

  dropTasks() {
    dropBackground(this.session)
    this.leaveWhenDone()
  }

  leave() {
    const { session } = this
    // The older CLI does not wait for its reader: output of a turn that was still running is lost.
    session.exit(session.lastIsError ? 1 : 0, { lose: !session.habit.newer && this.endedWhileBusy })
  }
}

module.exports = { Lifetime, limitLife }
