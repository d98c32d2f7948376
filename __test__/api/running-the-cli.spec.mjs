/** How the CLI is run: arguments, system prompt, environment, finding the program, working directory. */

import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { standInPath } from '../../testing/index.js'
import { until, world } from '../support/sessions.mjs'
import { rejection, standInLog } from '../support/turns.mjs'

const BASE = ['-p', '--input-format', 'stream-json', '--output-format', 'stream-json', '--verbose', '--model']

/** Sets a variable of this process for one test. */
function setVariable(t, name, value) {
  const before = process.env[name]
  t.after(() => {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  })
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

const variables = async (m, name, ...names) => JSON.parse((await m.send(name, `stand-in: env ${names.join(',')}`)).text)

test('only what is set becomes an argument, but for the permission mode', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'x' })
  await m.spawn('b', { prompt: 'x', permissionMode: 'default', allowedTools: [], systemPrompt: '', maxBudget: 0 })
  assert.deepEqual(log.arguments(), [
    [...BASE, 'sonnet', '--permission-mode', 'default', '--session-id', m.status('a').id],
    [...BASE, 'sonnet', '--permission-mode', 'default', '--session-id', m.status('b').id],
  ])
})

test('each option reaches the CLI', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  const options = {
    model: 'haiku',
    permissionMode: 'acceptEdits',
    systemPrompt: 'be "brief"\nor $(not)',
    agent: 'Explore',
  }
  await m.spawn('a', { ...options, maxBudget: 0.25, allowedTools: ['Read', 'Bash(git log *)'] })
  assert.equal((await m.send('a', 'stand-in: model')).text, 'claude-haiku-4-5-20251001')
  assert.equal((await m.send('a', 'stand-in: permission-mode')).text, 'acceptEdits')
  assert.equal(
    (await m.send('a', 'stand-in: system-prompt')).text,
    `${options.systemPrompt.length} ${options.systemPrompt}`,
  )
  const [argv] = log.arguments()
  const after = (name) => argv[argv.indexOf(name) + 1]
  assert.equal(after('--agent'), 'Explore')
  assert.equal(after('--max-budget-usd'), '0.25')
  assert.deepEqual(argv.slice(0, BASE.length + 1), [...BASE, 'haiku'])
  assert.equal(argv.includes('--resume'), false)
})

test('a tiny budget is written as a plain number', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  await m.spawn('a', { prompt: 'x', maxBudget: 1e-7 })
  const [argv] = log.arguments()
  assert.equal(Number(argv[argv.indexOf('--max-budget-usd') + 1]), 1e-7)
  assert.doesNotMatch(argv[argv.indexOf('--max-budget-usd') + 1], /e/)
})

test('allowedTools allow what they name, with blanks and commas inside, and nothing else', async (t) => {
  const m = world(t).manager()
  await m.spawn('a', { allowedTools: ['Bash(touch *)', 'Write', 'Bash(printf a, b)'] })
  const bash = (command) => m.send('a', `stand-in: tool Bash ${JSON.stringify({ command })}`)
  assert.deepEqual((await bash('printf a, b')).permissionDenials, [])
  const denied = await bash('rm -f nothing')
  assert.equal(denied.isError, false)
  assert.equal(denied.permissionDenials.length, 1)
  assert.deepEqual(denied.permissionDenials[0].tool_input, { command: 'rm -f nothing' })
})

test('no tool name becomes an option or swallows one', async (t) => {
  const m = world(t).manager()
  const names = ['--dangerously-skip-permissions', '-x', '--', 'Bash', '--model', 'evil', '--resume']
  for (const allowedTools of [names, names.toReversed(), ['--fork-session'], ['-p', '--version']]) {
    const name = allowedTools.join()
    await m.spawn(name, { allowedTools, systemPrompt: '--model evil', agent: '--nope', permissionMode: 'acceptEdits' })
    assert.equal((await m.send(name, 'stand-in: model')).text, 'claude-sonnet-5-5')
    assert.equal((await m.send(name, 'stand-in: permission-mode')).text, 'acceptEdits')
    assert.equal((await m.send(name, 'stand-in: system-prompt')).text, '12 --model evil')
  }
  const bash = await m.send(names.join(), 'stand-in: tool Bash {"command":"printf ok"}')
  assert.deepEqual(bash.permissionDenials, [])
})

