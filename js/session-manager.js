'use strict'

const { NativeManager } = require('./engine')
const check = require('./arguments')
const { addControls } = require('./controls')
const {
  call,
  callSite,
  calledAt,
  decodeError,
  isClearctxError,
  sessionError,
  typeError,
  valueError,
} = require('./errors')
const { callerEnv, environment, oneCall, outcome } = require('./environment')
const { liveOptions, plan } = require('./live')
const { ManagerEvents } = require('./manager-events')
const { sendOptions } = require('./send-options')
const { Store, exportNow, nativeOf, removeOld, storeCall } = require('./store')
const { DEFAULT_TIMEOUT_MS, ended, internals, newSession, persist } = require('./stream-session')

/** The symbol of `await using`; Node 20.3 does not have it. */
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')

/** Many sessions by name, with their records. */
class SessionManager {
  #native
  #run
  /** Sessions whose process has not ended, also those that gave up their name. */
  #running = new Set()
  #maxHistory
  /** Forks whose first turn has no answer yet, by name: they are not in {@link sessions}. */
  #forking = new Map()
  /** Looks at lost sessions that go on, each a promise. */
  #looks = new Set()
  /** How often it was closed: what began before the last time starts nothing any more. */
  #closes = 0
  #events = new ManagerEvents(this)
  /** What the program answers in each session, unless a call says otherwise. */
  #live

