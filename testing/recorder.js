#!/usr/bin/env node
'use strict'

require('./recorder/main.js').main(process.argv.slice(2))
