/** Options that do not exist: they are ignored, and a warning says so, once for each place in the program. */

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { SessionManager, Store, StreamSession } from '../../index.js'
import { world } from '../support/sessions.mjs'

/** What the process was warned of during `work`, without the place. */
async function warned(work, code = 'CLEARCTX_UNKNOWN_OPTION') {
  const messages = []
  let listen
  const last = new Promise((resolve) => {
    listen = (warning) => {
      if (warning.code === code) messages.push(warning.message)
      if (warning.code === 'LAST') resolve()
    }
  })
  process.on('warning', listen)
  await work()
  // Warnings come in order.
  process.emitWarning('the last one', { code: 'LAST' })
  await last
  process.off('warning', listen)
  return messages
}

const withoutPlace = (message) => message.replace(/ \(at .*\)$/, '')
const first = async (work) => withoutPlace((await warned(work))[0] ?? 'no warning')

test('each call names the option that was meant', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('source', { prompt: 'hello' })
  const cases = [
    [() => m.spawn('a', { cwd: w.dir }), 'spawn() has no option "cwd", which is ignored. Did you mean "workDir"?'],
    [() => m.spawn('b', { maxBudgetUsd: 1 }), /"maxBudgetUsd".* "maxBudget"\?$/],
    [() => m.spawn('c', { allowedtools: ['Read'] }), /"allowedtools".* "allowedTools"\?$/],
    [() => m.spawn('d', { promt: 'hello' }), /"promt".* "prompt"\?$/],
    [() => m.spawn('e', { pormpt: 'hello' }), /"pormpt".* "prompt"\?$/],
    [() => m.spawn('f', { message: 'hello' }), /"message".* "prompt"\?$/],
    [
      () => m.spawn('g', { env: {} }),
      'spawn() has no option "env", which is ignored. It is an option of new SessionManager().',
    ],
    [() => m.spawn('h', { colour: 'red' }), 'spawn() has no option "colour", which is ignored.'],
    [() => m.spawn('i', { constructor: 5 }), 'spawn() has no option "constructor", which is ignored.'],
    [() => m.spawn('j', { [`a${'b'.repeat(5000)}`]: 5 }), /^spawn\(\) has no option "ab{39}", which is ignored\.$/],
    [() => m.batch([{ name: 'k', tag: 'x' }]), /^spawn\(\) .*"tag".* "tags"\?$/],
    [() => m.fork('source', 'fork', { prompt: 'hello' }), /^fork\(\) .*"prompt".* "message"\?$/],
    [() => m.resume('source', 'more', { hook: {} }), /^resume\(\) .*"hook".* "hooks"\?$/],
    [() => m.resume('source', 'more', { model: 'haiku' }), /^resume\(\) has no option "model"/],
    [() => m.send('source', 'more', { timeOut: 5000 }), /^send\(\) .*"timeOut".* "timeout"\?$/],
    [
      async () => void (await m.stream('source', 'more', { backPressure: 'gap' }).return()),
      /^stream\(\) .*"backpressure"\?$/,
    ],
    [() => m.interrupt('source', { dropqueue: true }), /^interrupt\(\) .*"dropQueue"\?$/],
    [() => m.control('source', { subtype: 'mcp_status' }, { timout: 5000 }), /^control\(\) .*"timeout"\?$/],
    [() => m.spawn('l', { canUsetool: undefined }), /^spawn\(\) .*"canUsetool".* "canUseTool"\?$/],
    [() => m.recover({ resumed: true }), /^recover\(\) .*"resumed".* "resume"\?$/],
    [() => m.close({ timeOut: 5 }), /^close\(\) .*"timeOut".* "timeout"\?$/],
    [
      () => new SessionManager({ dataDir: w.dataDir, model: 'haiku' }),
      /^new SessionManager\(\) .*"model".* "defaultModel"\?$/,
    ],
    [() => new Store(w.dataDir, { maxHistroy: 5 }), /^new Store\(\) .*"maxHistroy".* "maxHistory"\?$/],
    [() => new StreamSession({ name: 'x', session: 'y' }), /^new StreamSession\(\) .*"session"/],
  ]
  for (const [work, expected] of cases) {
    const message = await first(work)
    if (typeof expected === 'string') assert.equal(message, expected)
    else assert.match(message, expected)
  }
})

test('options of a call that takes none are said, too', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  assert.match(await first(() => m.send('a', 'more', 5000, { rank: 1, x: 2 })), /^send\(\) .*"rank", "x" ignored\.$/)
  assert.match(await first(() => m.resume('a', 'more', {}, { model: 'haiku' })), /^resume\(\) .*"model" ignored\.$/)
  assert.match(await first(() => m.spawn('b', {}, { model: 'haiku' })), /^spawn\(\) /)
  assert.match(await first(() => m.fork('a', 'c', {}, { model: 'haiku' })), /^fork\(\) /)
  assert.deepEqual(
    await warned(() => Promise.all(['a', 'b'].map((...args) => m.resume(args[0], 'x', undefined, args[1], args[2])))),
    [],
  )
})

test('the warning comes once for each place in the program, and names it', async (t) => {
  const m = world(t).manager()
  const messages = await warned(async () => {
    for (const name of ['a', 'b', 'c']) await m.spawn(name, { cwd: '/' })
    await m.spawn('d', { cwd: '/' })
  })
  assert.equal(messages.length, 2)
  assert.equal(new Set(messages).size, 2)
  for (const message of messages) assert.match(message, /\(at .*option-names\.spec\.mjs:\d+:\d+\)?\)$/)
})

test('nothing is said of options that exist, nor of the state of a session as options', async (t) => {
  const w = world(t)
  const messages = await warned(async () => {
    const m = w.manager({
      defaultModel: 'haiku',
      durability: 'os',
      maxHistory: 5,
      stopTimeout: 5000,
      killTimeout: 5000,
    })
    const { session } = await m.spawn('a', { prompt: 'hello', tags: ['x'], maxBudget: 1 })
    await m.spawn('b', { ...session })
    await m.spawn('c', m.store.get('b'))
    await m.batch([{ name: 'd' }])
    await m.fork('a', 'e', { message: 'x', model: 'opus' })
    await m.recover({ resume: true, resend: false })
    assert.ok(new StreamSession(session))
    await m.close({ timeout: 5000 })
  })
  assert.deepEqual(messages, [])
})

test('maxBudget 0 keeps its old meaning, no limit, with a warning', async (t) => {
  const m = world(t).manager()
  let session
  const spawn = async () => ({ session } = await m.spawn('a', { maxBudget: 0, prompt: 'stand-in: argv' }))
  const [message, ...others] = await warned(spawn, 'CLEARCTX_ZERO_BUDGET')
  assert.match(message, /^options\.maxBudget is 0, .*option-names\.spec\.mjs/)
  assert.deepEqual([others, session.maxBudget], [[], null])
  assert.ok(!m.lastOutput('a').response.includes('--max-budget'))
})
