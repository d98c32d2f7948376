// `require` from a project in which the packages are installed.

const clearctx = require('clearctx')
const testing = require('clearctx/testing')

require('./exercise.cjs')(clearctx, testing, process.argv[2]).then(() => console.log('done'))
