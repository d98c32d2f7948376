// Compiled, never run: what a caller's compiler accepts and refuses. Imports by name, as callers do.

import {
  SessionManager,
  Store,
  StreamSession,
  isClearctxError,
  type AnswerStream,
  type BatchResult,
  type CanUseTool,
  type ClearctxError,
  type CliMessage,
  type ContentBlock,
  type Delta,
  type ErrorCode,
  type Hooks,
  type Interaction,
  type InitMessage,
  type LiveOptions,
  type LiveSessionSnapshot,
  type PermissionRequest,
  type Response,
  type SessionRecord,
  type SessionSnapshot,
  type SessionStatus,
  type TurnResponse,
  type UnknownMessage,
} from 'clearctx'
import DeepManager = require('clearctx/src/manager')
import DeepManagerJs = require('clearctx/src/manager.js')
import DeepStore = require('clearctx/src/store')
import DeepStoreJs = require('clearctx/src/store.js')
import DeepSession = require('clearctx/src/stream-session')
import DeepSessionJs = require('clearctx/src/stream-session.js')

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function same<A, B>(..._equal: Same<A, B> extends true ? [] : [never]): void {}

// --- the deep paths are the classes themselves ---
same<typeof DeepManager, typeof SessionManager>()
same<typeof DeepManagerJs, typeof SessionManager>()
same<typeof DeepStore, typeof Store>()
same<typeof DeepStoreJs, typeof Store>()
same<typeof DeepSession, typeof StreamSession>()
same<typeof DeepSessionJs, typeof StreamSession>()

// --- options ---
new SessionManager()
new SessionManager(null)
new SessionManager({
  dataDir: '/tmp/x',
  defaultModel: 'haiku',
  defaultPermissionMode: 'acceptEdits',
  defaultTimeout: 1000,
  claudePath: '/opt/claude',
  env: { A: 'b', CLAUDE_CONFIG_DIR: undefined },
  stopTimeout: 1,
  killTimeout: 1,
})
new SessionManager({ dataDir: undefined, env: null, defaultTimeout: 0 })
// @ts-expect-error a time is a number of ms
new SessionManager({ defaultTimeout: '10s' })
// @ts-expect-error no such option
new SessionManager({ maxSessions: 3 })
// @ts-expect-error variables are strings
new SessionManager({ env: { DEBUG: 1 } })

const mgr = new SessionManager()
mgr.defaultModel = 'opus'
mgr.defaultPermissionMode = 'a-mode-of-tomorrow'
mgr.defaultPermissionMode = 'inherit'
mgr.defaultTimeout = 5
// @ts-expect-error the store is the manager's own
mgr.store = new Store()
// @ts-expect-error so is the map
mgr.sessions = new Map()
same<Map<string, StreamSession>, typeof mgr.sessions>()

