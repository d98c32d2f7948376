'use strict'

// The original's deep path `clearctx/src/manager`: its module was the class itself.
module.exports = require('../../index.js').SessionManager
