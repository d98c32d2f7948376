'use strict'

// This JavaScript environment's end of the engine: takes events in order and hands each to its session. One per
// environment; worker threads have their own.

const { basename, dirname, join } = require('node:path')
const { fileURLToPath } = require('node:url')
const { isMainThread } = require('node:worker_threads')

const { NativeEnvironment } = require('./engine')
const { callSite, calledAt, decodeError } = require('./errors')

/** How long events are delivered before the event loop gets its turn, in ms. */
const SLICE_MS = 1

/** Types of events whose text is passed separately, since it may be parsed later or never, and the field for the text. */
const textFields = { ask: 'request', init: 'line', message: 'line', stderr: 'text' }

/** Key of the method that takes a session's events; it returns whether it settled a send. */
const deliver = Symbol('clearctx.deliver')

/** @type {Map<number, { [deliver](event: any): boolean }>} */
const sessions = new Map()

/** @type {Map<number, { resolve(value: any): void, reject(error: Error): void, site: import('./errors').CallSite }>} */
const outcomes = new Map()

const native = new NativeEnvironment(drain, keeperProgram(), !isMainThread)

/** Notices taken, and their separate texts; `at` is the next notice, `textAt` the next text. */
let notices = []
let texts = []
let at = 0
let textAt = 0

/**
 * Sessions that settled a promise in this turn of the event loop. Their next event waits for the next turn, so that
 * code that awaited the promise sees the state at that moment, not a later one.
 */
const settled = new Set()

// Called when the queue was empty and gets something. From then on JavaScript looks by itself in each turn of the event
// loop until it finds nothing, since being woken costs more than looking.
function drain() {
  settled.clear()
  if (at >= notices.length && !take()) return
  const until = performance.now() + SLICE_MS
  try {
    do deliverNext()
    while (at < notices.length && !settled.has(notices[at].session) && performance.now() < until)
  } finally {
    // Also after a listener that threw, so that later events are not lost. With no live session no event can arrive;
    // scheduling here would keep a finished program alive.
    if (at < notices.length || held || take()) setImmediate(drain)
  }
}

function take() {
  texts = native.take()
  if (texts.length === 0) return false
  notices = JSON.parse(texts[0])
  at = 0
  textAt = 1
  return true
}

function deliverNext() {
  const notice = notices[at]
  // Delivered, so it is no longer kept here.
  notices[at] = undefined
  at += 1
  const { session, event, warning } = notice
  if (event === undefined) return warning === undefined ? settle(notice) : process.emitWarning(warning.message, warning)
  const field = textFields[event.type]
  if (field !== undefined) event[field] = texts[textAt++]
  if (sessions.get(session)?.[deliver](event)) settled.add(session)
}

function settle({ call, value, error }) {
  const waiting = outcomes.get(call)
  outcomes.delete(call)
  updateHold()
  if (error === undefined) waiting?.resolve(value)
  else waiting?.reject(calledAt(decodeError(error), waiting.site))
}

/** Delivers the events of its number to a session, and keeps the program alive until {@link forget}. */
function listen(number, session) {
  sessions.set(number, session)
  updateHold()
}

function forget(number) {
  sessions.delete(number)
  updateHold()
}

/** The outcome of a call that the engine numbered: a fork, a flush. */
function outcome(number) {
  return new Promise((resolve, reject) => {
    outcomes.set(number, { resolve, reject, site: callSite() })
    updateHold()
  })
}

const soon = Promise.resolve()
let open = false

/** A message was sent: until the program pauses, it may add listeners for its events. */
function sent() {
  if (open) return
  open = true
  void soon.then(endTick)
}

function endTick() {
  open = false
  native.endTick()
}

let held = false

// The event loop is held exactly while a session lives or a promise is open.
function updateHold() {
  const needed = sessions.size > 0 || outcomes.size > 0
  if (needed !== held) native.hold((held = needed))
}

/** `process.env` as the engine takes it: names and values in turn. Read at each call, since programs change it. */
function callerEnv() {
  return Object.entries(process.env).flat()
}

/**
 * Runs the steps of a method: while another program holds the lock of the store, all of them together wait no longer than
 * one would.
 * @template T
 * @param {() => T} steps
 * @returns {T}
 */
function oneCall(steps) {
  NativeEnvironment.beginCall()
  try {
    return steps()
  } finally {
    NativeEnvironment.endCall()
  }
}

/** The keeper's program. Its file is beside the addon, with the same ending. */
function keeperProgram() {
  const given = process.env.CLEARCTX_KEEPER
  if (given) return given
  const addon = fileURLToPath(NativeEnvironment.addonUrl())
  return join(dirname(addon), basename(addon, '.node').replace(/^[^.]*/, 'clearctx-keeper'))
}

process.on('exit', () => native.end())

module.exports = { callerEnv, deliver, environment: native, forget, listen, oneCall, outcome, sent }
