// What both files of tests in Jest do.

const { mkdtempSync } = require('node:fs')

const clearctx = require('clearctx')
const testing = require('clearctx/testing')

const exercise = require('./exercise.cjs')

module.exports = () => {
  test('sessions', () => exercise(clearctx, testing, mkdtempSync(`${process.env.TEST_DIR}/jest-`)), 60_000)

  test('errors and values equal those of the test', async () => {
    const mgr = new clearctx.SessionManager({ dataDir: mkdtempSync(`${process.env.TEST_DIR}/jest-`) })
    expect(mgr.list()).toEqual([])
    expect(mgr.list()).toStrictEqual([])
    expect(() => mgr.status('a')).toThrow(Error)
    expect(() => new clearctx.Store(5)).toThrow(TypeError)
    await expect(mgr.spawn('a', { timeout: -1 })).rejects.toThrow(RangeError)
    await mgr.close()
  })
}
