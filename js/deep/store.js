'use strict'

// The original's deep path `clearctx/src/store`: its module was the class itself.
module.exports = require('../../index.js').Store
