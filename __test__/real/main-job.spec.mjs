// The package's main job on the real CLI: long-lived sessions, one message after the other, stop and resume, fork, kill,
// and exact books. The model is a mock that shows what it was asked.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { assertMoney, createWorld, lives, until, version } from './support.mjs'

/** A Bash call that runs until it is killed, with children of its own; it makes the file `started` first. */
const ENDLESS = bash('touch started; (sleep 300; echo no) | cat; sleep 300')

test(`a session answers its prompt and remembers three more messages (${version})`, async (t) => {
  const world = await createWorld(t)
  const { manager, session, initData, response } = await world.spawned('a', 'first')
  assert.equal(response.text, 'echo(1): first')
  assert.equal(response.isError, false)
  assert.equal(response.subtype, 'success')
  assert.equal(response.turns, 1)
  assert.equal(response.stopReason, 'end_turn')
  assert.equal(session.id, response.sessionId)
  assert.equal(initData.session_id, response.sessionId)
  assert.equal(initData.claude_code_version, version)
  assert.equal(initData.cwd, world.workDir)

  const pid = manager.sessions.get('a').pid
  assert.equal((await manager.send('a', 'second')).text, 'echo(2): second')
  assert.equal((await manager.send('a', 'third')).text, 'echo(3): third')
  assert.equal((await manager.send('a', 'RECALL')).text, 'first | second | third')
  assert.equal(manager.sessions.get('a').pid, pid)
  assert.equal(manager.status('a').status, 'ready')
  assert.deepEqual(
    manager.history('a').map(({ prompt, response: text }) => [prompt, text]),
    [
      ['first', 'echo(1): first'],
      ['second', 'echo(2): second'],
      ['third', 'echo(3): third'],
      ['RECALL', 'first | second | third'],
    ],
  )
})

test('a paused session keeps its process, finishes its turn, and the next send() resumes it', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const { pid } = manager.sessions.get('a')
  manager.pause('a')
  assert.equal(manager.status('a').status, 'paused')
  assert.ok(await lives(pid))
  assert.equal((await manager.send('a', 'second')).text, 'echo(2): second')
  assert.equal(manager.status('a').status, 'ready')

  const sending = manager.send('a', 'SLOW:400:third')
  await world.api.waitFor((request) => request.text === 'SLOW:400:third')
  manager.pause('a')
  assert.equal((await sending).text, 'slow: third')
  assert.equal(manager.status('a').status, 'paused')
  assert.equal(await manager.resume('a'), null)
  assert.equal((await manager.send('a', 'RECALL')).text, 'first | second | SLOW:400:third')
  assert.equal(manager.sessions.get('a').pid, pid)
})

test('stop() ends the process in peace and keeps the record', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const live = manager.sessions.get('a')
  const { pid } = live
  manager.stop('a')
  assert.equal(manager.sessions.has('a'), false)
  assert.equal(manager.status('a').status, 'stopped')
  assert.deepEqual(await live.closed, { code: 0, signal: null })
  assert.equal(await lives(pid), false)
  await world.noProcessLeft()
  assert.equal(manager.status('a').status, 'stopped')
  assert.equal(manager.history('a').length, 1)
})

test('stop() lets the turn in flight end, records it, and rejects what waits in line', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const sending = manager.send('a', 'SLOW:800:second')
  const waiting = assert.rejects(manager.send('a', 'third'), { code: 'ERR_SESSION_STOPPED' })
  await world.api.waitFor((request) => request.text === 'SLOW:800:second')
  const live = manager.sessions.get('a')
  manager.stop('a')
  await waiting
  assert.equal((await sending).text, 'slow: second')
  assert.deepEqual(await live.closed, { code: 0, signal: null })
  assert.equal(manager.history('a').length, 2)
  assert.deepEqual(world.api.asked('third'), [])
  assert.equal(await manager.resume('a', 'RECALL').then(({ text }) => text), 'first | SLOW:800:second')
})

