/** What is told of sessions whose program was killed, at every moment of a turn, and how they go on. */

import assert from 'node:assert/strict'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInEnv } from '../../testing/index.js'
import { readLog } from '../support/events.mjs'
import { hostWorld } from '../support/hosts.mjs'
import { isAlive, until } from '../support/sessions.mjs'

const recalled = async (mgr, name) => (await mgr.send(name, 'recall')).text

/**
 * A program that has said `one` to a session `a` and sends it `messages` all at once; killed when `moment(log)` holds for
 * the log of the stand-in. Resolves with the id of the conversation.
 */
async function lose(w, messages, moment, { first = 'one', env = {} } = {}) {
  const log = join(w.dir, 'lost.log')
  const host = w.start(
    async ({ manager, say }, prompt, rest) => {
      const mgr = manager()
      await mgr.spawn('a', { prompt })
      for (const message of rest) mgr.send('a', message).catch(() => {})
      say(mgr.status('a').pid)
      setInterval(() => {}, 1000)
    },
    { args: [first, messages], env: { ...standInEnv({ log }), ...env } },
  )
  const pid = await host.said()
  await until(() => moment(readLog(log)), 'the moment of the kill')
  host.kill('SIGKILL')
  await host.closed
  return { pid, log }
}

const received = (text) => (log) => log.some(({ event, raw }) => event === 'message' && raw.message.content === text)

/** What a host has said of its messages is in the journal a moment after the call, and before its CLI has it. */
const journaled = (w, text) => () => {
  const file = join(w.dataDir, 'sessions.journal')
  return existsSync(file) && readFileSync(file, 'utf8').includes(text)
}

const withoutIds = ({ name, verdict, lastPrompt, response, messages }) => ({
  name,
  verdict,
  lastPrompt,
  response: response?.text,
  messages: messages.map((message) => [message.prompt, message.verdict]),
})

test('idle: nothing was in flight', async (t) => {
  const w = hostWorld(t)
  const { pid } = await lose(w, [], (log) => log.length > 0)
  const mgr = w.manager()
  const [lost, ...others] = await mgr.recover()
  assert.deepEqual(others, [])
  const { claudeSessionId } = mgr.status('a')
  assert.deepEqual(lost, { name: 'a', verdict: 'idle', lastPrompt: 'one', claudeSessionId, messages: [] })
  assert.ok(!isAlive(pid))
  const [resumed] = await mgr.recover({ resume: true })
  assert.equal(resumed.session.status, 'ready')
  assert.equal(await recalled(mgr, 'a'), 'one')
  assert.deepEqual(await mgr.recover(), [])
})

test('unanswered: the CLI had read it; what waited in line behind it was not sent', async (t) => {
  const w = hostWorld(t)
  const silent = 'stand-in: silent'
  const both = (log) => received(silent)(log) && journaled(w, '"prompt":"three"')()
  await lose(w, [silent, 'two', 'three'], both)
  const mgr = w.manager()
  const [lost] = await mgr.recover()
  assert.deepEqual(withoutIds(lost), {
    ...{ name: 'a', verdict: 'unanswered', lastPrompt: silent, response: undefined },
    messages: [
      [silent, 'unanswered'],
      ['two', 'unsent'],
      ['three', 'unsent'],
    ],
  })
  assert.deepEqual(await mgr.recover(), [lost])
  assert.equal(mgr.history('a').length, 1)

  const [resumed] = await mgr.recover({ resume: true, resend: true })
  assert.equal(resumed.error.code, 'ERR_NOT_RESENT')
  assert.deepEqual(
    resumed.messages.map(({ response, error }) => response?.text ?? error.code),
    ['ERR_NOT_RESENT', 'echo(4): two', 'echo(6): three'],
  )
  assert.equal(await recalled(mgr, 'a'), `one | ${silent} | two | three`)
  assert.deepEqual(
    mgr.history('a').map(({ prompt }) => prompt),
    ['one', 'two', 'three', 'recall'],
  )
})

test('unsent: the CLI had not read it; sent again, it has its old uuid', async (t) => {
  const w = hostWorld(t)
  // It reads no more after the first turn.
  const deaf = 'stand-in: then no-read; text deaf'
  await lose(w, ['two'], journaled(w, '"prompt":"two"'), { first: deaf })
  const mgr = w.manager()
  const [lost] = await mgr.recover()
  assert.deepEqual(withoutIds(lost), {
    ...{ name: 'a', verdict: 'unsent', lastPrompt: 'two', response: undefined, messages: [['two', 'unsent']] },
  })
  const [{ uuid }] = lost.messages
  const log = join(w.dir, 'again.log')
  const next = w.manager({ env: standInEnv({ log }) })
  const [resumed] = await next.recover({ resume: true, resend: true })
  assert.equal(resumed.response.text, 'echo(4): two')
  const sent = readLog(log).filter(({ event }) => event === 'message')
  assert.deepEqual(
    sent.map(({ raw }) => [raw.uuid, raw.message.content]),
    [[uuid, 'two']],
  )
})

