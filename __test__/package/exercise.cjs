// What every runtime must be able to do with the installed package: sessions, a fork, a resume, errors, on the stand-in.
// Only comparisons that hold in a context of its own, with its own Error and Array.

const assert = require('node:assert')
const { join } = require('node:path')

/** `clearctx` and `testing` are the loaded modules, `folder` is for the records. */
module.exports = async function exercise(clearctx, testing, folder) {
  const { SessionManager, Store, StreamSession } = clearctx
  const options = {
    dataDir: join(folder, 'data'),
    claudePath: testing.standInPath,
    env: testing.standInEnv({ configDir: join(folder, 'claude') }),
  }
  const mgr = new SessionManager(options)
  const seen = []
  const spawned = mgr.spawn('a', { prompt: 'hello', allowedTools: ['Read'], tags: ['x'] })
  mgr.sessions.get('a').on('result', ({ text }) => seen.push(text))
  const { session, response } = await spawned
  assert.equal(response.text, 'echo(2): hello')
  assert.ok(mgr.sessions.get('a') instanceof StreamSession)
  assert.equal(session.interactionCount, 1)
  assert.equal((await mgr.send('a', [{ type: 'text', text: 'again' }])).text, 'echo(4): again')
  assert.equal(seen.join(), 'echo(2): hello,echo(4): again')
  const fork = await mgr.fork('a', 'b', { message: 'recall' })
  assert.match(fork.response.text, /hello/)
  const both = await mgr.batch([
    { name: 'c', prompt: 'one' },
    { name: 'a', prompt: 'taken' },
  ])
  assert.equal(both[0].response.text, 'echo(2): one')
  assert.match(both[1].error, /already exists/)
  await failures(mgr)
  await mgr.close()

  const later = new SessionManager(options)
  assert.equal((await later.resume('a', 'back')).text, 'echo(6): back')
  assert.equal(later.history('a').length, 3)
  const { pid } = await later.spawn('d', {}).then(({ session: live }) => live)
  const killed = assert.rejects(later.send('d', 'stand-in: silent'), { code: 'ERR_SESSION_KILLED' })
  later.kill('d')
  await killed
  await later.close()
  assert.ok(pid > 0)
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  assert.deepEqual(Object.keys(new Store(options.dataDir).loadAll()).toSorted(), ['a', 'b', 'c', 'd'])
}

/** Errors are those of the program that catches them. */
async function failures(mgr) {
  const caught = async (call) => {
    try {
      await call()
    } catch (error) {
      return error
    }
    throw new Error('nothing was thrown')
  }
  const typeError = await caught(() => mgr.spawn(5))
  assert.equal(typeError.code, 'ERR_INVALID_ARG_TYPE')
  assert.ok(typeError instanceof TypeError)
  const notFound = await caught(() => mgr.status('nobody'))
  assert.equal(notFound.code, 'ERR_SESSION_NOT_FOUND')
  assert.ok(notFound instanceof Error)
  assert.equal(Object.getPrototypeOf(notFound), Error.prototype)
  const program = await caught(() => mgr.send('a', 'stand-in: exit 3'))
  assert.equal(program.code, 'ERR_PROCESS_EXITED')
  assert.equal(program.exitCode, 3)
  assert.ok(program instanceof Error)
  for (const list of [mgr.list(), mgr.history('a')]) assert.equal(Object.getPrototypeOf(list), Array.prototype)
}