test('stop() in the middle of a long answer loses nothing of it', async (t) => {
  // 2.1.197 cuts what it has not written yet when its input ends.
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const command = 'LONG:100:30000'
  const sending = manager.send('a', command)
  await world.api.waitFor((request) => request.text === command)
  manager.stop('a')
  const { text } = await sending
  assert.ok(text.length >= 2_999_999 && text.trimEnd().endsWith('.'))
  assert.deepEqual(
    text.match(/w\d+/g),
    Array.from({ length: 100 }, (_, index) => `w${index}`),
  )
  assert.equal(manager.lastOutput('a').response, text)
})

test('stop() ends a tool that does not come to an end', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager({ stopTimeout: 300 })
  await manager.spawn('a', { prompt: 'first', workDir: world.workDir, allowedTools: ['Bash'] })
  const sending = assert.rejects(manager.send('a', ENDLESS, 3_000), { code: 'ERR_TURN_TIMEOUT', sent: true })
  await until(() => existsSync(world.file('started')), 'the tool runs')
  const live = manager.sessions.get('a')
  manager.stop('a')
  await sending
  await live.closed
  await world.noProcessLeft()
})

test('a new host process resumes a stopped session with its memory', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  await manager.send('a', 'second')
  await manager.close()
  await world.noProcessLeft()

  const { results } = await world.host([
    ['resume', 'a', 'RECALL'],
    ['send', 'a', 'third'],
    ['status', 'a'],
  ])
  const [recall, third, status] = results.map(({ value }) => value)
  assert.equal(recall.text, 'first | second')
  assert.equal(third.text, 'echo(4): third')
  assert.equal(status.claudeSessionId, session.id)
  await world.noProcessLeft()

  assert.equal((await manager.resume('a', 'RECALL')).text, 'first | second | RECALL | third')
  assert.equal(manager.history('a').length, 5)
})

test('the session of a host that was killed is lost, and resumes with its memory', async (t) => {
  const world = await createWorld(t)
  const { results, child } = await world.host([['spawn', 'a', { prompt: 'first', workDir: world.workDir }]], {
    keep: true,
  })
  assert.equal(results[0].value.response.text, 'echo(1): first')
  const manager = world.manager()
  assert.equal(manager.status('a').status, 'ready')
  child.kill('SIGKILL')
  await child.ended
  // The CLI sees the end of its input, which nobody else holds open.
  await world.noProcessLeft()

  const { status, lostAt } = manager.status('a')
  assert.equal(status, 'stopped')
  assert.ok(!Number.isNaN(Date.parse(lostAt)))
  assert.equal((await manager.resume('a', 'RECALL')).text, 'first')
})

test('a fork remembers, and its source does not change', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  await manager.send('a', 'second')
  const ofLive = await manager.fork('a', 'b', { message: 'RECALL' })
  assert.equal(ofLive.response.text, 'first | second')
  assert.notEqual(ofLive.session.id, session.id)
  assert.equal((await manager.send('b', 'only in b')).text, 'echo(4): only in b')
  assert.equal((await manager.send('a', 'only in a')).text, 'echo(3): only in a')
  assert.equal((await manager.send('b', 'RECALL')).text, 'first | second | RECALL | only in b')
  assert.equal((await manager.send('a', 'RECALL')).text, 'first | second | only in a')
  assert.equal(manager.status('a').id, session.id)

  const source = manager.sessions.get('a')
  manager.stop('a')
  await source.closed
  const ofStopped = await manager.fork('a', 'c', { message: 'RECALL' })
  assert.equal(ofStopped.response.text, 'first | second | only in a | RECALL')
  assert.equal(manager.history('c')[0].type, 'fork')
  assert.equal(manager.status('a').status, 'stopped')
  assert.equal(manager.history('a').length, 4)
})

test('a fork passes on messages that look like options, and messages too long for an argument', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const dashes = await manager.fork('a', 'b', { message: '--help me' })
  assert.equal(dashes.response.text, 'echo(2): --help me')
  const long = 'long '.repeat(40_000) + 'end'
  const { response } = await manager.fork('a', 'c', { message: long })
  assert.equal(response.text, `echo(2): ${long}`)
})

