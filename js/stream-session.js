'use strict'

const { EventEmitter } = require('node:events')

const { NativeSession } = require('./engine')
const { AnswerStream } = require('./answer-stream')
const check = require('./arguments')
const { Asks } = require('./asks')
const { Controls, addControls } = require('./controls')
const { call, calledAt, decodeError, sessionError, typeError } = require('./errors')
const { callerEnv, deliver, environment, forget, listen, sent } = require('./environment')
const { liveOptions, plan } = require('./live')
const { blocksOf, contentOf, promptOf } = require('./messages')
const { sendOptions } = require('./send-options')

/** What a manager may do with its sessions; kept off the public surface. */
const internals = Symbol('clearctx.internals')

/** Names the method that a manager calls at every turn. */
const persist = Symbol('clearctx.persist')

/** Events that are made from the lines of the CLI. */
const heard = ['message', 'text', 'tool_use', 'tool_result']

/** Statuses in the order of their numbers, by which a send names them. */
const statuses = NativeSession.statuses()

/** Statuses of a session that takes no messages any more. */
const ended = new Set(['stopped', 'killed', 'failed'])

const DEFAULT_TIMEOUT_MS = 600_000

/**
 * A session's manager, as the session knows it: how it is started, and what must be done before listeners run.
 * @typedef {object} Manager
 * @property {number | undefined} maxHistory
 * @property {object} liveOptions the options that they come from
 * @property {import('./live').Callbacks} callbacks
 * @property {() => boolean} hearsPermissions whether it has listeners of permission requests
 * @property {(changed: string | undefined) => NativeSession} start
 * @property {() => void} onError
 * @property {() => void} onEnd
 * @property {() => void} onClose
 * @property {(type: string, details: object) => void} tell called after the session's own listeners
 */

/**
 * One conversation with its process. What is visible here changes only within a call of the caller or the delivery
 * of an event; the engine may be ahead of it.
 */