// --- promises ---
declare const maybe: string | undefined
async function promises(): Promise<void> {
  const tags: readonly string[] = ['nightly']
  const spawned = await mgr.spawn('a', { prompt: 'hi', allowedTools: ['Read'], tags, maxBudget: 0.5, agent: null })
  same<LiveSessionSnapshot, typeof spawned.session>()
  same<InitMessage | null, typeof spawned.initData>()
  same<TurnResponse, typeof spawned.response>()
  console.log(spawned.response.text.toUpperCase(), spawned.response.usage?.input_tokens)
  // @ts-expect-error no such token count
  console.log(spawned.response.usage?.input_token)
  const silent = await mgr.spawn('a', { model: 'haiku' })
  same<null, typeof silent.response>()
  same<null, Awaited<ReturnType<typeof bare>>['response']>()
  const perhaps = await mgr.spawn('a', { prompt: maybe })
  same<TurnResponse | null, typeof perhaps.response>()
  // @ts-expect-error without a prompt there is no answer
  console.log(perhaps.response.text)
  // @ts-expect-error a session has a name
  await mgr.spawn()
  // @ts-expect-error tools are a list
  await mgr.spawn('a', { allowedTools: 'Read' })

  const answer = await mgr.send('a', 'more', 1000)
  same<TurnResponse, typeof answer>()
  same<Response, TurnResponse>()
  same<boolean, typeof answer.isError>()
  const blocks: ContentBlock[] = [
    { type: 'text', text: 'look' },
    { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
    { type: 'document', source: { type: 'text', data: '...' } },
  ]
  await mgr.send('a', blocks)
  // @ts-expect-error a message is text or blocks
  await mgr.send('a', { text: 'hi' })
  // @ts-expect-error a timeout is a number
  await mgr.send('a', 'hi', '5s')

  const resumed = await mgr.resume('a')
  same<null, typeof resumed>()
  const wentOn = await mgr.resume('a', 'go on')
  same<TurnResponse, typeof wentOn>()
  const mayGoOn = await mgr.resume('a', maybe)
  same<TurnResponse | null, typeof mayGoOn>()

  const forked = await mgr.fork('a', 'b', { message: 'other way', timeout: 1, systemPrompt: 'x' })
  same<Response, typeof forked.response>()
  // @ts-expect-error a fork has a message, not a prompt
  await mgr.fork('a', 'b', { prompt: 'x' })

  const results: BatchResult[] = await mgr.batch([{ name: 'a', prompt: 'x' }, { name: 'b' }])
  for (const result of results) {
    if (result.error === undefined) console.log(result.session.totalCostUsd, result.response?.cost)
    else console.log(result.session.status satisfies 'failed', result.error.length, result.cause.code)
  }
  // @ts-expect-error each has a name
  await mgr.batch([{ prompt: 'x' }])

  await mgr.close()
  await mgr.close({ timeout: 100 })
  await mgr.store.flush()
}

const bare = () => mgr.spawn('a')

async function disposed(): Promise<void> {
  await using own = new SessionManager()
  await own.spawn('a')
}

// --- synchronous methods ---
same<void, ReturnType<typeof mgr.pause>>()
same<void, ReturnType<typeof mgr.stop>>()
same<void, ReturnType<typeof mgr.kill>>()
same<void, ReturnType<typeof mgr.stopAll>>()
same<void, ReturnType<typeof mgr.delete>>()
same<number, ReturnType<typeof mgr.cleanup>>()
same<SessionSnapshot, ReturnType<typeof mgr.status>>()
same<SessionSnapshot[], ReturnType<typeof mgr.list>>()
same<Interaction[], ReturnType<typeof mgr.history>>()
same<Interaction | null, ReturnType<typeof mgr.lastOutput>>()
mgr.list('ready')
// @ts-expect-error a typo, no field of a snapshot
console.log(mgr.status('a').totalCostUSD)
mgr.list(process.argv[2])
// @ts-expect-error hooks are for subclasses
mgr._persist('a')

class Watched extends SessionManager {
  protected override _wireEvents(session: StreamSession): void {
    super._wireEvents(session)
    session.on('status', (now, before) => this.log(session.name, now, before))
  }

  private log(...words: string[]): void {
    console.log(this._getSession('a').pid, ...words)
  }
}
new Watched({ dataDir: 'x' })

// --- sessions and their events ---
const session = new StreamSession({ name: 'a', sessionId: 'id', model: 'haiku', claudePath: 'claude', tags: [] })
// @ts-expect-error a session has a name
new StreamSession({})
session.start()
session.totalTurns = 3
session.timeout = 5000
session.interactions = []
// @ts-expect-error the CLI decides it
session.id = 'x'
same<SessionStatus, typeof session.status>()
same<number | null, typeof session.pid>()
same<LiveSessionSnapshot, ReturnType<typeof session.toJSON>>()

session.on('init', (init) => console.log(init.session_id, init.tools?.length))
session.on('message', (message) => console.log(message.type, (message as UnknownMessage)['anything']))
session.once('text', (text) => console.log(text.length))
session.on('tool_use', (block) => console.log(block.name, block.input['command']))
session.on('tool_result', (block) => console.log(block.tool_use_id, block.is_error))
session.on('result', (response, interaction) => console.log(response.cost.toFixed(2), interaction.prompt))
session.on('stderr', (text) => console.log(text.trim()))
session.on('status', (now, before) => console.log(now === 'ready', before === 'busy'))
session.on('error', (error) => console.log(error.code, error.message))
session.on('close', (code, signal) => console.log(code === 0, signal === 'SIGKILL'))
session.addListener('text', console.log).removeListener('text', console.log).off('text', console.log)
session.prependListener('close', () => {}).prependOnceListener('close', () => {})
session.removeAllListeners('text')
// @ts-expect-error no such event
session.on('exit', () => {})
// @ts-expect-error text is a string
session.on('text', (text: number) => console.log(text))
void session.closed.then(({ code, signal }) => console.log(code, signal))

// --- events of the manager ---
mgr
  .on('turn', ({ type, name, response, interaction }) => {
    same<'turn', typeof type>()
    console.log(name, response.cost, interaction.prompt)
  })
  .once('status', ({ status, previous }) => console.log(status === 'busy', previous === 'ready'))
  .off('close', ({ code, signal }) => console.log(code === 0, signal === 'SIGKILL'))
mgr.on('warning', ({ code, message, replaced }) => console.log(code, message, replaced?.totalCostUsd.toFixed(2)))
mgr.on('error', ({ name, error }) => console.log(name, error.code))
// @ts-expect-error no such event
mgr.on('turned', () => {})
// @ts-expect-error a status has no response
mgr.on('status', ({ response }) => response)

// --- live sessions ---
const canUseTool: CanUseTool = async (toolName, input, { name, signal, suggestions, toolUseId }) => {
  same<AbortSignal, typeof signal>()
  if (toolName === 'Bash' && typeof input['command'] === 'string') {
    return { behavior: 'allow', updatedInput: { command: input['command'].trim() }, updatedPermissions: suggestions }
  }
  return { behavior: 'deny', message: `${name} may not do ${toolUseId}`, interrupt: true }
}
const hooks: Hooks = {
  UserPromptSubmit: [{ hooks: [({ prompt }) => (prompt === '' ? { decision: 'block', reason: 'nothing' } : {})] }],
  PreToolUse: [
    {
      matcher: 'Write|Edit',
      timeout: 5000,
      onFailure: 'allow',
      hooks: [
        async ({ tool_name, tool_input, cwd }, toolUseId, { signal }) => {
          if (signal.aborted || toolUseId === undefined || tool_input['file_path'] !== cwd) return {}
          const permissionDecisionReason = `no ${tool_name}`
          return {
            hookSpecificOutput: { hookEventName: 'PreToolUse', permissionDecision: 'deny', permissionDecisionReason },
          }
        },
      ],
    },
  ],
  PostToolUse: [{ hooks: [async ({ tool_response }) => console.log(tool_response)] }],
  PermissionRequest: [
    {
      hooks: [
        ({ tool_input }) => ({
          hookSpecificOutput: {
            hookEventName: 'PermissionRequest',
            decision: { behavior: 'allow', updatedInput: tool_input },
          },
        }),
      ],
    },
  ],
  Stop: [{ hooks: [({ stop_hook_active }) => (stop_hook_active === true ? null : undefined)] }],
  Notification: [{ hooks: [(input) => console.log(input['message'])] }],
}
// @ts-expect-error no such event
const noHooks: Hooks = { PreToolUSe: [] }
// @ts-expect-error a decision has a behavior
const undecided: CanUseTool = () => ({ message: 'no' })
// @ts-expect-error a denial has a message
const speechless: CanUseTool = () => ({ behavior: 'deny' })
const liveOptions: LiveOptions = {
  canUseTool,
  hooks,
  permissions: 'event',
  permissionTimeout: 60_000,
  includePartialMessages: true,
  deltaInterval: 16,
  controlTimeout: 5000,
}
new SessionManager({ ...liveOptions, defaultModel: 'haiku' })
new StreamSession({ ...liveOptions, name: 'a' })
// @ts-expect-error permissions come as events, or not at all
new SessionManager({ permissions: 'callback' })

/** What a person sees of a request, and how it is answered. */
function answered(request: PermissionRequest): string {
  switch (request.kind) {
    case 'question':
      request.allow({ answers: Object.fromEntries(request.questions.map(({ question }) => [question, 'yes'])) })
      return request.questions.map(({ options }) => options.map(({ label }) => label).join()).join()
    case 'plan':
      request.deny('Think again.', { interrupt: false })
      return request.plan ?? ''
    default:
      same<'tool', typeof request.kind>()
      request.allow({ updatedInput: request.input, updatedPermissions: request.suggestions })
      // @ts-expect-error a tool asks no questions
      request.allow({ answers: {} })
      return `${request.name}: ${request.toolName} ${request.toolUseId} ${request.signal.aborted}`
  }
}

function lengthOf(delta: Delta): number {
  switch (delta.kind) {
    case 'text':
      return delta.text.length
    case 'thinking':
      return delta.thinking.length
    default:
      return delta.id.length + delta.json.length
  }
}

/** All items of an answer. */
async function read(answer: AnswerStream): Promise<string> {
  for await (const item of answer) {
    switch (item.type) {
      case 'delta':
        console.log(lengthOf(item))
        if (item.kind === 'text') console.log(item.text)
        break
      case 'text':
        console.log(item.text)
        break
      case 'tool_use':
        console.log(item.name, item.input['command'])
        break
      case 'tool_result':
        console.log(item.tool_use_id, item.is_error)
        break
      case 'gap':
        console.log(item.deltas + item.blocks)
        break
      default:
        same<'response', typeof item.type>()
        return item.response.interrupted ? 'cut' : item.response.text
    }
  }
  return ''
}

async function steered(): Promise<void> {
  const { signal } = new AbortController()
  await mgr.spawn('a', { ...liveOptions, prompt: 'hi' })
  await mgr.batch([{ name: 'b', ...liveOptions }])
  await mgr.fork('a', 'c', { canUseTool, hooks })
  const cut = await mgr.send('a', 'more', { timeout: 1000, signal })
  same<true | undefined, typeof cut.interrupted>()
  await read(mgr.stream('a', 'more', { timeout: 1000, signal, backpressure: 'pause' }))
  await read(mgr.stream('a', 'more', 1000))
  // @ts-expect-error a reader who is slow costs items or time
  mgr.stream('a', 'more', { backpressure: 'drop' })
  const { interrupted } = await mgr.interrupt('a', { dropQueue: true, timeout: 1000 })
  same<boolean, typeof interrupted>()
  await mgr.setModel('a', 'opus')
  await mgr.setModel('a', null)
  await mgr.setPermissionMode('a', 'plan')
  await mgr.setEffort('a', 'low')
  await mgr.setThinking('a', null)
  const { added, removed, errors } = await mgr.setMcpServers('a', {
    local: { command: 'server', args: ['--fast'], env: { KEY: 'x' } },
    remote: { type: 'http', url: 'https://example.com', headers: { authorization: 'x' } },
  })
  console.log(added.concat(removed).map((name) => errors[name]))
  // @ts-expect-error a server is a program or an address
  await mgr.setMcpServers('a', { none: {} })
  const { totalTokens, maxTokens, categories } = await mgr.contextUsage('a')
  console.log(totalTokens / maxTokens, categories.map(({ name, tokens }) => `${name} ${tokens}`).join())
  await mgr.stopTask('a', 'task')
  const { canRewind, filesChanged = [] } = await mgr.rewindFiles('a', 'uuid', { dryRun: true })
  console.log(canRewind, filesChanged.length)
  const payload = await mgr.control('a', { subtype: 'mcp_status', extra: 1 }, { timeout: 100 })
  console.log(payload['mcpServers'])
  // @ts-expect-error a request has a subtype
  await mgr.control('a', {})

  const went = await mgr.resume('a', 'go on', liveOptions)
  same<TurnResponse, typeof went>()
  const silent = await mgr.resume('a', null, { canUseTool })
  same<null, typeof silent>()
  await mgr.recover({ resume: true, options: (name) => (name === 'a' ? liveOptions : null) })
  for (const { id, kind, toolName } of mgr.status('a').pendingPermissions ?? []) console.log(id, kind, toolName)
  console.log(mgr.store.get('a')?.needs?.includes('hooks'), mgr.lastOutput('a')?.interrupted)

  const { signal: own } = new AbortController()
  await session.send('more', { signal: own })
  await read(session.stream('more', { backpressure: 'gap' }))
  await session.interrupt({ dropQueue: true })
  await session.setModel('opus')
  await session.setPermissionMode('plan')
  await session.setEffort('max')
  await session.setThinking(0)
  await session.setMcpServers({})
  await session.contextUsage()
  await session.stopTask('task')
  await session.rewindFiles('uuid')
  await session.control({ subtype: 'get_settings' })
}
session.on('delta', (delta) => console.log(lengthOf(delta)))
session.on('gap', ({ deltas, bytes }) => console.log(deltas, bytes))
session.on('permission', (request) => console.log(answered(request)))
mgr.on('permission', ({ name, type, request }) => {
  same<'permission', typeof type>()
  console.log(name, answered(request))
})

// --- store ---
const store = new Store('/tmp/x')
const record = store.get('a')
same<SessionRecord | null, typeof record>()
store.set('a', { ...record, status: 'stopped', mine: { any: 'thing' } })
store.saveAll(store.loadAll())
same<boolean, ReturnType<typeof store.delete>>()
const removed: number = store.cleanup(3)
console.log(removed, store.list().length, store.dataDir, store.sessionsFile)
// @ts-expect-error a record is an object
store.set('a', 'text')

// --- messages of the CLI ---
function textOf(message: CliMessage): string {
  switch (message.type) {
    case 'assistant':
      return message.message.content.map((block) => (block.type === 'text' ? block.text : block.type)).join('')
    case 'user':
      return typeof message.message.content === 'string' ? message.message.content : ''
    case 'result':
      return `${message.result ?? ''} ${message.total_cost_usd.toFixed(2)}`
    case 'system':
      return message.subtype === 'init' ? (message.model ?? '') : message.subtype
    default:
      // @ts-expect-error such a message has no text
      return message.message
  }
}

// --- errors ---
function stderrOf(error: unknown): string {
  if (!isClearctxError(error)) return ''
  // @ts-expect-error not every error has it
  console.log(error.stderr)
  return error.code === 'ERR_PROCESS_EXITED' ? error.stderr : error.message
}
function describe(error: ClearctxError): string {
  switch (error.code) {
    case 'ERR_PROCESS_EXITED':
      return `${error.exitCode ?? error.signal}: ${error.stderr}`
    case 'ERR_TURN_TIMEOUT':
      return error.sent && error.stillRunning ? 'still running' : 'withdrawn'
    case 'ERR_PERMISSION_MODE':
      return `${error.actual} instead of ${error.asked}`
    case 'ERR_FORK_FAILED':
      return `${error.cost ?? 0} ${error.sessionId ?? ''}`
    case 'ERR_STORE':
      return `${error.path} ${error.holderPid ?? ''} ${error.response?.text ?? ''}`
    case 'ERR_SESSION_NOT_ALIVE':
      return String(error.holderPid)
    case 'ERR_ABORTED':
      return `${error.name satisfies 'AbortError'} ${error.sent} ${String(error.cause)}`
    case 'ERR_CONTROL':
      return error.request
    case 'ERR_CONTROL_TIMEOUT':
      return `${error.request} ${error.timeout} ms`
    case 'ERR_OPTIONS_MISSING':
      return error.missing.join()
    case 'ERR_INVALID_ARG_TYPE':
      return (error satisfies TypeError).message
    default:
      return error.message
  }
}
const code: ErrorCode = 'ERR_SESSION_EXISTS'
// @ts-expect-error no such code
const wrong: ErrorCode = 'ERR_SESSION_EXIST'
console.log(code, wrong, describe, promises, disposed, textOf, stderrOf)
console.log(noHooks, undecided, speechless, steered)
