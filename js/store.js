'use strict'

const { homedir } = require('node:os')
const { join, resolve } = require('node:path')

const { NativeStore } = require('../native.js')
const check = require('./arguments')
const { call, typeError } = require('./errors')
const { host, outcome } = require('./host')

/** @type {WeakMap<Store, NativeStore>} */
const natives = new WeakMap()

/** Records of one data directory, by name. */
class Store {
  constructor(dataDir) {
    const given = check.text(dataDir, 'dataDir')
    const dir = resolve(given ?? join(homedir(), '.clearctx'))
    natives.set(
      this,
      call(() => new NativeStore(host, dir)),
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
    const json = storeCall(this, (native) => native.get(name))
    return json === null ? null : JSON.parse(json)
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

  list() {
    return JSON.parse(storeCall(this, (native) => native.list()))
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
 * Calls the engine's side of a store, and reports what the engine has to warn of: at once, since the program may end
 * after this call.
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

/** Removes records older than `days`, but those of the names in `keep`. Zero days is an age, not a default. */
function removeOld(store, days, keep) {
  const age = days === 0 ? 0 : (check.positive(days, 'days') ?? 7)
  return storeCall(store, (native) => native.cleanup(age, keep))
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

module.exports = { Store, nativeOf, removeOld, storeCall }
