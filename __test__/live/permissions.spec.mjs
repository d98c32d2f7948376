// Permission requests that the program answers: by a function, by an event, or by nobody.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'

/** A message whose turn touches a file by a tool that asks. */
const touch = (file) => `stand-in: tool Bash ${JSON.stringify({ command: `touch ${file}` })}`

function setUp(t, options = {}, env = {}) {
  const w = world(t)
  return { w, mgr: w.manager({ ...options, env: standInEnv(env) }), file: join(w.dir, 'touched') }
}

/** The process warnings of a code, while `work` runs. */
async function warningsOf(code, work) {
  const seen = []
  const hear = (warning) => warning.code === code && seen.push(warning)
  process.on('warning', hear)
  await work()
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', hear)
  return seen
}

for (const habit of ['newer', 'older']) {
  describe(`canUseTool with a CLI like ${habit}`, () => {
    it('allows a call, with the input it likes', async (t) => {
      const asked = []
      const { mgr, w, file } = setUp(t, {}, { habit })
      await mgr.spawn('a', {
        canUseTool: async (toolName, input, context) => {
          asked.push({ toolName, input, context })
          return { behavior: 'allow', updatedInput: { command: `touch ${file}` } }
        },
      })
      const response = await mgr.send('a', touch(join(w.dir, 'other')))
      assert.equal(response.isError, false)
      assert.deepEqual([existsSync(file), existsSync(join(w.dir, 'other'))], [true, false])
      const [{ toolName, input, context }] = asked
      assert.deepEqual([toolName, input], ['Bash', { command: `touch ${join(w.dir, 'other')}` }])
      assert.equal(context.name, 'a')
      assert.equal(typeof context.toolUseId, 'string')
      assert.ok(context.signal instanceof AbortSignal && Array.isArray(context.suggestions))
    })

    it('denies a call, and the turn goes on', async (t) => {
      const { mgr, file } = setUp(t, { canUseTool: async () => ({ behavior: 'deny', message: 'not here' }) }, { habit })
      await mgr.spawn('a')
      const session = mgr.sessions.get('a')
      const result = once(session, 'tool_result')
      const response = await mgr.send('a', touch(file))
      assert.equal(existsSync(file), false)
      assert.match(JSON.stringify((await result)[0]), /not here/)
      assert.equal(response.permissionDenials.length, 1)
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    })

    it('denies and ends the turn', async (t) => {
      const answer = { behavior: 'deny', message: 'stop', interrupt: true }
      const { mgr, file } = setUp(t, { canUseTool: async () => answer }, { habit })
      await mgr.spawn('a')
      const response = await mgr.send('a', touch(file))
      assert.deepEqual([response.isError, existsSync(file)], [true, false])
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    })
  })
}

describe('canUseTool that fails', () => {
  for (const [what, canUseTool] of [
    [
      'throws',
      () => {
        throw new Error('a defect')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('a defect')
      },
    ],
    ['answers nonsense', async () => 'yes'],
    ['answers nothing', async () => {}],
    ['answers what is no JSON', async () => ({ behavior: 'allow', updatedInput: { big: 1n } })],
  ]) {
    it(`${what}: the call is denied, and the program is warned`, async (t) => {
      const { mgr, file } = setUp(t, { canUseTool })
      const warnings = await warningsOf('CLEARCTX_CALLBACK_FAILED', async () => {
        await mgr.spawn('a')
        const response = await mgr.send('a', touch(file))
        assert.deepEqual([response.isError, response.permissionDenials.length], [false, 1])
      })
      assert.equal(warnings.length, 1)
      assert.equal(existsSync(file), false)
    })
  }

  it('answers too late: the call is denied in time, and the late answer changes nothing', async (t) => {
    let allow
    const late = new Promise((resolve) => (allow = () => resolve({ behavior: 'allow' })))
    const signals = []
    const canUseTool = (_tool, _input, { signal }) => {
      signals.push(signal)
      return late
    }
    const { mgr, file } = setUp(t, { canUseTool, permissionTimeout: 100 })
    await mgr.spawn('a')
    const response = await mgr.send('a', touch(file))
    assert.equal(response.permissionDenials.length, 1)
    assert.equal(signals[0].aborted, true)
    allow()
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
    assert.equal(existsSync(file), false)
  })

  it('is told by its signal when the turn is interrupted', async (t) => {
    let told
    const asked = new Promise((resolve) => (told = resolve))
    const canUseTool = (_tool, _input, { signal }) => {
      told(signal)
      return new Promise(() => {})
    }
    const { mgr, file } = setUp(t, { canUseTool })
    await mgr.spawn('a')
    const sent = mgr.send('a', touch(file))
    const signal = await asked
    await mgr.interrupt('a')
    assert.equal((await sent).interrupted, true)
    assert.equal(signal.aborted, true)
  })
})

describe('the time of a turn', () => {
  it('stands still while a person is asked', async (t) => {
    const { mgr, file } = setUp(t, { permissions: 'event' })
    await mgr.spawn('a')
    const sent = mgr.send('a', touch(file), 1000)
    const { request } = await new Promise((resolve) => mgr.on('permission', resolve))
    // Longer than the turn may take; nothing else shows that its time stands still.
    await new Promise((resolve) => setTimeout(resolve, 1200))
    request.allow()
    assert.equal((await sent).isError, false)
    assert.equal(existsSync(file), true)
  })
})