class StreamSession extends EventEmitter {
  /** @type {NativeSession | undefined} */
  #native
  #run
  #parent = null
  /** What it runs with unless a property is changed before the start, as JSON. */
  #planned
  /** Text of the latest init, parsed at first use. */
  #initLine = null
  #initData = null
  #interactions = []
  /** Whether the caller replaced the history, which is then saved whole. */
  #replaced = false
  #totalCostUsd = 0
  #totalTurns = 0
  /** The engine's count of status changes up to the visible one. */
  #change = 0
  #sends = 0
  /** Whether a message was sent whose init has not come: a listener of it may add others for its turn. */
  #awaitsInit = false
  #delivering = false
  /** @type {Map<number, { resolve(response: object): void, reject(error: Error): void }>} */
  #open = new Map()
  #closed = withResolvers()
  /** Control requests without an answer, by their numbers. */
  #calls = new Map()
  #callCount = 0
  /** Readers of answers, by the number of the send. */
  #streams = new Map()
  /** @type {Asks} */
  #asks
  #controls = new Controls(
    (request) => this.#called(request),
    (model) => (this.model = model),
  )
  /** What the engine is told of callbacks, for a session without a manager. */
  #live
  /** @type {Manager | undefined} */
  #manager

  constructor(options, manager) {
    super()
    this.#manager = manager?.[internals]
    const given = this.#manager === undefined ? check.options(options, 'new StreamSession()') : options
    // What the engine planned was checked when it was given.
    const settings = this.#manager === undefined ? check.sessionOptions(given) : given
    this.name = this.#manager === undefined ? check.name(given.name, 'options.name') : given.name
    this.id = check.text(given.sessionId, 'options.sessionId') ?? null
    this.status = 'starting'
    this.model = settings.model ?? 'sonnet'
    this.workDir = settings.workDir ?? process.cwd()
    this.permissionMode = settings.permissionMode ?? 'default'
    this.allowedTools = settings.allowedTools ?? []
    this.systemPrompt = settings.systemPrompt ?? ''
    this.maxBudget = settings.maxBudget ?? null
    this.agent = settings.agent ?? null
    this.timeout = settings.timeout ?? DEFAULT_TIMEOUT_MS
    this.tags = settings.tags ?? []
    this.pid = null
    this.created = (this.#manager && given.created) ?? new Date().toISOString()
    if (this.#manager === undefined) {
      this.#run = check.runOptions(given)
      const { wire, callbacks } = plan(liveOptions(given))
      this.#live = wire
      this.#asks = this.#asksFor(callbacks)
    } else {
      this.#asks = this.#asksFor(this.#manager.callbacks)
      this.#parent = given.parent
      this.#planned = JSON.stringify(this.#settings())
    }
  }

  get initData() {
    if (this.#initLine !== null) {
      this.#initData = JSON.parse(this.#initLine)
      this.#initLine = null
    }
    return this.#initData
  }

  get interactions() {
    return this.#interactions
  }

  set interactions(list) {
    if (!Array.isArray(list)) throw typeError('interactions', 'an array', list)
    this.#interactions = list
    this.#replaced = true
  }

  get totalCostUsd() {
    return this.#totalCostUsd
  }

  set totalCostUsd(usd) {
    this.#totalCostUsd = check.positive(usd, 'totalCostUsd') ?? 0
    this.#tellTotals()
  }

  get totalTurns() {
    return this.#totalTurns
  }

  set totalTurns(turns) {
    this.#totalTurns = check.positive(turns, 'totalTurns') ?? 0
    this.#tellTotals()
  }

  /** Resolves to `{ code, signal }` when the process has ended and all its output was delivered. */
  get closed() {
    return this.#closed.promise
  }

  // The ways to change the listeners; the other ones of EventEmitter come down to these.
  on(event, listener) {
    if (event === 'permission' && !this.#asks.hasPermissions) warnOfPermissions(this.name)
    return this.#listening(super.on(event, listener))
  }

  addListener(event, listener) {
    return this.#listening(super.addListener(event, listener))
  }

  prependListener(event, listener) {
    return this.#listening(super.prependListener(event, listener))
  }

  off(event, listener) {
    return this.#listening(super.off(event, listener))
  }

  removeListener(event, listener) {
    return this.#listening(super.removeListener(event, listener))
  }

  removeAllListeners(...events) {
    return this.#listening(super.removeAllListeners(...events))
  }

  start() {
    if (this.#native !== undefined) throw sessionError.alreadyStarted(this.name)
    const native = call(() => this.#begin())
    this.#native = native
    listen(native.number, this)
    this.#subscribe()
    this.#tellTotals()
    this.pid = native.pid ?? null
    const { status, change } = native.status
    // A CLI may have died already. Its end comes with its events, which tell the reason.
    if (!ended.has(status)) this.#changeStatus(status, change)
  }

  async send(message, options) {
    const { timeout, signal } = sendOptions(options, 'send()')
    return await this.#send(message, timeout, signal)
  }

  /** The answer to a message as it grows. The message is sent now; the last item is the response. */
  stream(message, options) {
    return this.#stream(message, options)
  }

  #stream(message, options, onEnd = () => {}) {
    const { timeout, signal, backpressure } = sendOptions(options, 'stream()')
    const native = this.#started()
    const stream = new AnswerStream(backpressure === 'pause' ? (held) => native.holdOutput(held) : null)
    const response = this.#send(message, timeout, signal, (send) => {
      this.#streams.set(send, stream)
      this.#subscribe()
      stream.onLeave(() => this.#streams.delete(send) && this.#subscribe())
    })
    stream.follow(response.finally(onEnd))
    return stream
  }

  async #send(message, timeout, signal, onSend) {
    let isSent = false
    try {
      return await new Promise((resolve, reject) => {
        const content = contentOf(message)
        const prompt = typeof message === 'string' ? undefined : JSON.stringify(promptOf(message))
        const ms =
          check.milliseconds(timeout, 'timeout') ?? check.milliseconds(this.timeout, 'timeout') ?? DEFAULT_TIMEOUT_MS
        const native = this.#started()
        if (signal?.aborted) throw aborted(sessionError.aborted(this.name), signal)
        const send = (this.#sends += 1)
        this.#awaitInit(true)
        sent()
        const code = unsent(() => this.#ask(() => native.send(send, content, prompt, ms)))
        isSent = true
        this.#open.set(
          send,
          signal === undefined ? { resolve, reject } : this.#abortable(send, signal, resolve, reject),
        )
        onSend?.(send)
        this.#changeStatusApart(statuses[code % statuses.length], Math.floor(code / statuses.length))
      })
    } catch (error) {
      // It was made by the event loop. Here the stack has whoever awaits the answer, and a send that succeeds pays nothing.
      if (isSent) Error.captureStackTrace(error)
      throw error
    }
  }

  /** The promise of a send that its caller may give up. */
  #abortable(send, signal, resolve, reject) {
    const abort = () => {
      const { status, change } = this.#native.abort(send)
      this.#changeStatusApart(status, change)
    }
    signal.addEventListener('abort', abort, { once: true })
    const over = (settle) => (value) => {
      signal.removeEventListener('abort', abort)
      settle(value?.code === 'ERR_ABORTED' ? aborted(value, signal) : value)
    }
    return { resolve: over(resolve), reject: over(reject) }
  }

  /** A control request, whose answer comes as an event. */
  async #called(request) {
    const native = this.#started()
    const number = (this.#callCount += 1)
    let isAsked = false
    try {
      return await new Promise((resolve, reject) => {
        this.#calls.set(number, { resolve, reject })
        const { status, change } = this.#ask(() => request(native, number))
        isAsked = true
        this.#changeStatusApart(status, change)
      })
    } catch (error) {
      this.#calls.delete(number)
      if (isAsked) Error.captureStackTrace(error)
      throw error
    }
  }

  #asksFor(callbacks) {
    const answer = (id, payload, words) => this.#native?.answer(id, payload, words)
    const tell = (request) => {
      const isHeard = this.listenerCount('permission') > 0 || this.#manager?.hearsPermissions() === true
      if (isHeard) this.#announce('permission', { request }, request)
      return isHeard
    }
    return new Asks(this.name, callbacks, answer, tell)
  }

  /** Sends again what was lost with the host of the record: the places of the messages there, and their responses. */
  #resend(site) {
    const native = this.#started()
    this.#awaitInit(true)
    sent()
    const sends = JSON.parse(call(() => native.resend(this.#sends + 1)))
    const { status, change } = native.status
    const answers = sends.map(({ index, send, error }) => {
      if (error !== undefined) return { index, response: Promise.reject(calledAt(decodeError(error), site)) }
      this.#sends = send
      const response = new Promise((resolve, reject) => {
        this.#open.set(send, { resolve, reject: (reason) => reject(calledAt(reason, site)) })
      })
      return { index, response }
    })
    this.#changeStatusApart(status, change)
    return answers
  }

  pause() {
    const native = this.#started()
    this.#apply(() => native.pause())
  }

  resume() {
    const native = this.#started()
    this.#apply(() => native.resume())
  }

  stop() {
    this.#apply(() => this.#native?.stop())
  }

  kill() {
    this.#apply(() => this.#native?.kill())
  }

  toJSON() {
    return {
      name: this.name,
      id: this.id,
      claudeSessionId: this.id,
      status: this.status,
      model: this.model,
      workDir: this.workDir,
      permissionMode: this.permissionMode,
      allowedTools: [...this.allowedTools],
      systemPrompt: this.systemPrompt,
      maxBudget: this.maxBudget,
      agent: this.agent,
      totalCostUsd: this.totalCostUsd,
      totalTurns: this.totalTurns,
      interactionCount: this.interactions.length,
      interactions: this.interactions.map((interaction) => ({ ...interaction })),
      created: this.created,
      timeout: this.timeout,
      tags: [...this.tags],
      pid: this.pid,
      ...(this.#parent === null ? {} : { parent: this.#parent }),
      ...(this.#asks.hasPermissions ? { pendingPermissions: this.#asks.pending } : {}),
    }
  }

  /** The next event of the engine; called by the environment's host alone. Returns whether it settled a send. */
  [deliver](event) {
    this.pid ??= this.#native?.pid ?? null
    this.#delivering = true
    const open = this.#open.size
    try {
      this.#take(event)
    } finally {
      this.#delivering = false
    }
    return this.#open.size < open
  }

  #take(event) {
    switch (event.type) {
      case 'message':
        return this.#onMessage(event)
      case 'delta':
        return this.#onDelta(event)
      case 'gap':
        return this.#onGap(event)
      case 'ask':
        return this.#asks.take(event.id, event.subtype, event.request)
      case 'askOver':
        return this.#asks.end(event.id, event.reason)
      case 'answered':
        return this.#settleCall(event.call, 'resolve', event.value)
      case 'refused':
        return this.#settleCall(event.call, 'reject', decodeError(event.error))
      case 'init':
        return this.#onInit(event)
      case 'turn':
        return this.#onTurn(event)
      case 'failed':
        return event.sends.forEach((send) => this.#fail(send, event))
      case 'stderr':
        return this.emit('stderr', event.text)
      case 'status':
        return this.#changeStatus(event.status, event.change)
      case 'retry':
        return this.#onRetry(event)
      case 'error':
        return this.#onError(decodeError(event.error))
      case 'close':
        return this.#onClose(event.code, event.signal)
      case 'permissionMode':
        this.permissionMode = event.mode
        return
      case 'warning':
        process.emitWarning(event.message, { code: event.code })
        this.#manager?.tell('warning', { code: event.code, message: event.message })
    }
  }

  get [internals]() {
    return {
      native: this.#native,
      show: (record) => this.#show(record),
      resend: (site) => this.#resend(site),
      controls: this.#controls,
      liveOptions: this.#manager?.liveOptions,
      stream: (message, options, onEnd) => this.#stream(message, options, onEnd),
    }
  }

  /** Saves what the record does not say yet; called by the manager alone. */
  [persist]() {
    // The engine knows what is new; the whole history is given when the caller replaced it, or when the record
    // was lost with a file that another program replaced.
    const isSaved = !this.#replaced && call(() => this.#native?.persist())
    if (isSaved === false) call(() => this.#native?.persist(JSON.stringify(this.#interactions)))
    this.#replaced = false
  }

  // Properties count as they are at the start: callers may have assigned them since the constructor checked them.
  #settings() {
    const settings = check.sessionOptions(this)
    return { ...settings, model: settings.model ?? 'sonnet', workDir: settings.workDir ?? process.cwd() }
  }

  /** @returns {NativeSession} */
  #begin() {
    const settings = this.#settings()
    if (this.#manager !== undefined) {
      const json = JSON.stringify(settings)
      return this.#manager.start(json === this.#planned ? undefined : json)
    }
    const options = {
      ...settings,
      ...this.#run,
      live: this.#live,
      name: check.name(this.name),
      sessionId: check.text(this.id, 'options.sessionId'),
      created: this.created,
    }
    return NativeSession.start(environment, JSON.stringify(options), callerEnv(), process.cwd())
  }

  #started() {
    if (this.#native === undefined) throw sessionError.notAlive(this.name)
    return this.#native
  }

  // The engine may be ahead. A message for a session that ended unasked, and is not yet seen to have ended, fails with the
  // reason of that end.
  #ask(change) {
    try {
      return call(change)
    } catch (error) {
      const isAhead = error.code === 'ERR_SESSION_NOT_ALIVE' && !ended.has(this.status)
      throw (isAhead && error.cause) || error
    }
  }

  #apply(change) {
    const applied = call(change)
    if (applied !== undefined) this.#changeStatus(applied.status, applied.change)
  }

  // Both a call and an event may bring a status; the engine's count tells which is the later one.
  #changeStatus(status, change) {
    if (change < this.#change) return
    this.#change = change
    const before = this.status
    this.status = status
    if (status === before) return
    try {
      if (ended.has(status)) this.#bookkeep(() => this.#manager?.onEnd())
    } finally {
      this.#announce('status', { status, previous: before }, status, before)
    }
  }

  // The message is sent: a listener that throws must not turn it into a rejected one.
  #changeStatusApart(status, change) {
    try {
      this.#changeStatus(status, change)
    } catch (error) {
      queueMicrotask(() => {
        throw error
      })
    }
  }

  /** Shows the history and totals of the record that it goes on with. */
  #show(record) {
    this.#interactions = Array.isArray(record.interactions) ? record.interactions : []
    this.#totalCostUsd = Number(record.totalCostUsd) || 0
    this.#totalTurns = Number(record.totalTurns) || 0
  }

  #tellTotals() {
    this.#native?.setTotals(this.#totalCostUsd, this.#totalTurns)
  }

  #listening(session) {
    this.#subscribe()
    return session
  }

  // A line becomes JavaScript values only when somebody listens for what is in it.
  #subscribe() {
    const listens = (event) => this.listenerCount(event) > 0
    const content = listens('text') || listens('tool_use') || listens('tool_result')
    const reads = this.#streams.size > 0
    const all = listens('message') || (this.#awaitsInit && listens('init'))
    this.#native?.subscribe(all, content || reads, listens('stderr'), reads || listens('delta') || listens('gap'))
  }

  #awaitInit(awaits) {
    if (this.#awaitsInit === awaits) return
    this.#awaitsInit = awaits
    if (this.listenerCount('init') > 0) this.#subscribe()
  }

  #onMessage({ line, send }) {
    const stream = this.#streams.get(send)
    // Kept for a listener that might have been added, and was not.
    if (stream === undefined && !heard.some((event) => this.listenerCount(event) > 0)) return
    const message = JSON.parse(line)
    stream?.pushMessage(message, line.length)
    this.emit('message', message)
    for (const { type, block } of blocksOf(message)) this.emit(type, type === 'text' ? block.text : block)
  }

  #onRetry({ attempt, delay, failure }) {
    const retry = { attempt, delay, failure }
    this.#announce('retry', retry, retry)
  }

  #onDelta({ send, delta }) {
    this.#streams.get(send)?.push({ type: 'delta', ...delta }, deltaSize(delta))
    this.emit('delta', delta)
  }

  #onGap({ send, deltas, bytes }) {
    this.#streams.get(send)?.push({ type: 'gap', deltas, blocks: 0 }, 0)
    this.emit('gap', { deltas, bytes })
  }

  #settleCall(number, outcome, value) {
    const waiting = this.#calls.get(number)
    this.#calls.delete(number)
    waiting?.[outcome](value)
  }

  #onInit({ line, sessionId, permissionMode }) {
    this.id = sessionId
    this.permissionMode = permissionMode ?? this.permissionMode
    this.#initLine = line
    if (this.listenerCount('init') === 0) return this.#awaitInit(false)
    try {
      this.emit('init', this.initData)
    } finally {
      queueMicrotask(() => this.#awaitInit(false))
    }
  }

  #onTurn({ send, prompt, timestamp, flags, response, totalCostUsd, totalTurns, status, change, unsaved, isCut }) {
    const error = unsaved === null ? null : Object.assign(decodeError(unsaved), { response })
    const { text, cost, turns, duration } = response
    const interaction = { prompt, response: text, cost, turns, duration, timestamp, ...flags }
    try {
      this.#totalCostUsd = totalCostUsd
      this.#totalTurns = totalTurns
      if (response.sessionId !== null) this.id = response.sessionId
      this.#remember(interaction)
    } finally {
      if (isCut) this.#concludeCut(status, change, error)
      else this.#concludeTurn({ send, response, interaction, status, change, error })
    }
  }

  // Nobody was answered: the turn is in the history for what it cost.
  #concludeCut(status, change, error) {
    this.#changeStatus(status, change)
    if (error !== null) this.#onError(error)
  }

  /** As many as the record keeps: a session may live for long. */
  #remember(interaction) {
    this.#interactions.push(interaction)
    const over = this.#interactions.length - (this.#manager?.maxHistory ?? Infinity)
    if (over > 0) this.#interactions.splice(0, over)
  }

  // Whatever a listener does, the promise settles.
  #concludeTurn({ send, response, interaction, status, change, error }) {
    try {
      this.#changeStatus(status, change)
      if (error !== null && send === null) this.#onError(error)
      this.emit('result', response, interaction)
    } finally {
      this.#manager?.tell('turn', { response, interaction })
      if (error === null) this.#settle(send, 'resolve', response)
      else this.#settle(send, 'reject', Object.assign(error, { sent: true }))
    }
  }

  #onError(error) {
    try {
      this.#bookkeep(() => this.#manager?.onError())
    } finally {
      this.#emitError(error)
    }
  }

  // Without a listener it must not end the program; whoever waits for an answer is told by the promise.
  #emitError(error) {
    if (this.listenerCount('error') > 0) this.#announce('error', { error }, error)
    else this.#manager?.tell('error', { error })
  }

  // The manager's listeners hear of it even if one of the session's own throws.
  #announce(type, details, ...args) {
    try {
      this.emit(type, ...args)
    } finally {
      this.#manager?.tell(type, details)
    }
  }

  // A store that cannot be written fails the call that wanted it written. Where there is no call, it is an event.
  #bookkeep(work) {
    try {
      work()
    } catch (error) {
      if (!this.#delivering || error.code !== 'ERR_STORE') throw error
      this.#emitError(error)
    }
  }

  #onClose(code, signal) {
    forget(this.#native?.number)
    this.#manager?.onClose()
    // Whatever a defect lost on its way: no promise outlives its session.
    for (const send of this.#open.keys()) this.#settle(send, 'reject', sessionError.lost(this.name))
    for (const number of this.#calls.keys()) this.#settleCall(number, 'reject', sessionError.lost(this.name))
    try {
      this.#announce('close', { code, signal }, code, signal)
    } finally {
      this.#closed.resolve({ code, signal })
    }
  }

  /** Many may fail for one reason: each gets an error of its own, whose texts they share. */
  #fail(send, event) {
    this.#settle(send, 'reject', Object.assign(decodeError(event.error), { sent: event.sent }))
  }

  #settle(send, outcome, value) {
    if (send === null) return
    const open = this.#open.get(send)
    this.#open.delete(send)
    open?.[outcome](value)
  }
}

