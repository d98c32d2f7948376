#!/usr/bin/env node
'use strict'

require('./stand-in/main.js').main(process.argv.slice(2))
