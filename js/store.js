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
    return JSON.parse(call(() => nativeOf(this).loadAll()))
  }

  saveAll(data) {
    const json = toJson(data, 'data')
    call(() => nativeOf(this).saveAll(json))
  }

  get(name) {
    check.name(name)
    const json = call(() => nativeOf(this).get(name))
    return json === null ? null : JSON.parse(json)
  }

  set(name, record) {
    check.name(name)
    const json = toJson(record, 'record')
    call(() => nativeOf(this).set(name, json))
  }

  delete(name) {
    check.name(name)
    return call(() => nativeOf(this).delete(name))
  }

  list() {
    return JSON.parse(call(() => nativeOf(this).list()))
  }

  cleanup(days) {
    return removeOld(this, days, [])
  }

  async flush() {
    await outcome(call(() => nativeOf(this).flush()))
  }
}

/** The engine's side of a store. */
function nativeOf(store) {
  return natives.get(store)
}

/** Removes records older than `days`, but those of the names in `keep`. Zero days is an age, not a default. */
function removeOld(store, days, keep) {
  const age = days === 0 ? 0 : (check.positive(days, 'days') ?? 7)
  return call(() => nativeOf(store).cleanup(age, keep))
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

module.exports = { Store, nativeOf, removeOld }
