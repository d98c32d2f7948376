'use strict'

// This JavaScript environment's end of the engine: takes events in order and hands each to its session. One per
// environment; worker threads have their own.

const { basename, dirname, join } = require('node:path')
const { fileURLToPath } = require('node:url')
const { isMainThread } = require('node:worker_threads')

const { Host } = require('./engine')
const { decodeError } = require('./errors')

/** How long events are handed on before the event loop gets its turn, in ms. */
const SLICE_MS = 2

/** Items taken from the engine at once. */
const ITEMS_AT_ONCE = 64

/** Kinds of items, as `src/node/host.rs` numbers them. */
const kinds = ['message', 'init', 'turn', 'failed', 'stderr', 'status', 'error', 'close']
const DONE = 8
const WARNING = 9

/** Names the method by which a session takes its events; it returns whether it settled a send. */
const deliver = Symbol('clearctx.deliver')

/** @type {Map<number, { [deliver](kind: string, first: any, second: any): boolean }>} */
const sessions = new Map()

/** @type {Map<number, { resolve(value: any): void, reject(error: Error): void }>} */
const outcomes = new Map()

const host = new Host(drain, keeperProgram(), !isMainThread)

/** Items taken and not yet handed on, four slots each; `at` is the next one's first slot. */
let taken = []
let at = 0
let scheduled = false

/**
 * Sessions that settled a promise in this turn of the event loop. Their next event waits for the next turn, so that
 * whoever awaited the promise sees the state that goes with it, not one that came later.
 */
const settled = new Set()

function drain() {
  const until = performance.now() + SLICE_MS
  scheduled = false
  settled.clear()
  try {
    do {
      if (at >= taken.length) {
        taken = host.take(ITEMS_AT_ONCE)
        at = 0
      }
      while (at < taken.length && !settled.has(taken[at])) deliverNext()
    } while (at >= taken.length && host.waiting > 0 && performance.now() < until)
  } finally {
    // After a listener that threw, too: the events behind it are not lost.
    if ((at < taken.length || host.waiting > 0) && !scheduled) {
      scheduled = true
      setImmediate(drain)
    }
  }
}

function deliverNext() {
  const [number, kind, first, second] = [taken[at], taken[at + 1], taken[at + 2], taken[at + 3]]
  at += 4
  if (kind === DONE) settle(number, first, second)
  else if (kind === WARNING) warn(first)
  else if (sessions.get(number)?.[deliver](kinds[kind], first, second)) settled.add(number)
}

function warn(reason) {
  const consequence = 'If this program is killed, processes of its sessions may live on'
  process.emitWarning(`The keeper could not be started (${reason}). ${consequence}`, { code: 'CLEARCTX_NO_KEEPER' })
}

function settle(number, json, envelope) {
  const waiting = outcomes.get(number)
  outcomes.delete(number)
  updateHold()
  if (envelope === null) waiting?.resolve(JSON.parse(json))
  else waiting?.reject(decodeError(envelope))
}

/** Hands a session the events of its number, and keeps the program alive until {@link forget}. */
function listen(number, session) {
  sessions.set(number, session)
  updateHold()
}

function forget(number) {
  sessions.delete(number)
  updateHold()
}

/** The outcome of something that the engine numbered: a fork, a flush. */
function outcome(number) {
  return new Promise((resolve, reject) => {
    outcomes.set(number, { resolve, reject })
    updateHold()
  })
}

let held = false

// The event loop is held exactly as long as a session lives or a promise is open.
function updateHold() {
  const needed = sessions.size > 0 || outcomes.size > 0
  if (needed !== held) host.hold((held = needed))
}

/** `process.env` as the engine takes it: names and values in turn. Read at each call: programs change it. */
function environment() {
  return Object.entries(process.env).flat()
}

/** The program that ends what a killed program leaves behind. It lies beside the addon, with the same ending. */
function keeperProgram() {
  const given = process.env.CLEARCTX_KEEPER
  if (given) return given
  const addon = fileURLToPath(Host.addonUrl())
  return join(dirname(addon), basename(addon, '.node').replace(/^[^.]*/, 'clearctx-keeper'))
}

process.on('exit', () => host.end())

module.exports = { deliver, environment, forget, host, listen, outcome }