test('kill() leaves nothing of a session whose tool runs', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first', { allowedTools: ['Bash'] })
  const sending = assert.rejects(manager.send('a', ENDLESS), { code: 'ERR_SESSION_KILLED' })
  await until(() => existsSync(world.file('started')), 'the tool runs')
  if (process.platform === 'linux') {
    await until(async () => (await world.processes()).size >= 4, 'the tool has its children')
  }
  const live = manager.sessions.get('a')
  manager.kill('a')
  assert.equal(manager.sessions.has('a'), false)
  await sending
  assert.deepEqual(await live.closed, { code: null, signal: 'SIGKILL' })
  await world.noProcessLeft()
  assert.equal(manager.status('a').status, 'killed')
  assert.equal((await manager.spawn('a', { prompt: 'again', workDir: world.workDir })).response.text, 'echo(1): again')
})

test('kill() also finds what a tool has put into a session of its own', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', bash('setsid sleep 300 > /dev/null 2>&1 & echo left'), {
    allowedTools: ['Bash'],
  })
  const left = [...(await world.processes()).values()].filter((command) => command === 'sleep 300')
  if (process.platform === 'linux') assert.deepEqual(left, ['sleep 300'])
  manager.kill('a')
  await world.noProcessLeft()
})

test('kill() ends a session that another host on this machine owns', async (t) => {
  const world = await createWorld(t)
  const { results } = await world.host([['spawn', 'a', { prompt: 'first', workDir: world.workDir }]], { keep: true })
  const { pid } = results[0].value.session
  assert.ok(await lives(pid))
  const manager = world.manager()
  manager.kill('a')
  await until(async () => !(await lives(pid)), 'the process has ended')
  assert.equal(manager.status('a').status, 'killed')
})

test('parallel sends reach the model one by one, in order, and each gets its own answer', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const messages = Array.from({ length: 6 }, (_, index) => `SLOW:60:m${index}`)
  const answers = await Promise.all(messages.map((message) => manager.send('a', message)))
  assert.deepEqual(
    answers.map(({ text }) => text),
    messages.map((message) => message.replace('SLOW:60:', 'slow: ')),
  )
  const asked = world.api.requests.slice(1)
  assert.deepEqual(
    asked.map(({ userTexts }) => userTexts),
    messages.map((_, index) => ['first', ...messages.slice(0, index + 1)]),
  )
  assert.equal(manager.history('a').length, 7)
})

test('sessions of a batch run side by side and never mix', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const names = ['a', 'b', 'c', 'd']
  const spawned = await manager.batch(names.map((name) => ({ name, prompt: `I am ${name}`, workDir: world.workDir })))
  assert.deepEqual(
    spawned.map(({ error, response }) => error ?? response.text),
    names.map((name) => `echo(1): I am ${name}`),
  )
  const recalled = await Promise.all(names.map((name) => manager.send(name, 'RECALL')))
  assert.deepEqual(
    recalled.map(({ text }) => text),
    names.map((name) => `I am ${name}`),
  )
  assert.equal(new Set(spawned.map(({ session }) => session.id)).size, names.length)
})

test('a turn that the CLI starts by itself settles nobody and is kept apart', async (t) => {
  const world = await createWorld(t)
  const call = ['Bash', { command: 'sleep 1; echo done', run_in_background: true }]
  const { manager, response } = await world.spawned('a', `TOOL:${call[0]}:${JSON.stringify(call[1])}`, {
    allowedTools: ['Bash'],
  })
  assert.match(response.text, /^tool: /)
  const isBackground = ({ type }) => type === 'background'
  await until(() => manager.history('a').some(isBackground), 'the CLI has had its own turn')
  assert.equal((await manager.send('a', 'after')).text.replace(/\d+/, 'n'), 'echo(n): after')
  assert.deepEqual(
    manager.history('a').map(({ type }) => type),
    [undefined, 'background', undefined],
  )
  const price = await world.priceList()
  const requests = world.api.requests.slice(0, -2)
  const spent = requests.reduce((sum, request) => sum + price(request.usage), 0)
  assertMoney(manager.status('a').totalCostUsd, spent, 'totalCostUsd')
})

