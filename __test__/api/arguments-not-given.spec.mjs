/** What "not given" means, and values at the edge of what is allowed. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { SessionManager, StreamSession } from '../../index.js'
import { MANAGER_OPTIONS, MISSING, RUN_OPTIONS, SESSION_OPTIONS, managed } from '../support/options.mjs'
import { world } from '../support/sessions.mjs'

const SEVERAL = { concurrency: 2 }

describe('values that mean "not given"', SEVERAL, () => {
  test('leave the defaults of a manager in force', (t) => {
    const { dataDir } = world(t)
    for (const none of MISSING) {
      const options = Object.fromEntries(Object.keys(MANAGER_OPTIONS).map((option) => [option, none]))
      const { defaultModel, defaultPermissionMode, defaultTimeout } = new SessionManager({ ...options, dataDir })
      assert.deepEqual([defaultModel, defaultPermissionMode, defaultTimeout], ['sonnet', 'default', 600_000])
    }
  })

  test('leave the defaults of a session in force', () => {
    const { name: _, closed: __, ...plain } = new StreamSession({ name: 'a' }).toJSON()
    for (const none of MISSING) {
      const keys = [...Object.keys(SESSION_OPTIONS), ...Object.keys(RUN_OPTIONS), 'sessionId']
      const options = Object.fromEntries(keys.map((option) => [option, none]))
      const { name, ...rest } = new StreamSession({ ...options, name: 'a' }).toJSON()
      assert.deepEqual({ ...rest, created: plain.created }, plain)
      assert.equal(name, 'a')
    }
  })

  test('give a spawn what the manager says, at the time of the call', async (t) => {
    const { mgr } = managed(t)
    Object.assign(mgr, { defaultModel: 'haiku', defaultPermissionMode: 'plan', defaultTimeout: 4321 })
    for (const [index, none] of MISSING.entries()) {
      const options = Object.fromEntries([...Object.keys(SESSION_OPTIONS), 'prompt'].map((option) => [option, none]))
      const { session, response } = await mgr.spawn(`a${index}`, options)
      const { model, permissionMode, timeout, allowedTools, systemPrompt, maxBudget, agent, workDir, tags } = session
      assert.deepEqual(
        { model, permissionMode, timeout, allowedTools, systemPrompt, maxBudget, agent, workDir, tags },
        {
          model: 'haiku',
          permissionMode: 'plan',
          timeout: 4321,
          allowedTools: [],
          systemPrompt: '',
          maxBudget: null,
          agent: null,
          workDir: process.cwd(),
          tags: [],
        },
      )
      assert.equal(response, null)
    }
    // As with `||`, an empty default falls back to the original's.
    Object.assign(mgr, { defaultModel: '', defaultPermissionMode: null, defaultTimeout: 0 })
    const { session } = await mgr.spawn('last')
    assert.deepEqual([session.model, session.permissionMode, session.timeout], ['sonnet', 'default', 600_000])
  })

  test('options may be left out altogether', async (t) => {
    const { mgr } = managed(t)
    assert.equal((await mgr.spawn('a', null)).response, null)
    assert.equal((await mgr.spawn('b', undefined)).session.name, 'b')
    await mgr.send('a', 'hello', null)
    await mgr.send('a', 'hello', 0)
    for (const none of MISSING) assert.equal(await mgr.resume('a', none), null)
    const { response } = await mgr.fork('a', 'c', null)
    assert.equal(mgr.history('c')[0].prompt, 'Continue from the forked conversation.')
    assert.match(response.text, /Continue from the forked conversation\.$/)
    for (const none of MISSING) assert.equal(mgr.list(none).length, 3)
    await mgr.close(null)
    await mgr.close({})
    for (const none of MISSING) await mgr.close({ timeout: none })
  })

  test('a fork inherits what its options do not give', async (t) => {
    const { mgr } = managed(t)
    await mgr.spawn('a', {
      prompt: 'hello',
      model: 'haiku',
      allowedTools: ['Read'],
      systemPrompt: 'short',
      timeout: 9999,
    })
    for (const [index, none] of [undefined, null].entries()) {
      const options = Object.fromEntries([...Object.keys(SESSION_OPTIONS), 'message'].map((option) => [option, none]))
      const { session } = await mgr.fork('a', `b${index}`, options)
      const { model, allowedTools, systemPrompt, timeout } = session
      assert.deepEqual([model, allowedTools, systemPrompt, timeout], ['haiku', ['Read'], 'short', 9999])
    }
  })
})

describe('values at the edge', SEVERAL, () => {
  test('options may be instances, frozen, without a prototype, or full of getters', async (t) => {
    const { mgr } = managed(t)
    class Options {
      get model() {
        return 'haiku'
      }
    }
    assert.equal((await mgr.spawn('a', new Options())).session.model, 'haiku')
    assert.equal((await mgr.spawn('b', Object.freeze({ model: 'opus' }))).session.model, 'opus')
    const bare = Object.assign(Object.create(null), { model: 'opus', allowedTools: Object.freeze(['Read']) })
    assert.deepEqual((await mgr.spawn('c', bare)).session.allowedTools, ['Read'])
    const failing = {
      get model() {
        throw new Error('mine')
      },
    }
    await assert.rejects(mgr.spawn('d', failing), { message: 'mine' })
    assert.ok(!mgr.sessions.has('d'))
  })

  test('arrays that a caller changes later change nothing', async (t) => {
    const { mgr, w } = managed(t)
    const [allowedTools, tags] = [['Read'], ['x']]
    await mgr.spawn('a', { allowedTools, tags })
    allowedTools.push('Bash')
    tags.push('y')
    assert.deepEqual([mgr.status('a').allowedTools, mgr.status('a').tags], [['Read'], ['x']])
    assert.deepEqual([w.readStore().a.allowedTools, w.readStore().a.tags], [['Read'], ['x']])
  })

  test('an infinite time is no limit, a fraction of a millisecond is a time', async (t) => {
    const { mgr } = managed(t)
    await mgr.spawn('a', { timeout: Infinity, prompt: 'hello' })
    assert.equal((await mgr.send('a', 'hello', Infinity)).text, 'echo(4): hello')
    assert.equal((await mgr.send('a', 'hello', Number.MAX_VALUE)).text, 'echo(6): hello')
    assert.equal(
      (await mgr.send('a', 'hello', 2 ** 31)).text,
      'echo(8): hello',
      'where a timer of Node would fire at once',
    )
    const late = await mgr.send('a', 'stand-in: slow 50', 0.5).catch((error) => error)
    assert.equal(late.code, 'ERR_TURN_TIMEOUT')
    mgr.stop('a')
    // What the CLI had not got in half a millisecond is not in the conversation.
    assert.equal((await mgr.resume('a', 'again')).text, `echo(${late.sent ? 12 : 10}): again`)
    await mgr.close({ timeout: Infinity })
  })

  test('env adds, replaces and removes variables, and is stored nowhere', async (t) => {
    const w = world(t)
    process.env.CLEARCTX_TEST_GIVEN = 'given'
    process.env.CLEARCTX_TEST_GONE = 'gone'
    t.after(() => {
      delete process.env.CLEARCTX_TEST_GIVEN
      delete process.env.CLEARCTX_TEST_GONE
    })
    const env = {
      CLEARCTX_TEST_GIVEN: 'other',
      CLEARCTX_TEST_GONE: undefined,
      CLEARCTX_TEST_NEW: 'sécret\nü',
      EMPTY: '',
    }
    const question = 'stand-in: env CLEARCTX_TEST_GIVEN CLEARCTX_TEST_GONE CLEARCTX_TEST_NEW EMPTY'
    const mgr = w.manager({ env })
    const answer = JSON.stringify({
      CLEARCTX_TEST_GIVEN: 'other',
      CLEARCTX_TEST_GONE: null,
      CLEARCTX_TEST_NEW: 'sécret\nü',
      EMPTY: '',
    })
    assert.equal((await mgr.spawn('a', { prompt: question })).response.text, answer)
    assert.equal((await mgr.fork('a', 'b', { message: question })).response.text, answer)
    mgr.stop('a')
    assert.equal((await mgr.resume('a', question)).text, answer)
    const solo = w.session({ env })
    solo.start()
    assert.equal((await solo.send(question)).text, answer)
    await mgr.store.flush()
    for (const record of Object.values(w.readStore())) {
      const { interactions: _, ...rest } = record
      assert.ok(!JSON.stringify(rest).includes('sécret'))
      assert.ok(!('env' in rest))
    }
    assert.ok(!JSON.stringify(solo.toJSON().env ?? '').includes('sécret'))
  })

  test('an env that is changed after the manager was made changes nothing', async (t) => {
    const w = world(t)
    const env = { ...w.env, CLEARCTX_TEST_GIVEN: 'before' }
    const { standInPath } = await import('../../testing/index.js')
    const mgr = new SessionManager({ dataDir: w.dataDir, claudePath: standInPath, env })
    env.CLEARCTX_TEST_GIVEN = 'after'
    const { response } = await mgr.spawn('a', { prompt: 'stand-in: env CLEARCTX_TEST_GIVEN' })
    assert.equal(response.text, '{"CLEARCTX_TEST_GIVEN":"before"}')
    await mgr.close()
  })

  test('a permission mode or model that nobody knows is passed on', async (t) => {
    const { mgr } = managed(t)
    const { session, response } = await mgr.spawn('a', { model: 'claude-of-tomorrow', prompt: 'stand-in: argv' })
    assert.equal(session.model, 'claude-of-tomorrow')
    assert.ok(JSON.parse(response.text).includes('claude-of-tomorrow'))
  })

  test('tool names reach the CLI one by one, whatever is in them', async (t) => {
    const { mgr } = managed(t)
    const allowedTools = ['Bash(git log *)', 'Bash(a, b)', '--model', '-x', 'Read(', 'mcp__x__y', '', ' ']
    const { response, session } = await mgr.spawn('a', { allowedTools, agent: 'Explore', prompt: 'stand-in: argv' })
    assert.deepEqual(session.allowedTools, allowedTools)
    const argv = JSON.parse(response.text)
    assert.equal(argv.filter((argument) => argument === '--model').length, 1)
    assert.ok(!argv.includes('-x'))
    assert.equal(argv[argv.indexOf('--model') + 1] ?? '', 'sonnet')
    assert.ok(argv.some((argument) => argument.startsWith('--agent')))
  })
})
