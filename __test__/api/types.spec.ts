// Compiled, never run: what a caller's compiler accepts and refuses. Imports by name, as callers do.

import {
  SessionManager,
  Store,
  StreamSession,
  isClearctxError,
  type BatchResult,
  type ClearctxError,
  type CliMessage,
  type ContentBlock,
  type ErrorCode,
  type Interaction,
  type InitMessage,
  type LiveSessionSnapshot,
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
  await mgr.send('a', 'hi', { timeout: 5 })

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