describe('the event permission', () => {
  it('is answered later, once', async (t) => {
    const { mgr, file } = setUp(t)
    await mgr.spawn('a', { permissions: 'event' })
    const session = mgr.sessions.get('a')
    const sent = mgr.send('a', touch(file))
    const [request] = await once(session, 'permission')
    assert.deepEqual([request.kind, request.toolName, request.name], ['tool', 'Bash', 'a'])
    assert.deepEqual(
      mgr.status('a').pendingPermissions.map(({ id, toolName }) => [id, toolName]),
      [[request.id, 'Bash']],
    )
    request.allow()
    request.deny('too late')
    await sent
    assert.equal(existsSync(file), true)
    assert.deepEqual(mgr.status('a').pendingPermissions, [])
  })

  it('tells questions and plans apart', async (t) => {
    const { mgr } = setUp(t, { permissions: 'event' })
    await mgr.spawn('a')
    const questions = [{ question: 'Which?', header: 'h', options: [{ label: 'one' }, { label: 'two' }] }]
    mgr.once('permission', ({ request }) => {
      assert.deepEqual([request.kind, request.questions], ['question', questions])
      request.allow({ answers: { 'Which?': 'two' } })
    })
    const session = mgr.sessions.get('a')
    const result = once(session, 'tool_result')
    await mgr.send('a', `stand-in: tool AskUserQuestion ${JSON.stringify({ questions })}`)
    assert.match(JSON.stringify((await result)[0]), /"Which\?\\"=\\"two/)
    await mgr.setPermissionMode('a', 'plan')
    mgr.once('permission', ({ request }) => {
      assert.equal(request.kind, 'plan')
      request.deny('think again')
    })
    const denied = once(session, 'tool_result')
    await mgr.send('a', 'stand-in: tool ExitPlanMode {}')
    assert.match(JSON.stringify((await denied)[0]), /think again/)
  })

  it('without a listener is denied at once', async (t) => {
    const { mgr, file } = setUp(t, { permissions: 'event' })
    await mgr.spawn('a')
    const response = await mgr.send('a', touch(file))
    assert.equal(response.permissionDenials.length, 1)
  })

  it('in a session that asks for none is warned of', async (t) => {
    const { mgr } = setUp(t)
    const warnings = await warningsOf('CLEARCTX_NO_PERMISSION_REQUESTS', async () => {
      await mgr.spawn('a')
      mgr.sessions.get('a').on('permission', () => {})
    })
    assert.equal(warnings.length, 1)
    assert.equal('pendingPermissions' in mgr.status('a'), false)
  })
})

describe('a request that is not as it should be', () => {
  for (const request of [
    { subtype: 'can_use_tool' },
    { subtype: 'can_use_tool', tool_name: 'AskUserQuestion' },
    { subtype: 'can_use_tool', tool_name: 'ExitPlanMode', input: null },
    { subtype: 'can_use_tool', tool_name: 'constructor', input: {} },
  ]) {
    it(`reaches the program all the same: ${JSON.stringify(request)}`, async (t) => {
      const { mgr } = setUp(t, { permissions: 'event' })
      await mgr.spawn('a')
      const kinds = []
      mgr.on('permission', ({ request: { kind, allow } }) => {
        kinds.push(kind)
        allow()
      })
      const { text } = await mgr.send('a', `stand-in: request ${JSON.stringify(request)}`)
      assert.match(text, /"behavior":"allow"/)
      const known = { AskUserQuestion: 'question', ExitPlanMode: 'plan' }
      assert.deepEqual(kinds, [Object.hasOwn(known, request.tool_name ?? '') ? known[request.tool_name] : 'tool'])
    })
  }
})

describe('a session that had callbacks', () => {
  const canUseTool = async () => ({ behavior: 'deny', message: 'no' })
  const hooks = { PreToolUse: [{ hooks: [async () => ({})] }] }

  async function stopped(t) {
    const { mgr, w } = setUp(t)
    await mgr.spawn('a', { prompt: 'hi', canUseTool, hooks })
    const { closed } = mgr.sessions.get('a')
    mgr.stop('a')
    await closed
    return { w, mgr }
  }

  it('is not started without them: not by resume, not by fork', async (t) => {
    const { w, mgr } = await stopped(t)
    assert.deepEqual(w.readStore().a.needs, ['canUseTool', 'hooks'])
    assert.doesNotMatch(JSON.stringify(w.readStore()), /async|behavior/)
    await assert.rejects(mgr.resume('a'), { code: 'ERR_OPTIONS_MISSING', missing: ['canUseTool', 'hooks'] })
    await assert.rejects(mgr.resume('a', 'hi', { canUseTool }), { code: 'ERR_OPTIONS_MISSING', missing: ['hooks'] })
    await assert.rejects(mgr.fork('a', 'b'), { code: 'ERR_OPTIONS_MISSING' })
    assert.equal(mgr.sessions.size, 0)
    assert.deepEqual(w.processes(), [])
    assert.match((await mgr.resume('a', 'again', { canUseTool, hooks })).text, /again/)
  })

  it('has a fork that runs under them from its first turn on', async (t) => {
    const { mgr, file } = setUp(t)
    await mgr.spawn('a', { prompt: 'hi', canUseTool })
    const { response } = await mgr.fork('a', 'b', { message: touch(file) })
    assert.equal(response.permissionDenials.length, 1)
    assert.equal(existsSync(file), false)
  })

  it('gets them from its manager, too', async (t) => {
    const { w } = await stopped(t)
    const other = w.manager({ canUseTool, hooks })
    assert.match((await other.resume('a', 'again')).text, /again/)
  })
})
