'use strict'

const { homedir } = require('node:os')
const { join, resolve } = require('node:path')

const { NativeStore } = require('./engine')
const check = require('./arguments')
const { call, typeError } = require('./errors')
const { environment, outcome } = require('./environment')

/** @type {WeakMap<Store, NativeStore>} */
const natives = new WeakMap()

/** Records of one data directory, by name. */
class Store {
  constructor(dataDir, options) {
    const given = check.text(dataDir, 'dataDir')
    const { durability, maxHistory } = check.storeOptions(check.options(options, 'new Store()'))
    const dir = resolve(given ?? join(homedir(), '.clearctx'))
    natives.set(
      this,
      call(() => new NativeStore(environment, dir, durability === 'disk', maxHistory)),
    )
    this.dataDir = dir
    this.sessionsFile = join(dir, 'sessions.json')
  }

  loadAll() {
    return JSON.parse(storeCall(this, (native) => native.loadAll()))
  }

  saveAll(data) {
    const json = toJson(data, 'data')
    storeCall(this, (native) => native.saveAll(json))
  }

  get(name) {
    check.name(name)
    const found = storeCall(this, (native) => native.get(name))
    return found === null ? null : recordsOf(found, (record) => [record])
  }

  set(name, record) {
    check.name(name)
    const json = toJson(record, 'record')
    storeCall(this, (native) => native.set(name, json))
  }

  delete(name) {
    check.name(name)
    return storeCall(this, (native) => native.delete(name))
  }

  list(options) {
    const { offset, limit, fields } = check.listing(check.options(options, 'store.list()'))
    return recordsOf(
      storeCall(this, (native) => native.list(offset, limit, fields)),
      (records) => records,
    )
  }

  cleanup(days) {
    return removeOld(this, days, [])
  }

  async flush() {
    await outcome(storeCall(this, (native) => native.flush()))
  }
}

/** The engine's side of a store. */
function nativeOf(store) {
  return natives.get(store)
}

/**
 * Calls the engine's side of a store, and reports the engine's warnings at once, since the program may end after this
 * call.
 */
function storeCall(store, work) {
  const native = nativeOf(store)
  try {
    return call(() => work(native))
  } finally {
    const warnings = native.takeWarnings()
    for (let at = 0; at < warnings.length; at += 2) process.emitWarning(warnings[at + 1], { code: warnings[at] })
  }
}

/** Removes records older than `days`, except those of the names in `keep`. Here 0 is a value, not a default. */
function removeOld(store, days, keep) {
  const age = days === 0 ? 0 : (check.positive(days, 'days') ?? 7)
  return storeCall(store, (native) => native.cleanup(age, keep))
}

/** Brings `sessions.json` up to date, unless it is so big that this would take time. */
function exportNow(store) {
  storeCall(store, (native) => native.exportNow())
}

/** Records whose histories are read at the first access, with the contents they had when the records were read. */
function recordsOf(found, listOf) {
  const parsed = JSON.parse(found.json)
  const records = listOf(parsed)
  for (const index of found.withHistory) {
    const record = records[index]
    const define = (value) =>
      Object.defineProperty(record, 'interactions', { value, writable: true, enumerable: true, configurable: true })
    Object.defineProperty(record, 'interactions', {
      get: () => define(JSON.parse(call(() => found.interactions(index)))).interactions,
      set: define,
      enumerable: true,
      configurable: true,
    })
  }
  return parsed
}

function toJson(value, argument) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw typeError(argument, 'an object', value)
  }
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw Object.assign(typeError(argument, 'an object that can be written as JSON', value), { cause })
  }
}

module.exports = { Store, exportNow, nativeOf, removeOld, storeCall }
