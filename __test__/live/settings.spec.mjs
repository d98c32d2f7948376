// Settings of a live session, and raw control requests.

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'

async function live(t, env = {}, options = {}) {
  const w = world(t)
  const mgr = w.manager({ ...options, env: standInEnv(env) })
  await mgr.spawn('a', { prompt: 'hi' })
  return { w, mgr }
}

for (const habit of ['newer', 'older']) {
  describe(`settings of a CLI like ${habit}`, () => {
    it('the model: at once, and for the next process', async (t) => {
      const { mgr } = await live(t, { habit })
      await mgr.setModel('a', 'opus')
      assert.equal(mgr.status('a').model, 'opus')
      assert.match((await mgr.send('a', 'stand-in: model')).text, /opus/)
      const { closed } = mgr.sessions.get('a')
      mgr.stop('a')
      await closed
      assert.equal(mgr.store.get('a').model, 'opus')
      assert.match((await mgr.resume('a', 'stand-in: model')).text, /opus/)
    })

    it('the permission mode: it is no difference to what was asked for', async (t) => {
      const { mgr } = await live(t, { habit })
      await mgr.setPermissionMode('a', 'acceptEdits')
      assert.equal(mgr.status('a').permissionMode, 'acceptEdits')
      assert.equal((await mgr.send('a', 'stand-in: permission-mode')).text, 'acceptEdits')
      const { closed } = mgr.sessions.get('a')
      mgr.stop('a')
      await closed
      assert.equal(mgr.store.get('a').permissionMode, 'acceptEdits')
      assert.equal((await mgr.resume('a', 'stand-in: permission-mode')).text, 'acceptEdits')
    })

    it('reports', async (t) => {
      const { mgr } = await live(t, { habit })
      assert.equal(typeof (await mgr.contextUsage('a')).totalTokens, 'number')
      await mgr.setThinking('a', 2000)
      await mgr.setEffort('a', 'low')
      assert.deepEqual(typeof (await mgr.control('a', { subtype: 'get_settings' })), 'object')
      assert.deepEqual((await mgr.control('a', { subtype: 'mcp_status' })).mcpServers, [])
    })
  })
}

describe('a control request', () => {
  it('that the CLI does not know is refused with its words', async (t) => {
    const { mgr } = await live(t)
    await assert.rejects(mgr.control('a', { subtype: 'of_tomorrow' }), {
      code: 'ERR_CONTROL',
      request: 'of_tomorrow',
    })
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
  })

  for (const fault of ['mute', 'deaf', 'wrong-id']) {
    it(`that gets no answer (${fault}) ends in time`, async (t) => {
      const { mgr } = await live(t, { control: `${fault} mcp_status` }, { controlTimeout: 100 })
      await assert.rejects(mgr.control('a', { subtype: 'mcp_status' }), {
        code: 'ERR_CONTROL_TIMEOUT',
        request: 'mcp_status',
        timeout: 100,
      })
      await assert.rejects(mgr.control('a', { subtype: 'mcp_status' }, { timeout: 50 }), { timeout: 50 })
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    })
  }

  it('is answered before the first process is up, and fails with its session', async (t) => {
    const w = world(t)
    const mgr = w.manager()
    await mgr.spawn('a')
    assert.deepEqual((await mgr.control('a', { subtype: 'mcp_status' })).mcpServers, [])
    const open = mgr.control('a', { subtype: 'mcp_status' })
    mgr.kill('a')
    await assert.rejects(open, { code: 'ERR_SESSION_KILLED' })
    await assert.rejects(mgr.control('a', { subtype: 'x' }), { code: 'ERR_SESSION_NOT_ALIVE' })
  })

  it('of the CLI that nobody knows is refused, whenever it comes', async (t) => {
    const { mgr } = await live(t)
    const { text } = await mgr.send('a', 'stand-in: request {"subtype":"of_tomorrow"}')
    assert.match(text, /not supported/)
    for (const directive of ['cancel-unknown', 'answer-unknown', 'then request {"subtype":"of_tomorrow"}']) {
      await mgr.send('a', `stand-in: ${directive}`)
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    }
  })

  it('names what is wrong with it', async (t) => {
    const { mgr } = await live(t)
    for (const [call, argument] of [
      [mgr.control('a', 'x'), 'request'],
      [mgr.control('a', {}), 'request.subtype'],
      [mgr.control('a', { subtype: 'x' }, { timeout: 'y' }), 'options.timeout'],
      [mgr.setPermissionMode('a', ''), 'mode'],
      [mgr.setEffort('a'), 'effort'],
      [mgr.setThinking('a', 'x'), 'maxTokens'],
      [mgr.stopTask('a'), 'taskId'],
      [mgr.rewindFiles('a'), 'messageId'],
      [mgr.interrupt('a', { dropQueue: 'x' }), 'options.dropQueue'],
    ]) {
      await assert.rejects(call, (error) => {
        assert.match(error.code, /^ERR_INVALID_ARG/)
        assert.ok(error.message.includes(`The ${argument} argument`), error.message)
        return true
      })
    }
  })
})

describe('a subclass', () => {
  it('keeps methods of its own with the names of ours', async (t) => {
    const { SessionManager } = await import('../../index.js')
    const own = ['interrupt', 'stream', 'control', 'setModel', 'setPermissionMode', 'contextUsage', 'rewindFiles']
    class Orchestrator extends SessionManager {}
    for (const name of own) Orchestrator.prototype[name] = () => assert.fail(`the engine called ${name}`)
    const w = world(t)
    const mgr = w.manager({}, Orchestrator)
    const { response } = await mgr.spawn('a', { prompt: 'hi', canUseTool: async () => ({ behavior: 'allow' }) })
    assert.equal(response.isError, false)
    for (const name of own) mgr.sessions.get('a')[name] = () => assert.fail(`the engine called ${name}`)
    await mgr.send('a', 'again')
  })
})
