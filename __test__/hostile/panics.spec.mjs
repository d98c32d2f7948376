/** A panic in the engine fails the session it happened in, with ERR_INTERNAL, and nothing else. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

import { root } from '../../scripts/lib/tools.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { isAlive } from '../support/sessions.mjs'

let dir
let addon

// The addon of the package has no such faults in it.
before(() => {
  const args = ['build', '--locked', '--features', 'faults', '--message-format', 'json-render-diagnostics']
  const { status, stdout } = spawnSync('cargo', args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
  })
  assert.equal(status, 0, 'cargo build')
  const built = stdout
    .split('\n')
    .filter((line) => line.includes('"cdylib"'))
    .flatMap((line) => JSON.parse(line).filenames ?? [])
    .find((file) => /\.(so|dylib|dll)$/.test(file))
  dir = mkdtempSync(join(tmpdir(), 'clearctx-faults-'))
  addon = join(dir, 'faults.node')
  copyFileSync(built, addon)
})

after(() => rmSync(dir, { recursive: true, force: true }))

/** What the program with a fault at `place` does, beside a session that has none. Says what came of it. */
async function programWithFault({ manager, say }, place) {
  const good = manager()
  const bad = manager({ env: { CLEARCTX_FAULT: place }, stopTimeout: 300, killTimeout: 300 })
  await good.spawn('good', { prompt: 'hello' })
  if (place === 'start') await good.spawn('bad', { prompt: 'stand-in: linger 200' })
  const events = []
  bad._wireEvents = (session) => {
    for (const event of ['error', 'close']) session.on(event, (value) => events.push([event, value?.code ?? null]))
  }
  const codeOf = (promise) =>
    promise.then(
      () => 'answered',
      (error) => error.code,
    )
  if (place === 'start') good.stop('bad')
  const resumed = place === 'start' ? codeOf(bad.resume('bad', 'first')) : null
  if (place !== 'start') await bad.spawn('bad')
  const session = bad.sessions.get('bad')
  const { pid } = session
  const sends = [
    resumed ?? codeOf(place === 'time' ? session.send('stand-in: mute', 500) : session.send('first')),
    codeOf(session.send(place === 'stop' || place === 'exit' ? 'stand-in: mute' : 'second')),
  ]
  let thrown = null
  if (place === 'stop' || place === 'exit') {
    await Promise.race(sends)
    try {
      bad[place === 'stop' ? 'stop' : 'kill']('bad')
    } catch (error) {
      thrown = error.code
    }
  }
  const outcomes = await Promise.all(sends)
  if (place === 'stored') bad.kill('bad')
  await session.closed
  const { text } = await good.send('good', 'still there')
  const status = session.status
  const again = await good.resume('bad', 'again').then(
    (answer) => answer.text,
    (error) => error.code,
  )
  say({ outcomes, thrown, events, status, pid, text, again })
  await Promise.all([good.close(), bad.close()])
}

const INTERNAL = 'ERR_INTERNAL'

/** The outcomes of two sends, whose session panics at the place. */
const PLACES = {
  send: [INTERNAL, INTERNAL],
  write: [INTERNAL, INTERNAL],
  line: [INTERNAL, INTERNAL],
  result: [INTERNAL, INTERNAL],
  time: [INTERNAL, INTERNAL],
  start: [INTERNAL, INTERNAL],
  stop: ['answered', INTERNAL],
  exit: ['answered', 'ERR_SESSION_KILLED'],
  stored: [INTERNAL, INTERNAL],
}

for (const [place, expected] of Object.entries(PLACES)) {
  test(`a panic at "${place}"`, async (t) => {
    const w = hostWorld(t)
    const env = { NAPI_RS_NATIVE_LIBRARY_PATH: addon }
    const host = w.start(programWithFault, { args: [place], env })
    const said = await host.said()
    await host.finished()
    assert.deepEqual(said.outcomes, expected)
    assert.equal(said.text, 'echo(4): still there')
    assert.equal(said.thrown, place === 'stop' ? INTERNAL : null)
    assert.equal(said.events.filter(([event]) => event === 'close').length, 1)
    assert.match(host.stderr, /a fault at/)
    assert.equal(isAlive(said.pid), false)
    assert.match(said.again, /^echo\(\d\): again$|^ERR_NO_SESSION_ID$/, 'the name is free, its conversation goes on')
  })
}