test('a message that meets a turn of the CLI itself still gets its own answer', async (t) => {
  const world = await createWorld(t)
  const background = `TOOL:Bash:${JSON.stringify({ command: 'sleep 1; echo done', run_in_background: true })}`
  const { manager } = await world.spawned('a', background, { allowedTools: ['Bash'] })
  const live = manager.sessions.get('a')
  let number = 0
  // From before the command's end until after the CLI's turn there is always a message under way.
  while (!live.interactions.some(({ type }) => type === 'background')) {
    const text = `SLOW:30:m${++number}`
    assert.equal((await manager.send('a', text)).text, `slow: m${number}`)
    assert.ok(number < 200, 'the CLI never had its own turn')
  }
  const own = manager.history('a').filter(({ type }) => type === undefined)
  assert.equal(own.length, number + 1)
})

test('costs are the price of the tokens, to the cent and far beyond, over turns, resumes and forks', async (t) => {
  const world = await createWorld(t)
  const price = await world.priceList()
  const manager = world.manager()
  const totals = {}
  let step = 0

  /** A message whose turn costs something that no other turn costs. */
  function next(command = 'text') {
    step += 1
    const usage = { input: 1_000 + 37 * step, output: 100 + 11 * step }
    return { message: `USAGE:${usage.input},${usage.output}:${command}`, cost: price(usage) }
  }
  function check(name, response, cost, what) {
    totals[name] = (totals[name] ?? 0) + cost
    assertMoney(response.cost, cost, `cost of ${what}`)
    assertMoney(manager.status(name).totalCostUsd, totals[name], `totalCostUsd after ${what}`)
    assertMoney(manager.lastOutput(name).cost, cost, `cost in the history of ${what}`)
  }
  async function turn(name, what, { method = 'send', calls = 1, command } = {}) {
    const { message, cost } = next(command)
    check(name, await manager[method](name, message), cost * calls, what)
  }
  async function fork(source, name, what, { calls = 1, command } = {}) {
    const { message, cost } = next(command)
    check(name, (await manager.fork(source, name, { message })).response, cost * calls, what)
    assertMoney(manager.status(source).totalCostUsd, totals[source], `totalCostUsd of the source after ${what}`)
  }
  async function stop(name) {
    const live = manager.sessions.get(name)
    manager.stop(name)
    await live.closed
  }

  const first = next()
  const { response } = await manager.spawn('a', {
    prompt: first.message,
    workDir: world.workDir,
    allowedTools: ['Bash'],
  })
  check('a', response, first.cost, 'the first turn')
  await turn('a', 'the second turn')
  await turn('a', 'a turn with a tool', { calls: 2, command: bash('echo hello') })
  await turn('a', 'a turn with two tools', {
    calls: 2,
    command: `TOOLS:${JSON.stringify([
      ['Bash', { command: 'echo one' }],
      ['Bash', { command: 'echo two' }],
    ])}`,
  })
  check('a', await manager.send('a', 'ERROR:400'), 0, 'a refused turn')
  await turn('a', 'the turn after a refused one')
  await fork('a', 'of-live', 'the fork of a live session')
  await turn('of-live', 'the second turn of the fork of a live session')

  await stop('a')
  await turn('a', 'a resume', { method: 'resume' })
  await turn('a', 'the second turn after a resume')
  await fork('a', 'of-resumed', 'the fork of a live session that was resumed')
  await turn('of-resumed', 'its second turn')

  await stop('a')
  await fork('a', 'of-stopped', 'the fork of a stopped session, with a tool', { calls: 2, command: bash('echo hi') })
  await turn('of-stopped', 'its second turn')
  await stop('of-stopped')
  await turn('of-stopped', 'its resume', { method: 'resume' })

  const inNewHost = next()
  const { results } = await world.host([['resume', 'a', inNewHost.message]])
  check('a', results[0].value, inNewHost.cost, 'a resume in a new host')

  await turn('a', 'a resume after a new host', { method: 'resume' })
  manager.kill('a')
  await fork('a', 'of-killed', 'the fork of a session that was killed after a resume')
  await turn('of-killed', 'its second turn')
  await turn('a', 'a resume after a kill', { method: 'resume' })
  check('a', await manager.send('a', '/clear'), 0, '/clear')
  await turn('a', 'the turn after /clear')
  await stop('a')
  await turn('a', 'a resume after /clear', { method: 'resume' })
})

