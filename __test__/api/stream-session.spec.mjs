/** StreamSession used by itself: options, properties, start, and methods out of season. */

import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { StreamSession } from '../../index.js'
import { block, record } from '../support/events.mjs'
import { isAlive, world } from '../support/sessions.mjs'
import { PRICE, assertMoney, started } from '../support/solo-sessions.mjs'

describe('a session without a manager', () => {
  test('starts, answers, stops, and is stored nowhere', async (t) => {
    const w = world(t)
    const session = w.session()
    assert.equal(session.status, 'starting')
    assert.equal(session.pid, null)
    session.start()
    assert.equal(session.status, 'ready')
    assert.ok(isAlive(session.pid))
    const response = await session.send('hello')
    assert.equal(response.text, 'echo(2): hello')
    session.stop()
    assert.equal(session.status, 'stopped')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    assert.ok(!isAlive(session.pid))
    assert.ok(!existsSync(w.dataDir))
  })

  test('has the defaults of a manager without options', () => {
    const session = new StreamSession({ name: 'plain' })
    const { name, id, status, model, workDir, permissionMode, allowedTools, systemPrompt, maxBudget, agent } = session
    assert.deepEqual(
      { name, id, status, model, workDir, permissionMode, allowedTools, systemPrompt, maxBudget, agent },
      {
        name: 'plain',
        id: null,
        status: 'starting',
        model: 'sonnet',
        workDir: process.cwd(),
        permissionMode: 'default',
        allowedTools: [],
        systemPrompt: '',
        maxBudget: null,
        agent: null,
      },
    )
    const { timeout, tags, initData, interactions, totalCostUsd, totalTurns, pid } = session
    assert.deepEqual(
      { timeout, tags, initData, interactions, totalCostUsd, totalTurns, pid },
      { timeout: 600_000, tags: [], initData: null, interactions: [], totalCostUsd: 0, totalTurns: 0, pid: null },
    )
    assert.ok(session instanceof EventEmitter)
    assert.ok(session.closed instanceof Promise)
    assert.equal(session.closed, session.closed)
  })

  test('takes all its options over as properties', () => {
    const options = {
      name: 'full',
      model: 'haiku',
      workDir: tmpdir(),
      permissionMode: 'plan',
      allowedTools: ['Read', 'Bash(git log *)'],
      systemPrompt: 'Be short.',
      maxBudget: 1.5,
      agent: 'Explore',
      timeout: 1234,
      tags: ['a', 'b'],
    }
    const session = new StreamSession({ ...options, sessionId: '11111111-2222-4333-8444-555555555555' })
    assert.deepEqual(Object.fromEntries(Object.keys(options).map((key) => [key, session[key]])), options)
    assert.equal(session.id, '11111111-2222-4333-8444-555555555555')
    assert.notEqual(session.allowedTools, options.allowedTools, 'a later change of the caller’s array changes nothing')
  })

  test('passes its properties to the program as they are at start()', async (t) => {
    const w = world(t)
    const session = w.session({ model: 'opus' })
    Object.assign(session, {
      model: 'haiku',
      workDir: w.dir,
      permissionMode: 'acceptEdits',
      allowedTools: ['Read', 'Bash(git log *)'],
      systemPrompt: '--be short',
      maxBudget: 2.5,
      agent: 'Explore',
    })
    session.start()
    const { text } = await session.send('stand-in: argv')
    const argv = JSON.parse(text)
    const pairs = argv.flatMap((arg, index) => [arg, `${arg}=${argv[index + 1]}`])
    for (const wanted of [
      '--model=haiku',
      '--permission-mode=acceptEdits',
      '--append-system-prompt=--be short',
      '--max-budget-usd=2.5',
      '--agent=Explore',
    ]) {
      assert.ok(pairs.includes(wanted), `${wanted} in ${text}`)
    }
    assert.equal((await session.send('stand-in: cwd')).text, realpathSync(w.dir))
    assert.equal((await session.send('stand-in: system-prompt')).text, '10 --be short')
    assert.equal((await session.send('stand-in: permission-mode')).text, 'acceptEdits')
  })

  test('goes on with the conversation of its sessionId', async (t) => {
    const w = world(t)
    const first = started(w)
    await first.send('the word is plum')
    first.stop()
    await first.closed
    const second = w.session({ name: 'again', sessionId: first.id })
    assert.equal(second.id, first.id)
    second.start()
    assert.equal((await second.send('recall')).text, 'the word is plum')
    assert.equal(second.id, first.id)
    assertMoney(second.totalCostUsd, PRICE)
  })
})

