'use strict'

// Loads the engine. The generated loader knows only that it found nothing; this says what to do about it.

const { isMusl, loadError, platformName } = require('./platform')

try {
  module.exports = require('../native.js')
} catch (cause) {
  const { version } = require('../package.json')
  throw loadError(cause, platformName(process.platform, process.arch, isMusl()), version)
}