for (const [what, systemPrompt] of [
  ['200 KiB', `${'x'.repeat(200 * 1024)} end`],
  ['over 128 KiB in bytes but not in characters', 'ü'.repeat(70_000)],
  ['just under 128 KiB', 'y'.repeat(131_071)],
  ['exactly 128 KiB', 'z'.repeat(131_072)],
]) {
  test(`a system prompt of ${what} reaches the CLI, also after a resume and in a fork`, async (t) => {
    const w = world(t)
    const log = standInLog(w)
    const m = w.manager({ env: log.env })
    const expected = `${systemPrompt.length} ${systemPrompt}`
    await m.spawn('a', { systemPrompt })
    await until(() => log.arguments().length === 1, 'the start of the CLI')
    const files = () => log.arguments().flatMap((argv) => argv.filter((_, at) => argv[at - 1]?.endsWith('-file')))
    for (const file of files()) assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.ok((await m.send('a', 'stand-in: system-prompt')).text === expected)
    assert.deepEqual(files().filter(existsSync), [], 'kept longer than the CLI needs it')
    assert.ok((await m.send('a', 'stand-in: system-prompt')).text === expected)
    m.stop('a')
    assert.ok((await m.resume('a', 'stand-in: system-prompt')).text === expected)
    assert.ok((await m.fork('a', 'b', { message: 'stand-in: system-prompt' })).response.text === expected)
    await m.close()
    assert.deepEqual(files().filter(existsSync), [], 'left behind')
  })
}

test('marks of an outer Claude Code and ANTHROPIC_LOG are not passed on, in a fork neither', async (t) => {
  const marks = ['CLAUDECODE', 'CLAUDE_CODE_SESSION_ID', 'CLAUDE_CODE_CHILD_SESSION', 'ANTHROPIC_LOG']
  for (const name of marks) setVariable(t, name, 'outer')
  setVariable(t, 'CLAUDE_CODE_ENTRYPOINT', 'mine')
  const m = world(t).manager()
  await m.spawn('a', { prompt: 'hello' })
  const clean = { ...Object.fromEntries(marks.map((name) => [name, null])), CLAUDE_CODE_ENTRYPOINT: 'mine' }
  const names = Object.keys(clean)
  assert.deepEqual(await variables(m, 'a', ...names), clean)
  const { response } = await m.fork('a', 'b', { message: `stand-in: env ${names.join(',')}` })
  assert.deepEqual(JSON.parse(response.text), clean)
  assert.equal(process.env.CLAUDECODE, 'outer', "the host's own environment is left alone")
})

test('such a mark is passed on if the option env sets it', async (t) => {
  setVariable(t, 'CLAUDECODE', 'outer')
  const m = world(t).manager({ env: { CLAUDECODE: '1', ANTHROPIC_LOG: 'warn' } })
  await m.spawn('a')
  assert.deepEqual(await variables(m, 'a', 'CLAUDECODE', 'ANTHROPIC_LOG'), { CLAUDECODE: '1', ANTHROPIC_LOG: 'warn' })
})

test('env is merged over process.env; undefined removes a variable', async (t) => {
  setVariable(t, 'OF_THE_HOST', 'host')
  setVariable(t, 'REPLACED', 'host')
  setVariable(t, 'REMOVED', 'host')
  const m = world(t).manager({ env: { REPLACED: 'mine', REMOVED: undefined, ADDED: 'a=b c', EMPTY: '' } })
  await m.spawn('a', { prompt: 'hello' })
  const expected = { OF_THE_HOST: 'host', REPLACED: 'mine', REMOVED: null, ADDED: 'a=b c', EMPTY: '' }
  assert.deepEqual(await variables(m, 'a', ...Object.keys(expected)), expected)
  m.stop('a')
  await m.resume('a')
  assert.deepEqual(await variables(m, 'a', ...Object.keys(expected)), expected)
})