  constructor(options) {
    const given = check.options(options, 'new SessionManager()')
    this.#run = check.runOptions(given)
    this.#live = liveOptions(given)
    this.#maxHistory = check.storeOptions(given).maxHistory
    this.defaultModel = check.text(given.defaultModel, 'options.defaultModel') ?? 'sonnet'
    this.defaultPermissionMode = check.text(given.defaultPermissionMode, 'options.defaultPermissionMode') ?? 'default'
    this.defaultTimeout = check.milliseconds(given.defaultTimeout, 'options.defaultTimeout') ?? DEFAULT_TIMEOUT_MS
    this.store = new Store(check.text(given.dataDir, 'options.dataDir'), check.storeOptions(given))
    this.sessions = new Map()
    this.#native = call(() => new NativeManager(environment, nativeOf(this.store)))
    call(() => this.#native.sweep())
  }

  on(type, listener) {
    this.#events.add(type, listener, false)
    return this
  }

  once(type, listener) {
    this.#events.add(type, listener, true)
    return this
  }

  off(type, listener) {
    this.#events.remove(type, listener)
    return this
  }

  async spawn(name, options, ...extra) {
    check.name(name)
    check.noMore(extra, 'spawn()')
    const given = check.options(options, 'spawn()')
    const settings = check.sessionOptions(given)
    const prompt = check.optionalMessage(given.prompt, 'options.prompt')
    const replaced = this.#replaced(name)
    const live = this.#planned(given)
    const start = () => this.#native.spawn(name, JSON.stringify(settings), this.#defaults(live.wire))
    const session = oneCall(() => this.#begin(storeCall(this.store, start), live))
    if (replaced !== null) this.#events.emit('warning', name, replacement(name, replaced))
    const response = prompt === undefined ? null : await this.#first(session, prompt)
    return { session: session.toJSON(), initData: session.initData, response }
  }

  async send(name, message, options, ...extra) {
    const session = this._getSession(name)
    check.noMore(extra, 'send()')
    check.message(message)
    check.milliseconds(sendOptions(options, 'send()').timeout, 'timeout')
    if (session.status === 'paused') session.resume()
    // Without "await" the stack of an error would end here.
    return await this.#ask(session, message, options)
  }

  stream(name, message, options) {
    const session = this._getSession(name)
    check.message(message)
    if (session.status === 'paused') session.resume()
    return session[internals].stream(message, options, () => this.#isCurrent(session) && this._persist(name))
  }

  pause(name) {
    const session = this._getSession(name)
    session.pause()
    this._persist(name)
  }

  async resume(name, message, options, ...extra) {
    check.name(name)
    check.noMore(extra, 'resume()')
    const given = check.optionalMessage(message, 'message')
    // A number there is an index that clearctx 3 ignores, as in `names.map((name, index) => mgr.resume(name, text, index))`.
    const live = this.#planned(check.options(typeof options === 'number' ? undefined : options, 'resume()'))
    const session = this.sessions.get(name) ?? this.#goOn(live, (defaults) => this.#native.resume(name, defaults))
    if (session.status === 'paused') session.resume()
    if (given !== undefined) return await this.#first(session, given)
    this._persist(name)
    return null
  }

  async recover(options) {
    const given = check.options(options, 'recover()')
    const resume = check.flag(given.resume, 'options.resume')
    const resend = check.flag(given.resend, 'options.resend')
    if (resend && !resume) throw valueError('options.resend', 'given together with options.resume', given.resend)
    const optionsOf = recoverOptions(given.options)
    const closes = this.#closes
    const site = callSite()
    const found = await this.#look()
    const goesOn = resume ? () => this.#closes === closes : undefined
    return Promise.all(found.map((lost) => this.#recoverOne(lost, { goesOn, resend, optionsOf, site })))
  }

  async fork(sourceName, newName, options, ...extra) {
    check.name(sourceName, 'sourceName')
    check.name(newName, 'newName')
    check.noMore(extra, 'fork()')
    const given = check.options(options, 'fork()')
    const settings = check.sessionOptions(given)
    const message = check.text(given.message, 'options.message')
    const request = JSON.stringify({ source: sourceName, newName, given: settings, message })
    const replaced = this.#replaced(newName)
    // A fork runs under what its source runs under.
    const source = this.sessions.get(sourceName)?.[internals].liveOptions
    const live = plan({ ...this.#live, ...source, ...liveOptions(given) })
    const starting = forkCall(() => storeCall(this.store, () => this.#native.fork(request, this.#defaults(live.wire))))
    const forked = await this.#fork(starting, live)
    if (replaced !== null) this.#events.emit('warning', newName, replacement(newName, replaced))
    return forked
  }

  stop(name) {
    const session = this._getSession(name)
    oneCall(() => this.#stop(session))
  }

  kill(name) {
    check.name(name)
    const session = this.sessions.get(name) ?? this.#forking.get(name)
    if (session === undefined) {
      storeCall(this.store, () => this.#native.killStored(name))
      return
    }
    oneCall(() => {
      try {
        session.kill()
      } finally {
        this.#release(session)
      }
    })
  }

  stopAll() {
    oneCall(() => this.#stopAll())
  }

  #stopAll() {
    let failure
    for (const session of [...this.sessions.values()]) {
      try {
        // A store that fails once would cost each session its own wait; their ends are recorded later.
        if (failure?.code === 'ERR_STORE') this.#forget(session)
        this.#stop(session)
      } catch (error) {
        failure ??= error
      }
    }
    try {
      exportNow(this.store)
    } catch (error) {
      failure ??= error
    }
    if (failure !== undefined) throw failure
  }

  status(name) {
    check.name(name)
    return (this.sessions.get(name) ?? this.#forking.get(name))?.toJSON() ?? this.#record(name)
  }

  list(statusFilter) {
    const wanted = check.text(statusFilter, 'statusFilter')
    const found = new Map(this.store.list().map((record) => [record.name, record]))
    for (const [name, session] of [...this.#forking, ...this.sessions]) found.set(name, session.toJSON())
    return [...found.values()].filter((record) => wanted === undefined || record.status === wanted)
  }

  history(name) {
    check.name(name)
    return this.sessions.get(name)?.interactions ?? this.#record(name).interactions ?? []
  }

  lastOutput(name) {
    return this.history(name).at(-1) ?? null
  }

  delete(name) {
    check.name(name)
    const session = this.sessions.get(name) ?? this.#forking.get(name)
    oneCall(() => {
      try {
        session?.kill()
      } finally {
        if (session !== undefined) this.#forget(session)
        storeCall(this.store, () => this.#native.deleteStored(name))
      }
    })
  }

  cleanup(days) {
    return removeOld(this.store, days, [...this.sessions.keys()])
  }

  async batch(specs) {
    check.list(specs, 'specs')
    const start = (spec) => this.spawn(spec.name, spec).catch((error) => failedSpawn(spec.name, error))
    return Promise.all(oneCall(() => specs.map(start)))
  }

  async close(options) {
    await this.#close(options)
  }

  // Not through `close`, which a subclass of a clearctx 3 program may have for something else.
  async [asyncDispose]() {
    await this.#close()
  }

  async #close(options) {
    const timeout = check.milliseconds(check.options(options, 'close()').timeout, 'options.timeout')
    let failure
    this.#closes += 1
    try {
      this.stopAll()
    } catch (error) {
      failure = error
    }
    for (const session of this.#forking.values()) {
      try {
        session.kill()
      } catch (error) {
        failure ??= error
      }
    }
    await this.#allEnded(timeout)
    await this.store.flush()
    call(() => this.#native.closeFiles())
    if (failure !== undefined) throw failure
  }

  _getSession(name) {
    check.name(name)
    const session = this.sessions.get(name)
    if (session === undefined) throw sessionError.notAlive(name, this.#whyNotAlive(name))
    return session
  }

  /** Called before a session's process starts: the place for a subclass to add its listeners. */
  _wireEvents(_session) {}

  /** Called whenever a session's state is to be saved. What the record says already is not written again. */
  _persist(name) {
    this.sessions.get(name)?.[persist]()
  }

  // The state as it is at the stop is saved and the name is free, whatever listeners of `status` do.
  #stop(session) {
    try {
      session.stop()
    } finally {
      this.#release(session)
    }
  }

  // Checked at each use: callers may assign them.
  #defaults(live) {
    return JSON.stringify({
      live,
      model: check.text(this.defaultModel, 'defaultModel') ?? 'sonnet',
      permissionMode: check.text(this.defaultPermissionMode, 'defaultPermissionMode') ?? 'default',
      timeout: check.milliseconds(this.defaultTimeout, 'defaultTimeout') ?? DEFAULT_TIMEOUT_MS,
      cwd: process.cwd(),
      ...this.#run,
    })
  }

  #record(name) {
    const record = this.store.get(name)
    if (record === null) throw sessionError.notFound(name)
    return record
  }

  /** Of a session that this manager does not have: why it ended, if nobody had asked for that; the program that has it. */
  #whyNotAlive(name) {
    try {
      const { status, owner, lastError } = this.store.get(name) ?? {}
      const lives = status !== undefined && !ended.has(status) && typeof owner?.pid === 'number'
      const { code, message } = lastError ?? {}
      return {
        ...(lives ? { holderPid: owner.pid } : {}),
        ...(typeof message === 'string' ? { cause: { code, message } } : {}),
      }
    } catch {
      // That the session is not alive here is true, whatever the store says.
      return {}
    }
  }

  /** The record that a new session of the name would replace; read only if somebody listens. */
  #replaced(name) {
    return this.#events.has('warning') ? this.store.get(name) : null
  }

  #planned(given) {
    return plan({ ...this.#live, ...liveOptions(given) })
  }

  #goOn(live, resume) {
    const start = () => storeCall(this.store, () => resume(this.#defaults(live.wire)))
    const session = oneCall(() => this.#begin(start(), live))
    session[internals].show(this.store.get(session.name) ?? {})
    return session
  }

  #look() {
    const number = storeCall(this.store, () => this.#native.recover(this.#defaults(), callerEnv(), process.cwd()))
    const look = outcome(number).finally(() => this.#looks.delete(look))
    this.#looks.add(look)
    return look
  }

  /**
   * What is told of a lost session. With `goesOn` it goes on if that says so, with `resend` so do its messages. Never
   * rejects.
   */
  async #recoverOne(lost, { goesOn, resend, optionsOf, site }) {
    if (goesOn === undefined) return withLast(lost, lost.verdict)
    try {
      if (!goesOn()) throw sessionError.closed(lost.name)
      const live = this.#planned(check.options(optionsOf(lost.name), 'resume()'))
      const session = this.#goOn(live, (defaults) => this.#native.resumeLost(lost.name, defaults))
      lost.session = session.toJSON()
      if (resend) await this.#resend(session, lost.messages, site)
      else this._persist(lost.name)
    } catch (error) {
      lost.error = calledAt(error, site)
    }
    return withLast(lost, lost.verdict)
  }

  async #resend(session, messages, site) {
    const sends = session[internals].resend(site)
    await Promise.all(
      sends.map(async ({ index, response }) => {
        try {
          messages[index].response = await this.#asked(session, response)
        } catch (error) {
          messages[index].error = error
        }
      }),
    )
  }

  /**
   * The original's order: listeners, process, name, record. A start that fails leaves nothing behind.
   * @param {import('../native').NativeStarting} starting
   */
  #begin(starting, live) {
    const session = this.#newSession(starting, live)
    try {
      this._wireEvents(session)
      session.start()
      this.sessions.set(session.name, session)
      this._persist(session.name)
      // Only now that the record is ours: until then the process before may add a last turn.
      storeCall(this.store, () => session[internals].native.takeOver())
    } catch (error) {
      this.#undo(session, starting)
      throw error
    }
    return session
  }

  #newSession(starting, { options, callbacks }) {
    const session = newSession(JSON.parse(starting.options), {
      maxHistory: this.#maxHistory,
      liveOptions: options,
      callbacks,
      hearsPermissions: () => this.#events.has('permission'),
      start: (changed) => starting.start(changed, callerEnv(), process.cwd()),
      onError: () => this.#isCurrent(session) && this._persist(session.name),
      onEnd: () => this.#release(session),
      onClose: () => this.#running.delete(session),
      tell: (type, details) => this.#events.emit(type, session.name, details),
    })
    this.#running.add(session)
    return session
  }

  #undo(session, starting) {
    starting.cancel()
    this.#forget(session)
    if (session[internals].native === undefined) this.#running.delete(session)
    else session.kill()
  }

  /** The first message of a process; the error has the stack of the call, whether that is awaited or not. */
  async #first(session, message) {
    const site = callSite()
    try {
      return await this.#ask(session, message)
    } catch (error) {
      throw calledAt(error, site)
    }
  }

  async #ask(session, message, options) {
    return await this.#asked(session, session.send(message, options))
  }

  async #asked(session, answer) {
    const response = await answer
    if (this.#isCurrent(session)) this.#persistAnswer(session, response)
    return response
  }

  /** An answer is not lost when the record cannot be written after it: the error has it. */
  #persistAnswer(session, response) {
    try {
      this._persist(session.name)
    } catch (error) {
      throw isClearctxError(error) ? Object.assign(error, { response, sent: true }) : error
    }
  }

  #isCurrent(session) {
    return this.sessions.get(session.name) === session
  }

  // A session that ended by itself gives its name back before anybody learns of it. Only that session object is
  // touched, never a newer one of the same name.
  #release(session) {
    if (!this.#isCurrent(session)) return
    try {
      this._persist(session.name)
    } finally {
      this.#forget(session)
    }
  }

  #forget(session) {
    session[internals].native?.release()
    for (const map of [this.sessions, this.#forking]) {
      if (map.get(session.name) === session) map.delete(session.name)
    }
  }

  /** A fork is in `sessions`, and has a record, from the answer to its first message on. */
  async #fork(starting, live) {
    const [message, timeout] = starting.firstTurn
    const site = callSite()
    const session = this.#newSession(starting, live)
    let response
    try {
      this._wireEvents(session)
      session.start()
      this.#forking.set(session.name, session)
      response = await session.send(message, timeout)
      this.#forking.delete(session.name)
      this.sessions.set(session.name, session)
      this.#persistAnswer(session, response)
    } catch (error) {
      this.#undo(session, starting)
      if (session[internals].native !== undefined) await session.closed
      throw calledAt(forkError(error), site)
    }
    return { session: session.toJSON(), response }
  }

  /** Resolves when all processes have ended and nothing looks for lost sessions, which is not waited for beyond the time. */
  async #allEnded(timeout) {
    const closed = Promise.allSettled([...this.#running].map((session) => session.closed))
    const looked = Promise.allSettled(this.#looks)
    if (timeout === undefined) return Promise.all([closed, looked])
    let timer
    const isLate = new Promise((resolve) => {
      timer = setTimeout(resolve, Math.min(timeout, 2 ** 31 - 1))
    }).then(() => this.#killAll())
    await closed
    await Promise.race([looked, isLate])
    clearTimeout(timer)
  }

  // The exceptions of listeners are the program's; they spare no process.
  #killAll() {
    for (const session of this.#running) {
      try {
        session.kill()
      } catch (error) {
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }
}

addControls(SessionManager, (manager, [name, ...args]) => [manager._getSession(name)[internals].controls, args])

/** The options for each session that a recovery resumes. */
function recoverOptions(value) {
  if (check.isMissing(value)) return () => undefined
  if (typeof value !== 'function') throw typeError('options.options', 'a function', value)
  return value
}

/** The element of a batch whose spawn failed. As in errors, `cause` is not enumerable: the rest is what clearctx 3 gives. */
function failedSpawn(name, error) {
  const result = { session: { name, status: 'failed' }, error: error.message }
  return Object.defineProperty(result, 'cause', { value: error, writable: true, configurable: true })
}

/** The warning that a new session took the place of a record. */
function replacement(name, { status, claudeSessionId, totalCostUsd, totalTurns }) {
  const before = {
    status,
    claudeSessionId,
    totalCostUsd: Number(totalCostUsd) || 0,
    totalTurns: Number(totalTurns) || 0,
  }
  const spent = `${before.totalTurns} ${before.totalTurns === 1 ? 'turn' : 'turns'} and $${before.totalCostUsd.toFixed(4)}`
  return {
    code: 'CLEARCTX_RECORD_REPLACED',
    message: `Session "${name}" replaced the record of a session that was ${status}, with ${spent}.`,
    replaced: before,
  }
}

/** Of the message at which a lost session's conversation stopped, the response or error is the session's own. */
function withLast(result, verdict) {
  const { messages } = result
  const { response, error } = messages.find((message) => message.verdict === verdict) ?? {}
  const last = verdict === 'answered' ? messages.at(-1).response : response
  if (last !== undefined) result.response = last
  if (error !== undefined) result.error ??= error
  return result
}

/** Codes that an error of a fork keeps; everything else that goes wrong is a failed fork. */
const ownCodes = new Set([
  'ERR_FORK_FAILED',
  'ERR_NO_SESSION_ID',
  'ERR_OPTIONS_MISSING',
  'ERR_PERMISSION_MODE',
  'ERR_SESSION_EXISTS',
  'ERR_SESSION_NOT_FOUND',
  'ERR_STORE',
])

function forkCall(step) {
  try {
    return call(step)
  } catch (error) {
    throw forkError(error)
  }
}

/** The error of a fork. Of an answer that could not be stored it has the answer and what was paid. */
function forkError(cause) {
  const { response } = cause
  const paid = response === undefined ? {} : { cost: response.cost, sessionId: response.sessionId, response }
  if (ownCodes.has(cause.code)) return Object.assign(cause, paid)
  const message = `Fork failed: ${cause.message}`
  const data = cause.failure === undefined ? paid : { ...paid, failure: cause.failure }
  return Object.assign(decodeError({ code: 'ERR_FORK_FAILED', class: 'Error', message, data }), { cause })
}

module.exports = { SessionManager }
