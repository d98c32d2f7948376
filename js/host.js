'use strict'

// This JavaScript environment's end of the engine: takes events in order and hands each to its session. One per
// environment; worker threads have their own.

const { basename, dirname, join } = require('node:path')
const { fileURLToPath } = require('node:url')
const { isMainThread } = require('node:worker_threads')

const { Host } = require('./engine')
const { decodeError } = require('./errors')

/** How long events are handed on before the event loop gets its turn, in ms. */
const SLICE_MS = 1

/**
 * Kinds of rows, as `src/node/rows.rs` numbers them. What follows number and kind: of a turn what
 * `StreamSession` takes, of the others two values; of those in `withText` the first one is a text beside the rows.
 */
const kinds = ['message', 'init', 'turn', 'failed', 'stderr', 'status', 'error', 'close']
const DONE = 8
const WARNING = 9
const withText = new Set([0, 1, 4])

/** Names the method by which a session takes its events; it returns whether it settled a send. */
const deliver = Symbol('clearctx.deliver')

/** @type {Map<number, { [deliver](kind: string, row: any[]): boolean }>} */
const sessions = new Map()

/** @type {Map<number, { resolve(value: any): void, reject(error: Error): void }>} */
const outcomes = new Map()

const host = new Host(drain, keeperProgram(), !isMainThread)

/** Rows taken, and the texts that belong to them; `at` is the next row, `textAt` its text. */
let rows = []
let texts = []
let at = 0
let textAt = 0

/**
 * Sessions that settled a promise in this turn of the event loop. Their next event waits for the next turn, so that
 * whoever awaited the promise sees the state that goes with it, not one that came later.
 */
const settled = new Set()

// Called when there is something to take after there was nothing. From then on JavaScript looks by itself in each turn
// of the event loop, until it finds nothing: being woken costs more than looking.
function drain() {
  settled.clear()
  if (at >= rows.length && !take()) return
  const until = performance.now() + SLICE_MS
  try {
    do deliverNext()
    while (at < rows.length && !settled.has(rows[at][0]) && performance.now() < until)
  } finally {
    // After a listener that threw, too: the events behind it are not lost. Nothing comes from nobody, and a program
    // that is over must find nothing scheduled.
    if (at < rows.length || held || take()) setImmediate(drain)
  }
}

function warn(reason) {
  const consequence = 'If this program is killed, processes of its sessions may live on'
  process.emitWarning(`The keeper could not be started (${reason}). ${consequence}`, { code: 'CLEARCTX_NO_KEEPER' })
}

function take() {
  texts = host.take()
  if (texts.length === 0) return false
  rows = JSON.parse(texts[0])
  at = 0
  textAt = 1
  return true
}

function deliverNext() {
  const row = rows[at]
  // Handed on, it is kept here no longer.
  rows[at] = undefined
  at += 1
  const [number, kind] = row
  if (kind === DONE) return settle(number, row[2], row[3])
  if (kind === WARNING) return warn(row[2])
  if (withText.has(kind)) row[2] = texts[textAt++]
  if (sessions.get(number)?.[deliver](kinds[kind], row)) settled.add(number)
}

function settle(number, value, envelope) {
  const waiting = outcomes.get(number)
  outcomes.delete(number)
  updateHold()
  if (envelope === null) waiting?.resolve(value)
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

const soon = Promise.resolve()
let open = false

/** Something was sent: until the program pauses, it may add listeners for what comes of it. */
function sent() {
  if (open) return
  open = true
  void soon.then(endTick)
}

function endTick() {
  open = false
  host.endTick()
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

module.exports = { deliver, environment, forget, host, listen, outcome, sent }
