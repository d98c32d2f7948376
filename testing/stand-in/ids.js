'use strict'

/** Identifiers. Made from Math.random: loading `crypto` would cost several milliseconds of every start. */

let calls = 0

const hex = (length) => Array.from({ length }, () => Math.floor(Math.random() * 16).toString(16)).join('')

/** A random version 4 UUID. */
const uuid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-${'89ab'[Math.floor(Math.random() * 4)]}${hex(3)}-${hex(12)}`

const isUuid = (text) => /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(text)

/** Names of one model call: what its assistant lines share. */
const modelCall = () => {
  calls += 1
  const number = String(calls).padStart(4, '0')
  return { messageId: `msg_${number}`, requestId: `req_standin_${number}`, toolUseId: `toolu_${number}_${hex(6)}` }
}

const taskId = (prefix) => prefix + hex(8)

module.exports = { uuid, isUuid, hex, modelCall, taskId }