describe('start()', () => {
  test('a second start throws ERR_SESSION_EXISTS and disturbs nothing, also after the end', async (t) => {
    const session = started(world(t))
    const { pid } = session
    const expected = { code: 'ERR_SESSION_EXISTS', message: 'Session "solo" was already started.' }
    assert.throws(() => session.start(), expected)
    assert.equal(session.pid, pid)
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
    session.stop()
    await session.closed
    assert.throws(() => session.start(), expected)
    assert.equal(session.status, 'stopped')
  })

  for (const [what, options, code] of [
    ['a program that does not exist', { claudePath: '/no/such/claude' }, 'ERR_CLI_NOT_FOUND'],
    ['a name that is not on the PATH', { claudePath: 'no-such-claude' }, 'ERR_CLI_NOT_FOUND'],
    ['a working directory that does not exist', { workDir: '/no/such/directory' }, 'ERR_WORKDIR'],
    ['a working directory that is a file', { workDir: process.execPath }, 'ERR_WORKDIR'],
  ]) {
    test(`throws ${code} for ${what}; nothing happened, no event came`, (t) => {
      const session = world(t).session(options)
      const seen = record(session)
      assert.throws(() => session.start(), { code, name: 'Error' })
      assert.equal(session.pid, null)
      assert.deepEqual(seen, [])
      assert.throws(() => session.pause(), { code: 'ERR_SESSION_NOT_ALIVE' })
    })
  }

  test('works after a failed one, once the reason is gone', async (t) => {
    const w = world(t)
    const session = w.session({ workDir: join(w.dir, 'later') })
    assert.throws(() => session.start(), { code: 'ERR_WORKDIR' })
    mkdirSync(session.workDir)
    session.start()
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
  })

  test('runs a program with blanks in its path, through a symbolic link', async (t) => {
    const w = world(t)
    const dir = mkdtempSync(join(tmpdir(), 'a b '))
    t.after(() => rmSync(dir, { recursive: true }))
    const link = join(dir, 'my claude')
    symlinkSync(new URL('../../testing/claude-stand-in.js', import.meta.url).pathname, link)
    assert.equal((await started(w, { claudePath: link }).send('hi')).text, 'echo(2): hi')
  })

  test('finds a name on the PATH of the child’s environment', async (t) => {
    const w = world(t)
    const bin = join(w.dir, 'bin')
    mkdirSync(bin)
    symlinkSync(new URL('../../testing/claude-stand-in.js', import.meta.url).pathname, join(bin, 'my-claude'))
    const session = started(w, { claudePath: 'my-claude', env: { PATH: `${bin}:${process.env.PATH}` } })
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
  })
})

