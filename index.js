'use strict'

const { isClearctxError } = require('./js/errors')
const { SessionManager } = require('./js/session-manager')
const { StreamSession } = require('./js/stream-session')
const { Store } = require('./js/store')

exports.SessionManager = SessionManager
exports.StreamSession = StreamSession
exports.Store = Store
exports.isClearctxError = isClearctxError