test('answered: the transcript has what nobody heard, and the history gets it', async (t) => {
  const w = hostWorld(t)
  const late = 'stand-in: late-result 20000; text the answer'
  const saved = () => transcript(w).includes('the answer"}]')
  await lose(w, [late, 'two'], () => saved() && journaled(w, '"prompt":"two"')())
  const mgr = w.manager()
  const [lost] = await mgr.recover()
  assert.deepEqual(withoutIds(lost), {
    ...{ name: 'a', verdict: 'unsent', lastPrompt: 'two', response: undefined },
    messages: [
      [late, 'answered'],
      ['two', 'unsent'],
    ],
  })
  assert.equal(lost.messages[0].response.text, 'the answer')
  assert.equal(lost.messages[0].response.recovered, true)
  assert.equal(mgr.history('a').length, 1)
  await mgr.recover({ resume: true })
  const { prompt, response, costEstimated, recovered } = mgr.lastOutput('a')
  assert.deepEqual(
    { prompt, response, costEstimated, recovered },
    { prompt: late, response: 'the answer', costEstimated: true, recovered: true },
  )
  assert.equal(w.readStore().a.interactions.length, 2)
  assert.equal(await recalled(mgr, 'a'), `one | ${late}`)
})

function transcript(w) {
  return readTree(join(w.dir, 'claude')).join('\n')
}

test('a host that is killed at the result, and one killed in its first turn, lose nothing', async (t) => {
  const w = hostWorld(t)
  const late = 'stand-in: late-result 20000; text the answer'
  await lose(w, [late], () => transcript(w).includes('the answer"}]'), { first: null })
  const mgr = w.manager()
  const [lost] = await mgr.recover()
  assert.equal(mgr.status('a').claudeSessionId, null)
  assert.match(lost.claudeSessionId, /^[0-9a-f-]{36}$/)
  assert.deepEqual([lost.verdict, lost.response.text], ['answered', 'the answer'])
  const [resumed] = await mgr.recover({ resume: true, resend: true })
  assert.equal(resumed.response.text, 'the answer')
  assert.equal(await recalled(mgr, 'a'), late)
  assert.equal(mgr.sessions.get('a').id, lost.claudeSessionId)
})

test('a session that never had a message reach its CLI begins its conversation under the id it was given', async (t) => {
  const w = hostWorld(t)
  const { log } = await lose(w, ['first'], (seen) => seen.length > 0 && journaled(w, '"prompt":"first"')(), {
    first: null,
    env: standInEnv({ start: 'slow:20000' }),
  })
  const mgr = w.manager()
  const [lost] = await mgr.recover()
  assert.deepEqual([lost.verdict, lost.lastPrompt], ['unsent', 'first'])
  const [{ argv }] = readLog(log)
  assert.equal(argv.at(-1), lost.claudeSessionId)
  const [resumed] = await mgr.recover({ resume: true, resend: true })
  assert.equal(resumed.response.text, 'echo(2): first')
  assert.equal(mgr.sessions.get('a').id, lost.claudeSessionId)
})

test('blocks are sent again as they were; of a message that is too long the beginning is told', async (t) => {
  const w = hostWorld(t)
  const blocks = [
    { type: 'text', text: 'stand-in: received' },
    { type: 'text', text: ' ' },
  ]
  const long = 'x'.repeat(100_000)
  // A silent one that the CLI had not read would be sent again, and never answered.
  const both = (log) => received('stand-in: silent')(log) && journaled(w, '"cut":true')()
  await lose(w, ['stand-in: silent', blocks, long], both)
  const mgr = w.manager()
  const [resumed] = await mgr.recover({ resume: true, resend: true })
  const [, answered, refused] = resumed.messages
  assert.deepEqual(JSON.parse(answered.response.text).message.content, blocks)
  assert.equal(refused.error.code, 'ERR_NOT_RESENT')
  assert.equal(refused.prompt, 'x'.repeat(1024))
})

test('what this program has, what ended in order and what was killed is not told', async (t) => {
  const w = hostWorld(t)
  await lose(w, ['stand-in: silent'], received('stand-in: silent'))
  const mgr = w.manager()
  await mgr.spawn('mine', { prompt: 'x' })
  await mgr.spawn('stopped', { prompt: 'x' })
  mgr.stop('stopped')
  assert.deepEqual(
    (await mgr.recover()).map(({ name }) => name),
    ['a'],
  )
  mgr.kill('a')
  assert.deepEqual(await mgr.recover({ resume: true }), [])
})

