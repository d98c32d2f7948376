// Hooks that the program answers.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { world } from '../support/sessions.mjs'

const touch = (file) => `stand-in: tool Bash ${JSON.stringify({ command: `touch ${file}` })}`
const never = () => new Promise(() => {})

function setUp(t, options = {}, env = {}) {
  const w = world(t)
  return { w, mgr: w.manager({ ...options, env: standInEnv(env) }), file: join(w.dir, 'touched') }
}

const deny = {
  hookSpecificOutput: {
    hookEventName: 'PreToolUse',
    permissionDecision: 'deny',
    permissionDecisionReason: 'no',
  },
}

for (const habit of ['newer', 'older']) {
  describe(`hooks with a CLI like ${habit}`, () => {
    it('hear a turn, from the first one of the process on', async (t) => {
      const seen = []
      const hear = async (input, toolUseId, { signal }) => {
        seen.push([input.hook_event_name, typeof toolUseId, signal.aborted])
        return {}
      }
      const hooks = {
        UserPromptSubmit: [{ hooks: [hear] }],
        PreToolUse: [{ matcher: 'Bash', hooks: [hear] }],
        PostToolUse: [{ hooks: [hear] }],
        Stop: [{ hooks: [hear] }],
      }
      const { mgr, file } = setUp(t, { hooks }, { habit })
      await mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] })
      assert.deepEqual(
        seen.map(([event]) => event),
        ['UserPromptSubmit', 'PreToolUse', 'PostToolUse', 'Stop'],
      )
      assert.deepEqual(seen[1], ['PreToolUse', 'string', false])
      assert.equal(existsSync(file), true)
    })

    it('deny a tool that is allowed otherwise', async (t) => {
      const { mgr, file } = setUp(t, { hooks: { PreToolUse: [{ hooks: [async () => deny] }] } }, { habit })
      await mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] })
      assert.equal(existsSync(file), false)
    })
  })
}

describe('a hook that fails', () => {
  for (const [what, hook] of [
    [
      'throws',
      async () => {
        throw new Error('a defect')
      },
    ],
    ['answers nonsense', async () => 'x'],
    ['never answers', never],
  ]) {
    it(`${what} denies before a tool`, async (t) => {
      const { mgr, file } = setUp(t, { hooks: { PreToolUse: [{ hooks: [hook], timeout: 200 }] } })
      await mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] })
      assert.equal(existsSync(file), false)
      assert.match((await mgr.send('a', 'alive')).text, /alive/)
    })

    it(`${what} allows where it is told to`, async (t) => {
      const hooks = { PreToolUse: [{ hooks: [hook], timeout: 200, onFailure: 'allow' }] }
      const { mgr, file } = setUp(t, { hooks })
      await mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] })
      assert.equal(existsSync(file), true)
    })
  }

  it('blocks a prompt, and the process goes on', async (t) => {
    let fails = true
    const hook = async () => (fails ? never() : {})
    const { mgr } = setUp(t, { hooks: { UserPromptSubmit: [{ hooks: [hook], timeout: 200 }] } })
    const { response } = await mgr.spawn('a', { prompt: 'hi' })
    assert.equal(response.turns, 0)
    fails = false
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
  })

  it('that is over changes nothing by its late answer', async (t) => {
    let answer
    const hook = () => new Promise((resolve) => (answer = resolve))
    const { mgr, file } = setUp(t, { hooks: { PreToolUse: [{ hooks: [hook], timeout: 100 }] } })
    await mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] })
    answer({})
    assert.match((await mgr.send('a', 'alive')).text, /alive/)
    assert.equal(existsSync(file), false)
  })
})

describe('the time of a hook', () => {
  for (const timeout of [undefined, null, 0, Infinity]) {
    it(`${timeout} leaves it enough`, async (t) => {
      const hooks = { PreToolUse: [{ matcher: null, hooks: [async () => ({})], timeout }] }
      const { mgr, file } = setUp(t, { hooks })
      await mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] })
      assert.equal(existsSync(file), true)
    })
  }
})

describe('a CLI that does not take its hooks', () => {
  it('runs no turn: the session ends with its words', async (t) => {
    const hooks = { PreToolUse: [{ hooks: [async () => ({})] }] }
    const { w, mgr, file } = setUp(t, { hooks }, { control: 'fail initialize no hooks here' })
    await assert.rejects(mgr.spawn('a', { prompt: touch(file), allowedTools: ['Bash'] }), {
      code: 'ERR_CONTROL',
      message: /no hooks here/,
    })
    assert.equal(existsSync(file), false)
    assert.equal(w.readStore().a.lastError.code, 'ERR_CONTROL')
  })
})

describe('the option hooks', () => {
  for (const [hooks, argument] of [
    [[], 'options.hooks'],
    [{ Stop: {} }, 'options.hooks.Stop'],
    [{ Stop: [{ hooks: 'x' }] }, 'options.hooks.Stop[0].hooks'],
    [{ Stop: [{ hooks: ['x'] }] }, 'options.hooks.Stop[0].hooks[0]'],
    [{ Stop: [{ hooks: [], timeout: 'x' }] }, 'options.hooks.Stop[0].timeout'],
    [{ Stop: [{ hooks: [], onFailure: 'x' }] }, 'options.hooks.Stop[0].onFailure'],
  ]) {
    it(`names ${argument}`, async (t) => {
      const { mgr } = setUp(t)
      await assert.rejects(mgr.spawn('a', { hooks }), (error) => {
        assert.match(error.code, /^ERR_INVALID_ARG/)
        assert.ok(error.message.includes(`The ${argument} argument`), error.message)
        return true
      })
      assert.equal(mgr.list().length, 0)
    })
  }
})
