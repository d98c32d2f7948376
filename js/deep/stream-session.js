'use strict'

// The original's deep path `clearctx/src/stream-session`: its module was the class itself.
module.exports = require('../../index.js').StreamSession