test('process.env and process.cwd() count as they are at the call', async (t) => {
  const w = world(t)
  const m = w.manager()
  const before = process.cwd()
  t.after(() => process.chdir(before))
  const folders = ['one', 'two'].map((name) => join(w.dir, name))
  for (const folder of folders) {
    mkdirSync(folder)
    process.chdir(folder)
    setVariable(t, 'AT_THE_CALL', folder)
    const spawned = m.spawn(folder)
    process.chdir(before)
    delete process.env.AT_THE_CALL
    await spawned
  }
  for (const folder of folders) {
    assert.equal((await m.send(folder, 'stand-in: cwd')).text, folder)
    assert.equal(m.status(folder).workDir, folder)
    assert.deepEqual(await variables(m, folder, 'AT_THE_CALL'), { AT_THE_CALL: folder })
  }
})

test('without claudePath, claude is looked up on the PATH of the child at each spawn', async (t) => {
  setVariable(t, 'CLEARCTX_CLAUDE_PATH', undefined)
  const w = world(t)
  const bin = join(w.dir, 'my bin')
  mkdirSync(bin)
  const m = w.manager({ claudePath: undefined, env: { PATH: `${bin}:${process.env.PATH}` } })
  const error = await rejection(m.spawn('a'), 'ERR_CLI_NOT_FOUND')
  assert.match(error.message, /^Cannot run "claude": /)
  assert.deepEqual([m.sessions.size, m.store.get('a')], [0, null])
  symlinkSync(standInPath, join(bin, 'claude'))
  assert.equal((await m.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
})

test('CLEARCTX_CLAUDE_PATH names the program, and the option claudePath comes before it', async (t) => {
  const w = world(t)
  const link = join(w.dir, 'from the environment')
  symlinkSync(standInPath, link)
  setVariable(t, 'CLEARCTX_CLAUDE_PATH', link)
  const m = w.manager({ claudePath: undefined })
  assert.equal((await m.spawn('a', { prompt: 'hello' })).response.text, 'echo(2): hello')
  setVariable(t, 'CLEARCTX_CLAUDE_PATH', join(w.dir, 'nowhere'))
  await rejection(m.spawn('b'), 'ERR_CLI_NOT_FOUND')
  await w.manager().spawn('b', { prompt: 'hello' })
})

test('a program may be a shell script, with blanks in its path, and gets its arguments unchanged', async (t) => {
  const w = world(t)
  const folder = join(w.dir, 'with blanks and $HOME "quotes"')
  mkdirSync(folder)
  const script = join(folder, 'claude wrapper.sh')
  writeFileSync(script, `#!/bin/sh\nexec ${standInPath} "$@"\n`, { mode: 0o755 })
  const m = w.manager({ claudePath: script })
  const systemPrompt = "it's `here` $(echo no) * \\ %PATH% \n"
  await m.spawn('a', { systemPrompt, prompt: 'hello' })
  assert.equal((await m.send('a', 'stand-in: system-prompt')).text, `${systemPrompt.length} ${systemPrompt}`)
  assert.equal((await m.fork('a', 'b', { message: 'x $(echo no) `y`' })).response.text, 'echo(6): x $(echo no) `y`')
})

test('a text without a #! line is run by the shell, as Node and shells do', async (t) => {
  const w = world(t)
  const script = join(w.dir, 'shell text')
  writeFileSync(script, `exec ${standInPath} "$@"\n`, { mode: 0o755 })
  const m = w.manager({ claudePath: script })
  await m.spawn('a', { prompt: 'hello' })
  assert.equal((await m.fork('a', 'b', { message: 'x $(echo no)' })).response.text, 'echo(4): x $(echo no)')
})

/** `bin/claude.exe` of @anthropic-ai/claude-code 2.1.331 as npm unpacks it; its install script puts the CLI in its place. */
const NOT_INSTALLED = `echo "Error: claude native binary not installed." >&2
echo "" >&2
echo "Either postinstall did not run (--ignore-scripts, some pnpm configs)" >&2
echo "or the platform-native optional dependency was not downloaded" >&2
echo "(--omit=optional)." >&2
echo "" >&2
echo "Run the postinstall manually (adjust path for local vs global install):" >&2
echo "  node node_modules/@anthropic-ai/claude-code/install.cjs" >&2
echo "" >&2
echo "Or reinstall without --ignore-scripts / --omit=optional." >&2
exit 1
`

test('a CLI that npm installed without its install script says so in its own words', async (t) => {
  const w = world(t)
  const claudePath = join(w.dir, 'claude.exe')
  // It waits for the message, so that what it says belongs to that.
  writeFileSync(claudePath, `read -r message\n${NOT_INSTALLED}`, { mode: 0o755 })
  const error = await rejection(w.manager({ claudePath }).spawn('a', { prompt: 'x' }), 'ERR_PROCESS_EXITED')
  assert.match(error.message, /code 1: Or reinstall without --ignore-scripts/)
  assert.match(error.stderr, /^Error: claude native binary not installed/)
})

test('a relative claudePath is one of the directory of the host', async (t) => {
  const w = world(t)
  symlinkSync(standInPath, join(w.dir, 'cli'))
  const before = process.cwd()
  t.after(() => process.chdir(before))
  process.chdir(w.dir)
  mkdirSync('project')
  const m = w.manager({ claudePath: './cli' })
  assert.equal((await m.spawn('a', { prompt: 'hello', workDir: join(w.dir, 'project') })).response.turns, 1)
})

test('what cannot be run is ERR_CLI_NOT_FOUND at once, with the reason; nothing is stored', async (t) => {
  const w = world(t)
  const file = (name, text, mode) => {
    writeFileSync(join(w.dir, name), text)
    chmodSync(join(w.dir, name), mode)
    return join(w.dir, name)
  }
  const programs = [
    join(w.dir, 'missing'),
    'no-such-program-on-any-path',
    w.dir,
    file('not executable', '#!/bin/sh\n', 0o644),
    file('no interpreter', '#!/no/such/interpreter\n', 0o755),
    file('of another system', 'MZ\0\0\x01\0', 0o755),
  ]
  for (const claudePath of programs) {
    const m = w.manager({ claudePath })
    const error = await rejection(m.spawn('a', { prompt: 'x' }), 'ERR_CLI_NOT_FOUND')
    assert.ok(error.message.startsWith(`Cannot run "${claudePath}": `), error.message)
    assert.deepEqual([m.sessions.size, m.store.get('a')], [0, null])
  }
})

test('a workDir that is no directory is ERR_WORKDIR at once; nothing is started or stored', async (t) => {
  const w = world(t)
  const log = standInLog(w)
  const m = w.manager({ env: log.env })
  writeFileSync(join(w.dir, 'file'), '')
  for (const workDir of [join(w.dir, 'missing'), join(w.dir, 'file'), join(w.dir, 'file', 'below')]) {
    const error = await rejection(m.spawn('a', { workDir, prompt: 'x' }), 'ERR_WORKDIR')
    assert.ok(error.message.startsWith(`Working directory "${workDir}" `), error.message)
    assert.deepEqual([m.sessions.size, m.store.get('a')], [0, null])
  }
  assert.deepEqual(log.events('start'), [])
})

test('a relative workDir stays the same directory for a later resume and fork', async (t) => {
  const w = world(t)
  const m = w.manager()
  const before = process.cwd()
  t.after(() => process.chdir(before))
  process.chdir(w.dir)
  mkdirSync('project')
  const spawned = m.spawn('a', { workDir: 'project', prompt: 'hello' })
  process.chdir(before)
  await spawned
  assert.equal((await m.send('a', 'stand-in: cwd')).text, join(w.dir, 'project'))
  assert.equal((await m.fork('a', 'b', { message: 'stand-in: cwd' })).response.text, join(w.dir, 'project'))
  m.stop('a')
  assert.equal((await m.resume('a', 'stand-in: cwd')).text, join(w.dir, 'project'))
})

test('a wide environment reaches the CLI whole', async (t) => {
  const wide = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`WIDE_${at}`, `${at} ${'ü'.repeat(100)}`]))
  const m = world(t).manager({ env: wide })
  await m.spawn('a')
  await until(() => m.status('a').status === 'ready', 'ready')
  assert.deepEqual(await variables(m, 'a', 'WIDE_0', 'WIDE_499'), { WIDE_0: wide.WIDE_0, WIDE_499: wide.WIDE_499 })
})