test('a session over its budget says so, and its cost counts', async (t) => {
  const world = await createWorld(t)
  const price = await world.priceList()
  const { manager, response } = await world.spawned('a', 'USAGE:5000,500:dear', { maxBudget: 0.0001 })
  assert.equal(response.isError, true)
  assert.equal(response.subtype, 'error_max_budget_usd')
  assert.match(response.errors.join(), /budget/)
  const cost = price({ input: 5_000, output: 500 })
  assertMoney(response.cost, cost, 'cost')
  const second = await manager.send('a', 'more')
  assert.equal(second.subtype, 'error_max_budget_usd')
  assertMoney(second.cost, 0, 'cost of a message that was refused')
  assertMoney(manager.status('a').totalCostUsd, cost, 'totalCostUsd')
  assert.deepEqual(world.api.asked('more'), [])
})

test('a system prompt of 200 KiB reaches the model, after a resume and in a fork too', async (t) => {
  const world = await createWorld(t)
  const systemPrompt = `Begin. ${'y'.repeat(200 * 1024)} The end.`
  const { manager } = await world.spawned('a', 'first', { systemPrompt })
  await manager.send('a', 'second')
  await manager.fork('a', 'b', { message: 'in a fork' })
  await manager.send('b', 'later in a fork')
  const live = manager.sessions.get('a')
  manager.stop('a')
  await live.closed
  await manager.resume('a', 'after a resume')
  for (const { text, system } of world.api.requests) {
    assert.ok(system.includes(systemPrompt), `the model did not see the system prompt with "${text}"`)
  }
  assert.equal(world.api.requests.length, 5)
})

test('allowed tools run, others are refused and reported', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', bash('touch allowed'), {
    allowedTools: ['Bash(git log:*)', 'Bash(touch *)', '--model'],
    systemPrompt: 'An option after the tools.',
  })
  assert.deepEqual(manager.lastOutput('a').isError, undefined)
  assert.ok(existsSync(world.file('allowed')))
  assert.ok(world.api.requests[0].system.includes('An option after the tools.'), 'the rules swallowed the next option')

  const file = world.file('denied')
  const denied = await manager.send('a', `TOOL:Write:${JSON.stringify({ file_path: file, content: 'x' })}`)
  assert.equal(denied.isError, false)
  assert.deepEqual(
    denied.permissionDenials.map(({ tool_name, tool_input }) => [tool_name, tool_input.file_path]),
    [['Write', file]],
  )
  assert.equal(existsSync(file), false)
  assert.deepEqual((await manager.send('a', bash('touch allowed-too'))).permissionDenials, [])
  assert.ok(existsSync(world.file('allowed-too')))
})

test('a tool rule may hold commas', async (t) => {
  const world = await createWorld(t)
  const { manager, response } = await world.spawned('a', bash('touch a, b'), {
    allowedTools: ['Bash(touch a, b)', 'Write'],
  })
  assert.deepEqual(response.permissionDenials, [])
  assert.ok(existsSync(world.file('a,')) && existsSync(world.file('b')))
  const other = await manager.send('a', bash('touch c'))
  assert.equal(other.permissionDenials.length, 1)
})

test('resume() of a conversation that the CLI does not know fails in its words', async (t) => {
  const world = await createWorld(t)
  const manager = world.manager()
  const record = { claudeSessionId: randomUUID(), status: 'stopped', model: 'sonnet', workDir: world.workDir }
  manager.store.set('a', { name: 'a', ...record })
  await assert.rejects(manager.resume('a', 'hello'), { code: 'ERR_START_FAILED', message: /No conversation found/ })
  await until(() => manager.status('a').status === 'failed', 'the session is failed')
  await world.noProcessLeft()

  manager.store.set('b', { name: 'b', ...record })
  const resuming = manager.resume('b')
  const live = manager.sessions.get('b')
  const errors = []
  live.on('error', (error) => errors.push(error))
  assert.equal(await resuming, null)
  await live.closed
  await until(() => errors.length > 0, 'the error is reported')
  assert.match(errors[0].message, /No conversation found/)
  assert.equal(manager.status('b').status, 'failed')
  assert.equal(world.api.requests.length, 0)
})