describe('what is visible', () => {
  test('initData and id follow every init, also a /clear', async (t) => {
    const session = started(world(t))
    assert.equal(session.initData, null)
    const first = await session.send('one')
    const { initData, id } = session
    assert.equal(first.sessionId, id)
    assert.equal(initData.session_id, id)
    await session.send('/clear')
    assert.notEqual(session.id, id)
    assert.equal(session.initData.session_id, session.id)
    assert.notEqual(session.initData.uuid, initData.uuid)
    assert.equal((await session.send('two')).sessionId, session.id)
  })

  test('interactions is the same array for ever, and it grows', async (t) => {
    const session = started(world(t))
    const { interactions } = session
    await session.send('one')
    await session.send('two')
    session.stop()
    await session.closed
    assert.equal(session.interactions, interactions)
    assert.deepEqual(
      interactions.map(({ prompt }) => prompt),
      ['one', 'two'],
    )
  })

  test('interactions, totalCostUsd and totalTurns can be assigned; later turns go on from there', async (t) => {
    const session = started(world(t))
    const history = [{ prompt: 'old', response: 'older', cost: 1, turns: 2, duration: 3, timestamp: 'x' }]
    session.interactions = history
    session.totalCostUsd = 1
    session.totalTurns = 2
    await session.send('new')
    assert.equal(session.interactions, history)
    assert.deepEqual(
      history.map(({ prompt }) => prompt),
      ['old', 'new'],
    )
    assertMoney(session.totalCostUsd, 1 + PRICE)
    assert.equal(session.totalTurns, 3)
  })

  test('toJSON() is a snapshot of its own', async (t) => {
    const w = world(t)
    const session = started(w, { tags: ['x'], allowedTools: ['Read'], model: 'haiku', maxBudget: 3, timeout: 5000 })
    await session.send('one')
    const snapshot = session.toJSON()
    const { interactions, pid, totalCostUsd, created, ...rest } = snapshot
    assert.deepEqual(rest, {
      name: 'solo',
      id: session.id,
      claudeSessionId: session.id,
      status: 'ready',
      model: 'haiku',
      workDir: process.cwd(),
      permissionMode: 'default',
      allowedTools: ['Read'],
      systemPrompt: '',
      maxBudget: 3,
      agent: null,
      totalTurns: 1,
      interactionCount: 1,
      timeout: 5000,
      tags: ['x'],
    })
    assert.equal(pid, session.pid)
    assertMoney(totalCostUsd, PRICE)
    assert.equal(new Date(created).toISOString(), created)
    assert.deepEqual(interactions, session.interactions)
    assert.deepEqual(JSON.parse(JSON.stringify(session)), JSON.parse(JSON.stringify(snapshot)))
    // Neither follows the other.
    snapshot.allowedTools.push('Bash')
    snapshot.tags.length = 0
    snapshot.interactions[0].prompt = 'changed'
    snapshot.interactions.push('more')
    assert.deepEqual([session.allowedTools, session.tags, session.interactions.length], [['Read'], ['x'], 1])
    assert.equal(session.interactions[0].prompt, 'one')
    const second = session.toJSON()
    await session.send('two')
    assert.deepEqual([second.interactionCount, second.interactions.length, second.totalTurns], [1, 1, 1])
  })

  test('nothing changes between two statements of synchronous code', async (t) => {
    const session = started(world(t))
    await session.send('warm')
    const answer = session.send('stand-in: then exit 3; text bye')
    const seen = record(session)
    const before = JSON.stringify(session)
    block(300)
    assert.equal(session.status, 'busy')
    assert.equal(JSON.stringify(session), before)
    assert.deepEqual(seen, [])
    assert.equal((await answer).text, 'bye')
    assert.deepEqual(await session.closed, { code: 3, signal: null })
    assert.equal(session.status, 'failed')
  })
})

describe('methods out of season', () => {
  const notAlive = {
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "solo" is not alive. Use resume() to restore it.',
  }

  const assertDead = async (session) => {
    const answer = session.send('hello')
    assert.ok(answer instanceof Promise)
    await assert.rejects(answer, notAlive)
    assert.throws(() => session.pause(), notAlive)
    assert.throws(() => session.resume(), notAlive)
    assert.equal(session.stop(), undefined)
    assert.equal(session.kill(), undefined)
  }

  test('before the start: send rejects, pause and resume throw, stop and kill do nothing', async (t) => {
    const session = world(t).session()
    await assertDead(session)
    assert.equal(session.toJSON().status, session.status)
    assert.deepEqual(session.toJSON().interactions, [])
  })

  test('after the end: the same, and the status stays', async (t) => {
    const session = started(world(t))
    await session.send('hello')
    session.stop()
    await session.closed
    await assertDead(session)
    assert.equal(session.status, 'stopped')
    assert.equal(session.toJSON().interactionCount, 1)
    assert.deepEqual(await session.closed, { code: 0, signal: null })
  })

  test('while a stop is under way: the same', async (t) => {
    const session = started(world(t))
    const answer = session.send('stand-in: slow 50 last')
    session.stop()
    await assert.rejects(session.send('more'), notAlive)
    assert.throws(() => session.pause(), notAlive)
    assert.throws(() => session.resume(), notAlive)
    assert.equal((await answer).text, 'echo(2): last')
    assert.equal(session.status, 'stopped')
  })

  test('in a close listener the session is over', async (t) => {
    const session = started(world(t))
    const tried = new Promise((resolve) => {
      session.on('close', () => resolve(assertDead(session)))
    })
    session.kill()
    await tried
  })
})
