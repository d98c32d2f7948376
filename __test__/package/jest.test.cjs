// In Jest, whose files run in contexts of their own.

const cases = require('./jest-cases.cjs')

cases()
