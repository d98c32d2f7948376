'use strict'

/** Control requests of the host: they are answered at any time, also in mid-turn. */

const { HANDLERS, BEFORE, AFTER, ControlError } = require('./handlers.js')

const handleControl = (session, { request_id: requestId, request }) => {
  const subtype = String(request.subtype)
  const { controlFaults: faults } = session
  if (faults.isDeaf(subtype)) return
  const answer = (response) => faults.deliver(subtype, response)
  try {
    const handler = Object.hasOwn(HANDLERS, subtype) ? HANDLERS[subtype] : null
    if (!handler) {
      throw new ControlError(`Unsupported control request subtype: ${subtype}`, 'unsupported_request')
    }
    faults.refuse(subtype)
    BEFORE[subtype]?.(session, request)
    const { beside, ...payload } = handler(session, request) ?? {}
    const filled = Object.keys(payload).length > 0
    answer({ subtype: 'success', request_id: requestId, ...(filled && { response: payload }), ...beside })
  } catch (error) {
    if (!(error instanceof ControlError)) throw error
    const code = session.habit.newer && error.code ? { error_code: error.code } : {}
    answer({ subtype: 'error', request_id: requestId, error: error.message, ...code })
    return
  }
  AFTER[subtype]?.(session, request)
}

/** The host no longer wants an answer; it works for what is answered late. */
const handleCancel = (session, { request_id: requestId }) => session.controlFaults.withdraw(requestId)

module.exports = { handleControl, handleCancel }