test('a message over its time goes on: its answer goes to the history, and the next message waits for it', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  await assert.rejects(manager.send('a', 'SLOW:1500:late', 300), {
    code: 'ERR_TURN_TIMEOUT',
    sent: true,
    stillRunning: true,
  })
  assert.equal((await manager.send('a', 'next')).text, 'echo(3): next')
  assert.deepEqual(
    manager.history('a').map(({ response, late }) => [response, late]),
    [
      ['echo(1): first', undefined],
      ['slow: late', true],
      ['echo(3): next', undefined],
    ],
  )
})

test('an error of the API is an answer, and the session goes on', async (t) => {
  const world = await createWorld(t)
  const { manager } = await world.spawned('a', 'first')
  const response = await manager.send('a', 'ERROR:400')
  assert.equal(response.isError, true)
  assert.match(response.text, /mock error 400/)
  assert.equal(manager.lastOutput('a').isError, true)
  assert.match((await manager.send('a', 'second')).text, /^echo\(\d\): second$/)
  const live = manager.sessions.get('a')
  manager.stop('a')
  assert.equal((await live.closed).code, 0)
})

test('/clear starts a conversation of its own, and a resume goes on with that one', async (t) => {
  const world = await createWorld(t)
  const { manager, session } = await world.spawned('a', 'first')
  const { sessionId } = await manager.send('a', '/clear')
  assert.notEqual(sessionId, session.id)
  assert.equal(manager.status('a').id, sessionId)
  await manager.send('a', 'second')
  const live = manager.sessions.get('a')
  manager.stop('a')
  await live.closed
  const { text } = await manager.resume('a', 'RECALL')
  assert.match(text, /second/)
  assert.doesNotMatch(text, /first/)
})

test('content blocks and very long texts go both ways unchanged', async (t) => {
  const world = await createWorld(t)
  const blocks = [
    { type: 'text', text: 'one' },
    { type: 'text', text: 'two' },
  ]
  const { manager, response } = await world.spawned('a', blocks)
  assert.equal(response.text, 'echo(2): two')
  assert.deepEqual(world.api.requests[0].userTexts, ['one', 'two'])

  const text = 'äß€😀\u2028\u0085"\\ '.repeat(50_000).trim()
  assert.equal((await manager.send('a', text)).text, `echo(3): ${text}`)
  assert.equal((await manager.send('a', 'LONG:10000')).text.split(' ').length, 10_001)
})

test('the CLI gets no mark of an outer Claude Code, and nothing that the environment option removes', async (t) => {
  const world = await createWorld(t)
  const marks = {
    CLAUDECODE: '1',
    CLAUDE_CODE_SESSION_ID: randomUUID(),
    CLAUDE_CODE_CHILD_SESSION: '1',
    ANTHROPIC_LOG: 'debug',
  }
  const saved = { ...process.env }
  t.after(() => {
    for (const name of [...Object.keys(marks), 'CLEARCTX_LEAK']) {
      if (saved[name] === undefined) delete process.env[name]
      else process.env[name] = saved[name]
    }
  })
  process.env.CLEARCTX_LEAK = 'secret'
  const { env } = world
  for (const name of Object.keys(marks)) delete env[name]
  Object.assign(process.env, marks)

  const manager = world.manager({ env })
  const { response } = await manager.spawn('a', { prompt: 'first', workDir: world.workDir })
  assert.equal(response.text, 'echo(1): first')
  if (process.platform === 'linux') {
    const environ = await readFile(`/proc/${manager.sessions.get('a').pid}/environ`, 'utf8')
    const names = environ.split('\0').flatMap((entry) => entry.split('=').slice(0, 1).filter(Boolean))
    const wanted = Object.keys(world.cleanEnv)
    const missing = wanted.filter((name) => !names.includes(name))
    assert.deepEqual(missing, [])
    // The engine may mark its children with variables of its own.
    const leaked = names.filter((name) => !wanted.includes(name) && !isMark(name))
    assert.deepEqual(leaked, [])
  }

  function isMark(name) {
    return name.startsWith('CLEARCTX_') && name !== 'CLEARCTX_LEAK'
  }
})

/** A call of the Bash tool. */
function bash(command) {
  return `TOOL:Bash:${JSON.stringify({ command })}`
}
