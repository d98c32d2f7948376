/** The permission mode: which one every process is given, which one is shown, and what follows from another one. */

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { isAlive, world } from '../support/sessions.mjs'
import { record, rejection, standInLog } from '../support/turns.mjs'

/** What each process that was started got as its mode; `undefined`: none. */
const passed = (log) =>
  log
    .arguments()
    .map((argv) => (argv.includes('--permission-mode') ? argv[argv.indexOf('--permission-mode') + 1] : undefined))

const write = (file) => `stand-in: tool Write ${JSON.stringify({ file_path: file, content: 'x' })}`

const stop = async (m, name) => {
  const { closed } = m.sessions.get(name)
  m.stop(name)
  await closed
}

/** A manager whose CLI is forced into a mode. */
const forced = (w, forcedMode, env = {}) => w.manager({ env: { ...standInEnv({ forcedMode }), ...env } })

/** The next warning of ours. */
const warning = () =>
  new Promise((resolve) => {
    process.on('warning', function listen(found) {
      if (found.code !== 'CLEARCTX_PERMISSION_MODE') return
      process.off('warning', listen)
      resolve(found)
    })
  })

test('every process is given its mode: session, resume, fork', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const file = join(w.dir, 'made')
  const m = w.manager({ env: { ...log.env, ...standInEnv({ settingsMode: 'acceptEdits' }) } })
  const responses = [(await m.spawn('a', { prompt: write(file) })).response]
  responses.push((await m.fork('a', 'b', { message: write(file) })).response)
  responses.push(await m.send('b', write(file)))
  await stop(m, 'a')
  responses.push(await m.resume('a', write(file)))
  await stop(m, 'a')
  responses.push((await m.fork('a', 'c', { message: write(file), permissionMode: 'plan' })).response)
  responses.push(await m.send('c', write(file)))
  assert.deepEqual(passed(log), ['default', 'default', 'default', 'plan'])
  for (const { permissionDenials } of responses) assert.equal(permissionDenials.length, 1)
  assert.equal(existsSync(file), false)
})

test('a record without a mode goes on in the default mode of its manager', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'hello' })
  await stop(m, 'a')
  for (const permissionMode of [undefined, null, '']) {
    m.store.set('a', { ...m.store.get('a'), permissionMode })
    await m.resume('a', 'again')
    await stop(m, 'a')
  }
  assert.deepEqual(passed(log), ['default', 'default', 'default', 'default'])
})

test("'inherit' is not passed; the mode of the settings is shown, and 'inherit' is recorded", async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const file = join(w.dir, 'made')
  const env = { ...log.env, ...standInEnv({ settingsMode: 'acceptEdits' }) }
  const m = w.manager({ env, defaultPermissionMode: 'inherit' })
  await m.spawn('a')
  assert.equal(m.status('a').permissionMode, 'inherit')
  assert.deepEqual((await m.send('a', write(file))).permissionDenials, [])
  assert.ok(existsSync(file))
  assert.equal(m.status('a').permissionMode, 'acceptEdits')
  assert.equal(m.sessions.get('a').permissionMode, 'acceptEdits')
  await m.fork('a', 'b', { message: 'x' })
  await m.send('b', 'x')
  await m.spawn('c', { prompt: 'x', permissionMode: 'plan' })
  await stop(m, 'a')
  assert.equal(w.readStore().a.permissionMode, 'inherit')
  assert.equal(m.status('a').permissionMode, 'inherit')
  await m.resume('a', 'x')
  assert.equal(m.status('a').permissionMode, 'acceptEdits')
  assert.deepEqual(passed(log), [undefined, undefined, 'plan', undefined])
})

test('a mode that the model changes is shown from then on, and the one that was asked for is asked for again', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'hello' })
  const session = m.sessions.get('a')
  const shown = []
  session.on('message', () => shown.push(session.permissionMode))
  await m.send('a', 'stand-in: mode plan; text x')
  assert.ok(shown.includes('plan'), 'at the status line')
  assert.equal(m.status('a').permissionMode, 'plan')
  await m.send('a', 'stand-in: mode acceptEdits; text x')
  assert.equal((await m.send('a', 'x')).isError, false)
  assert.equal(m.status('a').permissionMode, 'acceptEdits')
  await stop(m, 'a')
  assert.equal(m.status('a').permissionMode, 'default')
  await m.resume('a', 'x')
  assert.deepEqual([passed(log), m.status('a').permissionMode], [['default', 'default'], 'default'])
})

