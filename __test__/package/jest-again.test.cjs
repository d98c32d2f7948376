// A second file of the same process: a new copy of the JavaScript on the engine that is loaded.

const cases = require('./jest-cases.cjs')

cases()