test('a program that exits in mid-turn leaves a message that is told', async (t) => {
  const w = hostWorld(t)
  const host = w.host(async ({ manager, say }) => {
    const mgr = manager()
    await mgr.spawn('a', { prompt: 'one' })
    mgr.send('a', 'stand-in: silent').catch(() => {})
    mgr.sessions.get('a').once('init', () => process.exit())
    say('on')
  })
  await host.closed
  const mgr = w.manager()
  assert.equal(mgr.status('a').status, 'stopped')
  const [lost] = await mgr.recover()
  // The CLI is interrupted, and now and then its last word is still heard.
  const told = lost ?? { verdict: 'unanswered', lastPrompt: mgr.lastOutput('a').prompt }
  assert.deepEqual([told.verdict, told.lastPrompt], ['unanswered', 'stand-in: silent'])
})

test('one that cannot go on is told with its error, the others go on', async (t) => {
  const w = hostWorld(t)
  const host = w.host(async ({ manager, say, heard }) => {
    const mgr = manager()
    for (const name of ['a', 'b']) await mgr.spawn(name, { prompt: 'one' })
    say('on')
    await heard()
  })
  await host.said()
  host.kill('SIGKILL')
  await host.closed
  const mgr = w.manager()
  const record = mgr.store.get('a')
  mgr.store.set('a', { ...record, status: 'ready', workDir: join(w.dir, 'gone') })
  const [a, b] = await mgr.recover({ resume: true })
  assert.deepEqual([a.name, a.error.code, b.name, b.session.status], ['a', 'ERR_WORKDIR', 'b', 'ready'])
})

test('of two programs that recover at once one goes on, and the answer is in the history once', async (t) => {
  const w = hostWorld(t)
  const late = 'stand-in: late-result 20000; text the answer'
  await lose(w, [late], () => transcript(w).includes('the answer"}]'))
  const hosts = [0, 1].map(() =>
    w.host(async ({ manager, heard, say }) => {
      const mgr = manager()
      say('ready')
      await heard()
      const [found] = await mgr.recover({ resume: true })
      say(found?.session ? 'on' : (found?.error.code ?? 'nothing'))
      await heard()
      await mgr.close()
    }),
  )
  for (const host of hosts) await host.said()
  for (const host of hosts) host.tell('go')
  const outcomes = [await hosts[0].said(), await hosts[1].said()]
  assert.equal(outcomes.filter((outcome) => outcome === 'on').length, 1, outcomes.join())
  for (const host of hosts) host.tell('end')
  await Promise.all(hosts.map((host) => host.finished()))
  assert.deepEqual(
    w.readStore().a.interactions.map(({ response }) => response),
    ['echo(2): one', 'the answer'],
  )
})

test('wrong options are refused', async (t) => {
  const mgr = hostWorld(t).manager()
  await assert.rejects(mgr.recover({ resume: 'yes' }), { code: 'ERR_INVALID_ARG_TYPE' })
  await assert.rejects(mgr.recover({ resend: true }), { code: 'ERR_INVALID_ARG_VALUE' })
  await assert.rejects(mgr.recover(7), { code: 'ERR_INVALID_ARG_TYPE' })
})

test('the messages without an answer are in the journal before the CLI has them, and go with their turns', async (t) => {
  const w = hostWorld(t)
  const mgr = w.manager()
  await mgr.spawn('a')
  const pending = () => mgr.store.get('a').pending ?? []
  const slow = 'stand-in: slow 500'
  const sends = ['stand-in: received', slow, 'three'].map((message) => mgr.send('a', message))
  await until(() => pending().length === 3, 'all three are there')
  const [first] = pending()
  assert.equal(JSON.parse((await sends[0]).text).uuid, first.uuid)
  assert.deepEqual(
    pending().map(({ prompt }) => prompt),
    [slow, 'three'],
  )
  await Promise.all(sends)
  assert.deepEqual(pending(), [])
  const many = Array.from({ length: 100 }, (_, index) => mgr.send('a', `${index} ${'y'.repeat(10_000)}`))
  await until(() => pending().length > 3, 'they are there')
  assert.ok(JSON.stringify(pending()).length < 80_000)
  mgr.stop('a')
  await Promise.allSettled(many)
  await mgr.close()
  assert.deepEqual(pending(), [])
})

function readTree(dir) {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name), 'utf8'))
}