for (const [asked, actual] of [
  ['default', 'acceptEdits'],
  ['dontAsk', 'default'],
  ['plan', 'auto'],
  ['bypassPermissions', 'of-tomorrow'],
]) {
  test(`${actual} where ${asked} was asked for ends the session before its tools run`, async (t) => {
    const w = world(t)
    const m = forced(w, actual, { IS_SANDBOX: '1' })
    const file = join(w.dir, 'made')
    await m.spawn('a', { permissionMode: asked, allowedTools: ['Write'] })
    const session = m.sessions.get('a')
    const seen = record(session, 'init', 'error', 'close')
    const first = rejection(
      m.send('a', `stand-in: slow 1000; tool Write {"file_path":"${file}"}`),
      'ERR_PERMISSION_MODE',
    )
    const second = rejection(m.send('a', 'waits'), 'ERR_PERMISSION_MODE')
    const error = await first
    assert.deepEqual([error.asked, error.actual], [asked, actual])
    const words = `Session "a" runs in permission mode "${actual}", which may allow more than "${asked}", the one that was`
    assert.equal(error.message, `${words} asked for. Its process was killed.`)
    await second
    assert.deepEqual([session.status, m.sessions.has('a')], ['failed', false])
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(isAlive(session.pid), false)
    assert.deepEqual(
      seen.map(([name]) => name),
      ['init', 'error', 'close'],
    )
    assert.equal(seen[1][1].code, 'ERR_PERMISSION_MODE')
    assert.equal(existsSync(file), false)
    const { status, permissionMode, claudeSessionId } = w.readStore().a
    assert.deepEqual([status, permissionMode, claudeSessionId], ['failed', asked, session.id])
  })
}

test('a resume is judged as a new session is, and goes on once the mode is right', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'the word is plum' })
  await m.close()
  await rejection(forced(w, 'auto').resume('a', 'x'), 'ERR_PERMISSION_MODE')
  const next = w.manager()
  assert.match((await next.resume('a', 'recall')).text, /^the word is plum/)
})

test('the first turn of a fork is judged, too: its tools do not run, and nothing is left', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'the word is plum' })
  await m.close()
  const file = join(w.dir, 'made')
  const bad = forced(w, 'auto')
  const message = `stand-in: slow 1000; tool Write {"file_path":"${file}"}`
  await rejection(bad.fork('a', 'b', { message, allowedTools: ['Write'] }), 'ERR_PERMISSION_MODE')
  assert.equal(existsSync(file), false)
  assert.deepEqual([bad.sessions.has('b'), bad.store.get('b')], [false, null])
  assert.equal((await w.manager().fork('a', 'b', { message: 'recall' })).response.text, 'the word is plum')
})

test('a later turn in another mode that nobody announced is refused; one that allows less goes on', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a', { prompt: 'stand-in: mode plan silent; text x' })
  assert.equal((await m.send('a', 'stand-in: mode acceptEdits silent; text y')).text, 'y')
  assert.equal(m.status('a').permissionMode, 'plan')
  await rejection(m.send('a', 'x'), 'ERR_PERMISSION_MODE')
})

test('a mode that allows less is a warning, and the session goes on', async (t) => {
  const w = world(t)
  const m = forced(w, 'default')
  const warned = warning()
  const { session, response } = await m.spawn('a', { permissionMode: 'auto', prompt: 'hello' })
  assert.deepEqual([response.text, session.permissionMode], ['echo(2): hello', 'default'])
  assert.equal(
    (await warned).message,
    'Session "a" runs in permission mode "default", which allows less than "auto", the one that was asked for.',
  )
  await stop(m, 'a')
  assert.equal(w.readStore().a.permissionMode, 'auto')
})

test('a CLI that reports no mode is taken at its word, and what was asked for is shown', async (t) => {
  const w = world(t)
  const m = forced(w, 'none')
  const { session } = await m.spawn('a', { permissionMode: 'plan', prompt: 'hello' })
  assert.equal(session.permissionMode, 'plan')
  const inherited = await m.spawn('b', { permissionMode: 'inherit', prompt: 'hello' })
  assert.equal(inherited.session.permissionMode, 'inherit')
})

test('a session without a manager follows the same rules', async (t) => {
  const w = world(t)
  const inherits = w.session({ name: 'one', permissionMode: 'inherit', env: standInEnv({ settingsMode: 'auto' }) })
  inherits.start()
  assert.equal(inherits.permissionMode, 'inherit')
  await inherits.send('hello')
  assert.equal(inherits.permissionMode, 'auto')
  const judged = w.session({ name: 'two', env: standInEnv({ forcedMode: 'auto' }) })
  judged.start()
  await rejection(judged.send('hello'), 'ERR_PERMISSION_MODE')
  assert.deepEqual([judged.status, judged.permissionMode, judged.toJSON().permissionMode], ['failed', 'auto', 'auto'])
})
