/** The life of a StreamSession: pause, timeouts, stop, kill, and ends that nobody asked for. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'

import { messagesIn, namesOf, record } from '../support/events.mjs'
import { isAlive, reached, until, world } from '../support/sessions.mjs'
import { PRICE, assertMoney, logged, started } from '../support/solo-sessions.mjs'

describe('pause and resume', () => {
  test('mark an idle session; send takes the mark away', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status'])
    session.pause()
    assert.equal(session.status, 'paused')
    assert.ok(isAlive(session.pid))
    session.pause()
    session.resume()
    assert.equal(session.status, 'ready')
    session.resume()
    session.pause()
    assert.equal((await session.send('hi')).text, 'echo(2): hi')
    assert.equal(session.status, 'ready')
    assert.deepEqual(
      seen.map(([, now, before]) => `${before} ${now}`),
      ['ready paused', 'paused ready', 'ready paused', 'paused busy', 'busy ready'],
    )
  })

  test('a turn in flight finishes, what waits stays until resume()', async (t) => {
    const w = world(t)
    const { options, log } = logged(w)
    const session = started(w, options)
    const first = session.send('stand-in: slow 40 first')
    const second = session.send('second')
    session.pause()
    assert.equal((await first).text, 'echo(2): first')
    assert.equal(session.status, 'paused')
    assert.deepEqual(messagesIn(log()), ['stand-in: slow 40 first'])
    const resumedAt = Date.now()
    session.resume()
    assert.equal(session.status, 'busy')
    assert.equal((await second).text, 'echo(4): second')
    assert.ok(log().findLast(({ event }) => event === 'message').at >= resumedAt)
  })

  test('a send to a paused session is answered after what waited before', async (t) => {
    const session = started(world(t))
    const first = session.send('stand-in: slow 30 a')
    const second = session.send('b')
    session.pause()
    await first
    const third = session.send('c')
    assert.deepEqual([(await second).text, (await third).text], ['echo(4): b', 'echo(6): c'])
  })

  test('messages that wait in a paused session still have their timeout', async (t) => {
    const session = started(world(t))
    const first = session.send('stand-in: slow 20 a')
    const second = assert.rejects(session.send('b', 150), {
      code: 'ERR_TURN_TIMEOUT',
      sent: false,
      stillRunning: false,
    })
    session.pause()
    await first
    await second
    assert.equal(session.status, 'paused')
  })
})

describe('timeouts', () => {
  test('a message that was sent goes on: its late answer is history and event, and nobody’s promise', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['result'])
    await assert.rejects(session.send('stand-in: slow 200 late one', 40), {
      code: 'ERR_TURN_TIMEOUT',
      message: 'Session "solo" did not answer within 40 ms',
      sent: true,
      stillRunning: true,
    })
    assert.equal(session.status, 'busy')
    const next = await session.send('next')
    assert.equal(next.text, 'echo(4): next')
    assert.equal(session.interactions.length, 2)
    const [late, own] = session.interactions
    assert.deepEqual(
      [late.response, late.prompt, late.late],
      ['echo(2): late one', 'stand-in: slow 200 late one', true],
    )
    assert.ok(!('late' in own))
    assert.equal(seen.length, 2)
    assert.equal(seen[0][2], late)
    assertMoney(session.totalCostUsd, 2 * PRICE)
  })

  test('a message in line is withdrawn and never reaches the CLI', async (t) => {
    const w = world(t)
    const { options, log } = logged(w)
    const session = started(w, options)
    const first = session.send('stand-in: slow 150 first')
    await assert.rejects(session.send('never', 30), { code: 'ERR_TURN_TIMEOUT', sent: false, stillRunning: false })
    await first
    await session.send('after')
    assert.deepEqual(messagesIn(log()), ['stand-in: slow 150 first', 'after'])
    assert.equal(session.interactions.length, 2)
  })

  test('the session’s timeout counts where the call gives none, and can be changed', async (t) => {
    const session = started(world(t), { timeout: 30 })
    await assert.rejects(session.send('stand-in: slow 100'), { code: 'ERR_TURN_TIMEOUT', message: /within 30 ms$/ })
    assert.equal((await session.send('stand-in: slow 60 enough', 5000)).text, 'echo(4): enough')
    session.timeout = 5000
    assert.equal((await session.send('stand-in: slow 60 now')).text, 'echo(6): now')
  })
})

describe('stop()', () => {
  test('lets the turn in flight finish, rejects what waits, and is done once', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status', 'error', 'close'])
    const first = session.send('stand-in: slow 60 still')
    const second = session.send('never')
    session.stop()
    assert.equal(session.status, 'stopped')
    await assert.rejects(second, {
      code: 'ERR_SESSION_STOPPED',
      message: 'Session "solo" was stopped before this message was sent',
    })
    session.stop()
    assert.equal((await first).text, 'echo(2): still')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    session.stop()
    assert.equal(session.interactions.length, 1)
    assert.deepEqual(
      seen.map((event) => event.join(' ')),
      ['status busy ready', 'status stopped busy', 'close 0 '],
    )
  })

  test('rejects what waits in a paused session', async (t) => {
    const session = started(world(t))
    session.pause()
    session.send('stand-in: slow 20').catch(() => {})
    session.pause()
    const waiting = assert.rejects(session.send('in line'), { code: 'ERR_SESSION_STOPPED' })
    session.pause()
    session.stop()
    await waiting
    await session.closed
    assert.equal(session.status, 'stopped')
  })

  test('climbs from end of input to SIGINT to SIGKILL, in the times given', async (t) => {
    const w = world(t)
    const { options, log } = logged(w)
    const session = started(w, { ...options, stopTimeout: 60, killTimeout: 60 })
    await session.send('stand-in: ignore-signals; text deaf')
    session.stop()
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(session.status, 'stopped')
    const [eof, signal] = log().filter(({ event }) => event === 'eof' || event === 'signal')
    assert.deepEqual([eof.event, signal.signal], ['eof', 'SIGINT'])
    assert.ok(signal.at - eof.at >= 30, `${signal.at - eof.at} ms from end of input to SIGINT`)
  })

  test('an exit code 1 after an error result is no failure', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['error'])
    await session.send('stand-in: error execution')
    session.stop()
    assert.deepEqual(await session.closed, { code: 1, signal: null })
    assert.equal(session.status, 'stopped')
    assert.deepEqual(seen, [])
  })
})

describe('kill()', () => {
  test('in a listener: close is the last event all the same, and comes once', async (t) => {
    const session = started(world(t))
    const seen = record(session)
    session.once('text', () => session.kill())
    await assert.rejects(session.send('stand-in: stream 5 x; silent'), { code: 'ERR_SESSION_KILLED' })
    await session.closed
    assert.equal(seen.at(-1)[0], 'close')
    assert.equal(namesOf(seen).filter((name) => name === 'close').length, 1)
    assert.equal(session.status, 'killed')
  })

  test('ends the process at once and rejects what was in flight and in line', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status', 'error', 'close'])
    const waiting = [session.send('stand-in: silent'), session.send('in line')]
    const rejected = Promise.all(
      waiting.map((answer) =>
        assert.rejects(answer, {
          code: 'ERR_SESSION_KILLED',
          message: 'Session "solo" was killed before this message was answered',
        }),
      ),
    )
    await reached(session, 'busy')
    session.kill()
    assert.equal(session.status, 'killed')
    await rejected
    session.kill()
    session.stop()
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(session.status, 'killed')
    assert.equal(session.interactions.length, 0)
    assert.deepEqual(
      seen.map((event) => event.join(' ')),
      ['status busy ready', 'status killed busy', 'close  SIGKILL'],
    )
  })

  test('ends all that the process has started, also what is no child of it any more', async (t) => {
    const session = started(world(t))
    const pids = [
      ...JSON.parse((await session.send('stand-in: spawn-children 2')).text),
      ...JSON.parse((await session.send('stand-in: spawn-orphans 2')).text),
    ]
    assert.equal(pids.filter(isAlive).length, 4)
    session.kill()
    await session.closed
    await until(() => !pids.some(isAlive), 'no descendant left')
  })

  test('ends a session that is being stopped', async (t) => {
    const session = started(world(t))
    const answer = session.send('stand-in: silent')
    await once(session, 'init')
    session.stop()
    session.kill()
    assert.equal(session.status, 'killed')
    await assert.rejects(answer, { code: 'ERR_SESSION_KILLED' })
    assert.equal((await session.closed).signal, 'SIGKILL')
  })
})

describe('ends that nobody asked for', () => {
  for (const [what, message, end] of [
    ['exits in mid-turn', 'stand-in: exit 3', { code: 3, signal: null }],
    ['is killed in mid-turn', 'stand-in: crash', { code: null, signal: 'SIGKILL' }],
    ['is killed before its init', 'stand-in: crash-before-init', { code: null, signal: 'SIGKILL' }],
    ['leaves half a result behind', 'stand-in: half-line', { code: 0, signal: null }],
  ]) {
    test(`a process that ${what} rejects the turn and tells of it as error, then close`, async (t) => {
      const session = started(world(t))
      const seen = record(session, ['status', 'error', 'close'])
      const expected = { code: 'ERR_PROCESS_EXITED', exitCode: end.code, signal: end.signal, name: 'Error' }
      await Promise.all([message, 'in line'].map((words) => assert.rejects(session.send(words), expected)))
      assert.deepEqual(await session.closed, end)
      assert.equal(session.status, 'failed')
      assert.deepEqual(namesOf(seen), ['status', 'status', 'error', 'close'])
      assert.deepEqual(seen[1].slice(1), ['failed', 'busy'])
      assert.equal(seen[2][1].code, 'ERR_PROCESS_EXITED')
      assert.deepEqual(seen[3].slice(1), [end.code, end.signal])
      // What was seen of the turn is booked as an estimate, and nothing is invented.
      const invented = session.interactions.filter((turn) => turn.response !== '' || turn.costEstimated !== true)
      assert.deepEqual(invented, [])
    })
  }

  test('the error carries the last 8 KiB of stderr, the message its last line', async (t) => {
    const session = started(world(t))
    const error = await session.send('stand-in: stderr 0.125; exit 4').catch((reason) => reason)
    assert.equal(error.exitCode, 4)
    assert.match(error.stderr, /stand-in: leaving with code 4\n?$/)
    assert.ok(Buffer.byteLength(error.stderr) <= 8192 && Buffer.byteLength(error.stderr) > 7000)
    assert.equal(
      error.message,
      'Session "solo" ended before it answered: its process exited with code 4: stand-in: leaving with code 4',
    )
  })

  test('an error without a listener does not end the program', async (t) => {
    const session = started(world(t))
    process.kill(session.pid, 'SIGKILL')
    assert.deepEqual(await session.closed, { code: null, signal: 'SIGKILL' })
    assert.equal(session.status, 'failed')
  })

  test('an idle process that ends by itself with code 0 is stopped, no error', async (t) => {
    const session = started(world(t))
    const seen = record(session, ['status', 'error', 'close'])
    await session.send('stand-in: then exit 0; text bye')
    assert.deepEqual(await session.closed, { code: 0, signal: null })
    assert.deepEqual(
      seen.slice(-2).map(([name, first]) => `${name} ${first}`),
      ['status stopped', 'close 0'],
    )
  })

  test('a conversation that the CLI does not know fails the start', async (t) => {
    const w = world(t)
    const session = w.session({ sessionId: '00000000-0000-4000-8000-000000000000' })
    const seen = record(session, ['error', 'close'])
    session.start()
    const answer = session.send('hello')
    await assert.rejects(answer, {
      code: 'ERR_START_FAILED',
      message: /^Session "solo" failed to start: .*No conversation found/,
    })
    assert.deepEqual(await session.closed, { code: 1, signal: null })
    assert.equal(session.status, 'failed')
    assert.deepEqual(namesOf(seen), ['error', 'close'])
    assert.equal(seen[0][1].code, 'ERR_START_FAILED')
    assert.deepEqual(session.interactions, [])
  })

  test('a CLI that closes its output and lives on is ended, and the turn rejected', async (t) => {
    const session = started(world(t), { stopTimeout: 100, killTimeout: 100 })
    await assert.rejects(session.send('stand-in: close-stdout; silent', 20_000), { code: 'ERR_PROCESS_EXITED' })
    await session.closed
    assert.equal(session.status, 'failed')
  })

  test('a CLI that reads no more does not hold up a timeout or a kill', async (t) => {
    const session = started(world(t))
    await session.send('stand-in: no-read; text deaf')
    // More than a pipe holds.
    const big = session.send('x'.repeat(1_000_000), 200)
    await assert.rejects(big, { code: 'ERR_TURN_TIMEOUT' })
    const next = assert.rejects(session.send('more'), { code: 'ERR_SESSION_KILLED' })
    session.kill()
    await next
    assert.equal((await session.closed).signal, 'SIGKILL')
  })

  test('a process whose child holds the pipe still closes', async (t) => {
    const session = started(world(t), { allowedTools: ['Bash'] })
    // The sleep has no pipe of the stand-in's, but the stand-in is gone while it lives.
    const [pid] = JSON.parse((await session.send('stand-in: spawn-orphans 1')).text)
    process.kill(session.pid, 'SIGKILL')
    await session.closed
    process.kill(pid, 'SIGKILL')
  })
})