addControls(StreamSession, (session, args) => [session[internals].controls, args])

/** A message that the engine does not take has not reached the CLI. */
function unsent(send) {
  try {
    return send()
  } catch (error) {
    throw Object.assign(error, { sent: false })
  }
}

/** An error as those of aborted calls are known everywhere. */
function aborted(error, signal) {
  const define = (key, value) => Object.defineProperty(error, key, { value, writable: true, configurable: true })
  define('name', 'AbortError')
  define('cause', signal.reason)
  return error
}

function deltaSize({ text, thinking, json }) {
  return (text ?? thinking ?? json).length
}

function warnOfPermissions(name) {
  const message =
    `Session "${name}" asks for no permissions: its listener of "permission" is never called. ` +
    `Start it with { permissions: 'event' } or with canUseTool.`
  process.emitWarning(message, { code: 'CLEARCTX_NO_PERMISSION_REQUESTS' })
}

// Node 20 has no Promise.withResolvers.
function withResolvers() {
  const deferred = {}
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}

/**
 * A session of a manager, not yet started.
 * @param {any} options what it will run with, as the engine planned it
 * @param {Manager} manager
 */
function newSession(options, manager) {
  return new StreamSession(options, { [internals]: manager })
}

module.exports = { DEFAULT_TIMEOUT_MS, StreamSession, ended, internals, newSession, persist }
