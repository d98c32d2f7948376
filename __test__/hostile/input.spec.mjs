/** What callers may pass on from people they do not trust: a typed error or plain text, and nothing outside dataDir. */

import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'

import { SessionManager } from '../../index.js'
import { quickCli } from '../support/schedules.mjs'
import { until, world } from '../support/sessions.mjs'

const MIB = 1 << 20

/** Odd texts that are no less texts. */
const ODD = {
  'control characters': '\u0001\u0007\u001b[31m\r\n\t\u007f\u0085\u2028',
  'a path upward': '../../../escape',
  'an absolute path': '/tmp/clearctx-escape',
  'a Windows path': '..\\..\\C:\\x:y',
  'a device': 'con',
  dots: '..',
  'an option': '--dangerously-skip-permissions',
  'an end of options': '--',
  'a property of objects': '__proto__',
  'another property': 'constructor',
  'the name of a file of the store': 'sessions.journal',
  quotes: `"'\`$(touch escaped);{}`,
  'a format': '%s%n%x {0}',
  'right to left': '\u202egnp.exe\u202c',
  'a combining heap': 'a\u0301'.repeat(1000),
  'no letters': ' ',
  emoji: '👨‍👩‍👧‍👦',
  'a line of the journal': '"}\n{"seq":99,"changes":[{"delete":["a"]}]}\n',
  'a mebibyte': 'x'.repeat(MIB),
}

/** A world in which everything outside of the data directory is watched. */
function fenced(t) {
  const w = world(t)
  const outer = join(w.dir, 'outer')
  const data = join(outer, 'data')
  mkdirSync(outer)
  const log = join(w.dir, 'received.log')
  const open = () => w.manager({ dataDir: data, claudePath: quickCli, env: { CLEARCTX_QUICK_LOG: log } })
  const tree = (dir) => readdirSync(dir, { recursive: true }).filter((file) => !file.startsWith('data'))
  const isDraft = (file) => /^sessions\.(json|journal)\.tmp-/.test(file)
  const assertNothingOutside = async () => {
    // A file that is being written has a name of its own until it takes its place.
    await until(() => !readdirSync(data).some(isDraft), 'nothing is being written')
    assert.deepEqual(tree(outer), [])
    const inside = readdirSync(data).toSorted()
    assert.deepEqual(
      inside.filter((file) => !/^(hosts|sessions\.(json|journal|lock))$/.test(file)),
      [],
    )
    assert.deepEqual(
      readdirSync(w.dir).filter((file) => !['outer', 'received.log', 'claude', 'data'].includes(file)),
      [],
    )
  }
  return { w, open, log, assertNothingOutside }
}

describe('names', { concurrency: 4 }, () => {
  for (const [what, text] of Object.entries(ODD)) {
    test(`a name that is ${what}`, async (t) => {
      const { open, assertNothingOutside } = fenced(t)
      const m = open()
      await m.spawn(text, { prompt: 'answer', tags: [text] })
      assert.equal(m.status(text).name, text)
      assert.equal(m.history(text).length, 1)
      m.pause(text)
      await m.send(text, 'answer again')
      m.stop(text)
      await m.close()
      const next = open()
      assert.deepEqual(
        next.list().map(({ name, tags, totalTurns }) => ({ name, tags, totalTurns })),
        [{ name: text, tags: [text], totalTurns: 2 }],
      )
      await next.resume(text, 'answer more')
      await assertNothingOutside()
      next.delete(text)
      await next.close()
      assert.deepEqual(open().list(), [])
      await assertNothingOutside()
    })
  }
})

test('odd texts in every option reach the CLI as values, or are refused', async (t) => {
  const { open, w, assertNothingOutside } = fenced(t)
  const m = open()
  const argv = join(w.dir, 'received.log')
  const program = join(w.dir, 'claude', 'argv.sh')
  mkdirSync(dirname(program))
  // Each argument on a line of its own, as JSON would be too much for a shell.
  writeFileSync(program, `#!/bin/sh\nfor a in "$@"; do printf '%s\\0' "$a" >>'${argv}'; done\ncat >/dev/null\n`, {
    mode: 0o755,
  })
  const known =
    /^(-p|--(input-format|output-format|verbose|model|permission-mode|allowed-?[tT]ools|append-system-prompt(-file)?|max-budget-usd|agent|resume|session-id)(=.*)?)$/s
  for (const [what, text] of Object.entries(ODD)) {
    writeFileSync(argv, '')
    const bad = w.manager({ dataDir: join(w.dir, 'outer', 'data'), claudePath: program })
    const options = { model: text, permissionMode: text, allowedTools: [text], systemPrompt: text, agent: text }
    const started = await bad.spawn('odd', options).then(
      () => null,
      (error) => error,
    )
    if (started === null) {
      m.kill('odd')
      bad.kill('odd')
      await bad.close()
      const given = readFileSync(argv, 'utf8')
      assert.equal(
        given.split('\0').filter((arg) => arg.startsWith('--') && !known.test(arg) && arg !== text).length,
        0,
        what,
      )
    } else {
      assert.ok(['ERR_START_FAILED', 'ERR_INVALID_ARG_VALUE'].includes(started.code), `${what}: ${started.stack}`)
      assert.deepEqual(m.list(), [], what)
    }
    m.delete('odd')
    await bad.close()
  }
  await assertNothingOutside()
})

test('a null character and lone surrogates are refused in names, before anything is there', async (t) => {
  const { open } = fenced(t)
  const m = open()
  for (const name of ['a\0b', '\ud800', 'x\udc00']) {
    await assert.rejects(m.spawn(name), { code: 'ERR_INVALID_ARG_VALUE' })
    await assert.rejects(m.resume(name), { code: 'ERR_INVALID_ARG_VALUE' })
    await assert.rejects(m.fork('a', name), { code: 'ERR_INVALID_ARG_VALUE' })
    assert.throws(() => m.store.set(name, {}), { code: 'ERR_INVALID_ARG_VALUE' })
  }
  assert.deepEqual(m.list(), [])
})

test('odd texts as messages come as they are, one line each', async (t) => {
  const w = world(t)
  const m = w.manager()
  await m.spawn('a')
  const odd = { ...ODD, 'a null character': 'a\0b', 'a lone surrogate': 'x\ud800y' }
  for (const [what, text] of Object.entries(odd)) {
    const answer = await m.send('a', text)
    assert.ok(answer.text.endsWith(`: ${text.toWellFormed()}`) && !answer.isError, what)
  }
  m.stop('a')
  await m.close()
  const prompts = w
    .manager()
    .history('a')
    .map(({ prompt }) => prompt)
  assert.deepEqual(prompts, Object.values(odd))
})

test('odd directories and programs are refused with words', async (t) => {
  const { open, w } = fenced(t)
  const m = open()
  for (const text of Object.values(ODD).filter((odd) => !['..', ' '].includes(odd))) {
    await assert.rejects(m.spawn('a', { workDir: `${text}/none` }), { code: 'ERR_WORKDIR' })
    const other = new SessionManager({ dataDir: join(w.dir, 'outer', 'data'), claudePath: `./${text}/none` })
    await assert.rejects(other.spawn('a'), { code: 'ERR_CLI_NOT_FOUND' })
  }
  assert.deepEqual(m.list(), [])
})
