/**
 * clearctx drives many Claude Code CLI processes from one Node.js program. Its named sessions live in long-running
 * processes, take one message after the other, survive restarts, and record exactly what they cost.
 *
 * For every optional argument, and where a type below says `| null | undefined`: `null`, `undefined`, `0` and `''` mean
 * "not given" and leave the default in force. Any other value of a wrong type throws (or rejects with) a `TypeError` with
 * code `ERR_INVALID_ARG_TYPE`; a right type with an impossible value, such as `NaN`, gives a `RangeError` with code
 * `ERR_INVALID_ARG_VALUE`. Both name the argument, and nothing was started or stored. An option that does not exist is
 * ignored, with the warning `CLEARCTX_UNKNOWN_OPTION`.
 *
 * All times are milliseconds, all money is US dollars.
 *
 * @packageDocumentation
 */

import { EventEmitter } from 'node:events'

// ---------------------------------------------------------------------------------------------------------------------
// Manager
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Starts sessions, sends them messages, and keeps their records, all by name.
 *
 * `spawn`, `send`, `resume`, `recover`, `fork`, `batch` and `close` return promises and never throw. All other methods are
 * synchronous and throw. `spawn` and `resume` do everything up to the first message before they return their promise, so
 * `mgr.spawn('a'); mgr.status('a')` works. A change is stored before a method returns or its promise settles.
 *
 * @example
 * ```js
 * const { SessionManager } = require('clearctx')
 *
 * const mgr = new SessionManager()
 * const { response } = await mgr.spawn('fix-auth', { prompt: 'Fix the login bug', allowedTools: ['Read', 'Edit'] })
 * console.log(response.text, response.cost)
 * await mgr.send('fix-auth', 'Now write a test for it')
 * await mgr.close()
 * ```
 */
export class SessionManager {
  /**
   * Creates the data directory if it does not exist. Starts nothing.
   *
   * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_STORE`
   */
  constructor(options?: SessionManagerOptions | null)

  /** The records on disk, shared with every other manager that uses the same directory. */
  readonly store: Store

  /** The live sessions of this manager by name. Read it freely; the manager keeps it up to date. */
  readonly sessions: Map<string, StreamSession>

  /** Model of sessions that name none. A new value applies from the next call on. */
  defaultModel: string

  /**
   * Permission mode of sessions that name none; `'inherit'`: that of the CLI's settings. A new value applies from the next
   * call on.
   */
  defaultPermissionMode: PermissionMode

  /** Time for a turn in ms, if neither the call nor the session gives one. A new value applies from the next call on. */
  defaultTimeout: number

  /**
   * Starts a session. With a prompt, the promise settles with the answer to it; without one, as soon as the process
   * is started.
   *
   * The name must be free: no live session has it, and its record, if there is one, is `stopped`, `killed` or `failed`.
   * The new session replaces that record, with its history and costs; to keep them, use {@link SessionManager.resume}.
   * The event `warning` says what was replaced (code `CLEARCTX_RECORD_REPLACED`). The same holds for the new name of a
   * {@link SessionManager.fork}.
   *
   * @param name Any non-empty string.
   * @returns rejects with `ERR_SESSION_EXISTS`, `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_START_FAILED`,
   *   `ERR_STORE`, and, with a prompt, like {@link SessionManager.send}.
   */
  spawn(name: string, options: SpawnOptions & { prompt: Message }): Promise<SpawnResult<TurnResponse>>
  spawn(name: string, options?: (SpawnOptions & { prompt?: null | undefined }) | null): Promise<SpawnResult<null>>
  spawn(name: string, options?: SpawnOptions | null): Promise<SpawnResult>

  /**
   * Sends a message to a live session and resolves with the answer. A paused session is resumed. Messages to one
   * session are answered one after the other, in the order of the calls.
   *
   * The promise settles exactly once. The stack of an error names the line that awaits the promise. A turn that the CLI
   * ended with an error resolves, with `isError: true`: it cost money and is part of the conversation. So does a turn that
   * was interrupted, with `interrupted: true`.
   *
   * @param options The options of this message, or its `timeout` alone.
   * @returns rejects with `ERR_SESSION_NOT_ALIVE`, `ERR_TURN_TIMEOUT`, `ERR_ABORTED`, `ERR_INTERRUPTED`,
   *   `ERR_PROCESS_EXITED`, `ERR_START_FAILED`, `ERR_CONTROL`, `ERR_CONTROL_TIMEOUT`, `ERR_PERMISSION_MODE`,
   *   `ERR_SESSION_STOPPED`, `ERR_SESSION_KILLED`, `ERR_STORE`.
   */
  send(name: string, message: Message, options?: number | SendOptions | null): Promise<TurnResponse>

  /**
   * Sends a message like {@link SessionManager.send}, at the call, and gives the answer as it grows; its last item is the
   * response. Whoever leaves the loop stops listening; the turn goes on. Text comes piece by piece (`delta`) only in sessions
   * with `includePartialMessages`, and always as whole blocks.
   *
   * A reader that does not keep up loses items from 1000 of them, or a million characters, on: a `gap` says how many. With
   * `backpressure: 'pause'` the CLI's output waits for the reader instead, and with it the turn.
   *
   * The loop throws what `send` would reject with.
   *
   * @throws `ERR_SESSION_NOT_ALIVE`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, at the call
   *
   * @example
   * ```js
   * for await (const item of mgr.stream('worker', 'Tell me more')) {
   *   if (item.type === 'text') console.log(item.text)
   *   if (item.type === 'response') console.log(item.response.cost)
   * }
   * ```
   */
  stream(name: string, message: Message, options?: number | StreamOptions | null): AnswerStream

  /**
   * Cuts the turn that runs, or the message that is about to become one. Its `send` resolves with `interrupted: true`, the
   * text so far and what it cost; the session lives on. Resolves when the turn has ended: `interrupted` is `false` if there
   * was none, or if it had ended by itself.
   *
   * Agents in the background end with the turn; commands in the background go on.
   *
   * @returns rejects with `ERR_SESSION_NOT_ALIVE`, `ERR_CONTROL`, and `ERR_CONTROL_TIMEOUT` if the turn goes on.
   */
  interrupt(name: string, options?: InterruptOptions | null): Promise<InterruptResult>

  /**
   * Sends a control request of the CLI's protocol, for what has no method here, and resolves with the payload of the answer,
   * `{}` if there is none. The request is passed on unchecked: what a version does with it is its own affair.
   *
   * @returns rejects with `ERR_SESSION_NOT_ALIVE`, `ERR_CONTROL` (the CLI's words), `ERR_CONTROL_TIMEOUT`. So do all the
   *   methods from here to `rewindFiles`.
   */
  control(name: string, request: ControlRequest, options?: ControlOptions | null): Promise<Record<string, unknown>>

  /**
   * Changes the model of a live session, at the latest from the next turn on. A name is kept in the record: later processes
   * have it, too.
   *
   * @param model Name or alias, passed on unchecked; `null`: the CLI's default.
   */
  setModel(name: string, model: string | null): Promise<void>

  /**
   * Changes the permission mode of a live session at once, also for the running turn. The mode is kept in the record. The CLI
   * refuses `bypassPermissions` in a process that was not started with it.
   */
  setPermissionMode(name: string, mode: PermissionMode): Promise<void>

  /** Changes the effort of this process. Not kept in the record. A level that the CLI does not know changes nothing. */
  setEffort(name: string, effort: Effort): Promise<void>

  /**
   * Limits the model's thinking in this process. Not kept in the record.
   *
   * @param maxTokens 0: no thinking, where the model can do without; `null`: the CLI's default.
   */
  setThinking(name: string, maxTokens: number | null): Promise<void>

  /**
   * Replaces the MCP servers that were added to this process while it ran; `{}` removes them. The servers of the CLI's
   * settings stay. Configurations go through standard input and are not kept in the record. Raise `controlTimeout` for
   * servers that take long to connect.
   */
  setMcpServers(name: string, servers: Readonly<Record<string, McpServerConfig>>): Promise<McpServersResult>

  /** What fills the context window of a live session. Asks no model; the CLI may let the API count tokens. */
  contextUsage(name: string): Promise<ContextUsage>

  /** Ends a background task. The CLI reports no error for an id that it does not know. */
  stopTask(name: string, taskId: string): Promise<void>

  /**
   * Puts files back to their state before a message of yours. Only what the CLI's own tools changed is put back, and the
   * conversation stays. The CLI keeps the files' states only with `CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING: 'true'` in the
   * option `env`.
   *
   * @param messageId The message's `uuid` in the CLI's transcript.
   */
  rewindFiles(name: string, messageId: string, options?: RewindOptions | null): Promise<RewindResult>

  /**
   * Pauses a session. Its process lives on and a turn in flight finishes; messages in line wait for `resume` or the
   * next `send`.
   *
   * @throws `ERR_SESSION_NOT_ALIVE`, `ERR_STORE`
   */
  pause(name: string): void

  /**
   * Resumes a paused session, or starts a process that continues the conversation of a stored one, in the directory in
   * which that conversation began.
   *
   * @param message First message after resuming, if any.
   * @param options What the record does not keep: a session that had callbacks needs them again. Without effect on a session
   *   that is alive.
   * @returns the answer to `message`, or `null` without one. Rejects with `ERR_SESSION_NOT_FOUND`, `ERR_NO_SESSION_ID`,
   *   `ERR_OPTIONS_MISSING`, `ERR_SESSION_HELD` (alive elsewhere), `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_STORE`, and,
   *   with a message, like `send`. If the CLI does not know the conversation, the session becomes `failed`, emits `error`
   *   and `close`, and the message is rejected with `ERR_START_FAILED`.
   */
  resume(name: string, message: Message, options?: LiveOptions | null): Promise<TurnResponse>
  resume(name: string, message?: null, options?: LiveOptions | null): Promise<null>
  resume(name: string, message?: Message | null, options?: LiveOptions | null): Promise<TurnResponse | null>

  /**
   * Reports each session that was alive when its program ended, and its messages without an answer. Processes that such a
   * program left running are ended first. Nothing is sent unless you ask for it.
   *
   * With `resume` the sessions continue, as with {@link SessionManager.resume}, and answers that only the CLI's transcript
   * has go into their history. With `resend` (which needs `resume`) messages that never reached the conversation are sent
   * again, each with its old uuid, and the promise waits for their answers. A `close()` that is called before the outcome
   * is known resumes nothing: each session has an `error` with code `ERR_SESSION_STOPPED`.
   *
   * @returns rejects with `ERR_STORE`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`. A failure of one session is the
   *   `error` of its element.
   *
   * @example
   * ```js
   * for (const { name, verdict, lastPrompt } of await mgr.recover({ resume: true })) {
   *   if (verdict === 'unanswered') await mgr.send(name, `Check how much of this is done, then continue: ${lastPrompt}`)
   * }
   * ```
   */
  recover(options?: RecoverOptions | null): Promise<RecoveredSession[]>

  /**
   * Branches a conversation: `newName` becomes a live session that knows everything said in `sourceName` so far. The
   * source does not change. A fork costs one turn: while it runs, `status` and `list` show the fork, and `kill` ends it; from
   * its answer on the fork is in `sessions` and in the store. The new session inherits the source's options unless `options`
   * overrides them; `newName` is checked and reserved like the name of a `spawn`.
   *
   * The first turn of a fork runs under the callbacks of its live source, unless `options` has others. A stored source that
   * had callbacks needs them in `options`.
   *
   * @returns rejects with `ERR_SESSION_NOT_FOUND`, `ERR_NO_SESSION_ID`, `ERR_OPTIONS_MISSING` (about the source),
   *   `ERR_SESSION_EXISTS` (about the new name), `ERR_PERMISSION_MODE`, `ERR_STORE`, and with `ERR_FORK_FAILED` for every
   *   other failure. Its `cause` is the underlying error, if that has a code of its own.
   */
  fork(sourceName: string, newName: string, options?: ForkOptions | null): Promise<ForkResult>

  /**
   * Ends a session gracefully. The session leaves `sessions` at once and its name is free. Messages in line are rejected
   * with `ERR_SESSION_STOPPED`; a turn in flight may run for the rest of its time and is recorded. Then the process is
   * ended by escalation: end of input, `stopTimeout`, SIGINT, `killTimeout`, SIGKILL to the process and all its
   * descendants.
   *
   * @throws `ERR_SESSION_NOT_ALIVE`, `ERR_STORE`
   */
  stop(name: string): void

  /**
   * Ends a session at once: SIGKILL to its process and all descendants. Messages in flight and in line are rejected
   * with `ERR_SESSION_KILLED`. Does nothing for an unknown name. A session that another live process of this machine
   * owns is ended too.
   *
   * @throws `ERR_STORE`
   */
  kill(name: string): void

  /**
   * {@link SessionManager.stop} for every live session of this manager.
   *
   * @throws `ERR_STORE`
   */
  stopAll(): void

  /**
   * The state of a live session, or its record.
   *
   * @throws `ERR_SESSION_NOT_FOUND`, `ERR_STORE`
   */
  status(name: string): SessionSnapshot

  /**
   * All sessions, live and stored.
   *
   * @param statusFilter Only those with this status.
   * @throws `ERR_STORE`
   */
  list(statusFilter?: SessionStatus | (string & {}) | null): SessionSnapshot[]

  /**
   * The turns of a session, oldest first. For a live session this is the same array at every call, and it grows.
   *
   * @throws `ERR_SESSION_NOT_FOUND`, `ERR_STORE`
   */
  history(name: string): Interaction[]

  /**
   * The last turn of a session, `null` before the first.
   *
   * @throws `ERR_SESSION_NOT_FOUND`, `ERR_STORE`
   */
  lastOutput(name: string): Interaction | null

  /**
   * Kills a session if it is alive and removes its record. The CLI's own transcript of the conversation stays.
   *
   * @throws `ERR_STORE`
   */
  delete(name: string): void

  /**
   * Removes records that were last saved more than `days` days ago, but never the record of a live session.
   *
   * @param days Default 7. Here 0 is a value: it removes the records of all sessions that are not alive.
   * @returns how many records were removed.
   * @throws `ERR_STORE`
   */
  cleanup(days?: number | null): number

  /**
   * Spawns all sessions of a list in parallel. Results come in the order of the list. A failed spawn does not reject: its
   * element has `error`, the message, and `cause`, the error itself.
   */
  batch(specs: readonly BatchSpec[]): Promise<BatchResult[]>

  /**
   * {@link SessionManager.stopAll}, then waits until every process is gone and everything is written. Forks whose first
   * turn is running are killed, and a `recover` in flight resumes nothing. Call it before your program ends. The files of
   * the data directory are closed; the manager may be used again, which opens them.
   *
   * @param options.timeout Longest wait in ms; processes that still run then are killed. Default: as long as the turns in
   *   flight and the escalation take at most.
   * @returns rejects with `ERR_STORE`.
   */
  close(options?: { timeout?: number | null | undefined } | null): Promise<void>

  /** {@link SessionManager.close} without a limit of time, for `await using mgr = new SessionManager()`. */
  [Symbol.asyncDispose](): Promise<void>

  /**
   * Calls the listener with each event of this type, of every session of this manager. The listener runs after the
   * session's own listeners. An exception in it is an uncaught one of your program; it affects no session.
   *
   * @throws `ERR_INVALID_ARG_TYPE`
   *
   * @example
   * ```js
   * mgr.on('turn', ({ name, response }) => console.log(name, response.cost))
   * ```
   */
  on<T extends keyof SessionManagerEvents>(type: T, listener: (event: SessionManagerEvents[T]) => void): this

  /**
   * {@link SessionManager.on} for the next event only.
   *
   * @throws `ERR_INVALID_ARG_TYPE`
   */
  once<T extends keyof SessionManagerEvents>(type: T, listener: (event: SessionManagerEvents[T]) => void): this

  /** Removes a listener. Does nothing if it was not added. */
  off<T extends keyof SessionManagerEvents>(type: T, listener: (event: SessionManagerEvents[T]) => void): this

  /**
   * Returns a live session by name. A hook for subclasses: every method that needs a live session gets it here.
   *
   * @throws `ERR_SESSION_NOT_ALIVE`
   */
  protected _getSession(name: string): StreamSession

  /**
   * Saves the present state of a live session; does nothing for other names. A hook for subclasses.
   *
   * @throws `ERR_STORE`
   */
  protected _persist(name: string): void

  /**
   * Called with each new session before its process starts. A hook in which a subclass can add listeners; it should call
   * `super._wireEvents(session)` too.
   */
  protected _wireEvents(session: StreamSession): void
}

/** The events of a {@link SessionManager}, by type. */
export interface SessionManagerEvents {
  turn: TurnEvent
  status: StatusEvent
  permission: PermissionEvent
  warning: WarningEvent
  error: ErrorEvent
  close: CloseEvent
}

/** What every event of a {@link SessionManager} has. */
export interface SessionManagerEvent {
  type: keyof SessionManagerEvents
  /** Name of the session. */
  name: string
}

/**
 * A turn ended, including turns that the CLI started by itself and late answers. Comes once for each turn, before the
 * promise of its message settles.
 */
export interface TurnEvent extends SessionManagerEvent {
  type: 'turn'
  response: TurnResponse
  /** The turn's entry in the history. */
  interaction: Interaction
}

/** The status of a session changed. */
export interface StatusEvent extends SessionManagerEvent {
  type: 'status'
  status: SessionStatus
  previous: SessionStatus
}

/** A session asks for a permission. Comes only from sessions with `permissions: 'event'`. */
export interface PermissionEvent extends SessionManagerEvent {
  type: 'permission'
  request: PermissionRequest
}

/** Something about a session is not as it should be, though no call failed. */
export interface WarningEvent extends SessionManagerEvent {
  type: 'warning'
  /** Stable; docs/errors.md lists all codes. */
  code: string
  message: string
  /** With `CLEARCTX_RECORD_REPLACED`: the session whose record is gone. */
  replaced?: ReplacedSession
}

/** What is known of a session whose record a new one of the same name has replaced. */
export interface ReplacedSession {
  status: SessionStatus
  /** The CLI's id of the conversation, `null` if it had no turn. */
  claudeSessionId: string | null
  /** What it had cost, in USD. */
  totalCostUsd: number
  totalTurns: number
}

/**
 * A failure that belongs to no call: the process ended unasked, or the CLI refused to start. Without a listener it is
 * dropped.
 */
export interface ErrorEvent extends SessionManagerEvent {
  type: 'error'
  error: ClearctxError
}

/** The process of a session has ended. Always the last event of that process. */
export interface CloseEvent extends SessionManagerEvent {
  type: 'close'
  /** Exit code; `null` if a signal ended it, or if there never was a process. */
  code: number | null
  signal: string | null
}

/** Options of {@link SessionManager}. */
export interface SessionManagerOptions extends RunOptions, StoreOptions, LiveOptions {
  /** Where the records are kept. Default `~/.clearctx`, created with mode 0700. */
  dataDir?: string | null | undefined
  /** Default `'sonnet'`. */
  defaultModel?: string | null | undefined
  /** Default `'default'`. */
  defaultPermissionMode?: PermissionMode | null | undefined
  /** Time for a turn in ms. Default 600000 (10 minutes). */
  defaultTimeout?: number | null | undefined
}

/**
 * How records are kept. The options apply to everything in this program that uses the same directory: the stronger
 * `durability` and the latest `maxHistory` win.
 */
export interface StoreOptions {
  /**
   * What stored changes survive. `'os'` (default): a kill of the program at any moment. `'disk'`: also a power loss,
   * from the moment a promise settles; turns that end at the same time share one sync. A change by a synchronous method
   * is on the disk a moment later, or after `flush()`.
   */
  durability?: 'os' | 'disk' | null | undefined
  /** How many of its newest interactions a record keeps, and its session while it lives. Default: all. */
  maxHistory?: number | null | undefined
}

/** How the CLI is found, which environment it inherits, and how it is ended. */
export interface RunOptions {
  /**
   * The CLI's program: a path or a name. Default: the environment variable `CLEARCTX_CLAUDE_PATH`, else `claude`. A
   * name is looked up on the PATH of the child's environment each time a process is started.
   */
  claudePath?: string | null | undefined
  /** Merged over `process.env` for the CLI's processes; `undefined` removes a variable. Never stored. */
  env?: Readonly<Record<string, string | undefined>> | null | undefined
  /** From the end of the CLI's input to SIGINT, in ms. Default 5000. */
  stopTimeout?: number | null | undefined
  /** From SIGINT to SIGKILL, in ms. Default 2000. */
  killTimeout?: number | null | undefined
}

/** What a session is started with. */
export interface SessionOptions extends LiveOptions {
  /** Model name or alias; passed on unchecked. Default: the manager's `defaultModel`. */
  model?: string | null | undefined
  /** Directory the CLI works in; must exist. Default: `process.cwd()` at the call. */
  workDir?: string | null | undefined
  /**
   * What tools may do without asking. Passed to every process of the session; `'inherit'` leaves it to the CLI's
   * settings. Default: the manager's `defaultPermissionMode`.
   */
  permissionMode?: PermissionMode | null | undefined
  /** Tools that run without asking, for instance `['Read', 'Bash(git log *)']`. Default: none beyond the CLI's settings. */
  allowedTools?: readonly string[] | null | undefined
  /** Text of any length, added to the CLI's system prompt. */
  systemPrompt?: string | null | undefined
  /** The CLI's own limit for one process, in USD. Default: none. `0` means "not given", with a warning. */
  maxBudget?: number | null | undefined
  /** Agent to run as. */
  agent?: string | null | undefined
  /** Time for each turn in ms. Default: the manager's `defaultTimeout`. */
  timeout?: number | null | undefined
  /** Labels of your own, kept in the record. */
  tags?: readonly string[] | null | undefined
}

/**
 * What a program answers and hears while turns run: options of a manager, and of a session, whose own go before those of the
 * manager. Functions are never stored. The record says which of `canUseTool` and `hooks` a session had (`needs`), and no later
 * process of it starts without them (`ERR_OPTIONS_MISSING`).
 */
export interface LiveOptions {
  /**
   * Decides on tool calls that neither the permission mode nor `allowedTools` decides on. If it throws, answers anything
   * else, or takes longer than `permissionTimeout`, the call is denied and the turn goes on. Default: none.
   */
  canUseTool?: CanUseTool | null | undefined
  /**
   * `'event'`: permission requests are events `permission` of the session and the manager, answered by `request.allow` or
   * `request.deny`. Without a listener they are denied at once, unless there is a `canUseTool`; the first answer counts.
   * Default: no such events.
   */
  permissions?: 'event' | null | undefined
  /** Longest wait for the answer to a permission request, in ms; then the call is denied. Default 600000 (10 minutes). */
  permissionTimeout?: number | null | undefined
  /** Functions that the CLI calls at points of a turn. Default: none. */
  hooks?: Hooks | null | undefined
  /** Whether the CLI tells pieces of its answers, for the event `delta` and for `stream()`. Default `false`. */
  includePartialMessages?: boolean | null | undefined
  /** For how long pieces of an answer are joined, in ms. Default 16. */
  deltaInterval?: number | null | undefined
  /** Longest wait for the CLI's answer to a control request, in ms. Default 10000. */
  controlTimeout?: number | null | undefined
  /**
   * Kinds of failures after which nobody waits for the CLI's retries, which take up to three minutes: the turn ends at its
   * first retry. The send resolves with `isError` and the `failure`, and the session goes on. Default: none.
   */
  failFast?: readonly FailureKind[] | null | undefined
}

/** Options of {@link SessionManager.recover}. */
export interface RecoverOptions {
  /** Whether the sessions continue. Default `false`. */
  resume?: boolean | null | undefined
  /** Whether messages that never reached the conversation are sent again. Needs `resume`. Default `false`. */
  resend?: boolean | null | undefined
  /** With `resume`: what the records do not keep, for the session of this name. */
  options?: ((name: string) => LiveOptions | null | undefined) | null | undefined
}

/** Options of {@link SessionManager.send}. */
export interface SendOptions {
  /**
   * Time for this message in ms, waiting in line included. It stands still while the turn waits for a permission. Default:
   * the session's.
   */
  timeout?: number | null | undefined
  /**
   * Gives up the message: one that waits is withdrawn, one whose turn runs is interrupted. The promise rejects with
   * `ERR_ABORTED` at once.
   */
  signal?: AbortSignal | undefined
}

/** Options of {@link SessionManager.stream}. */
export interface StreamOptions extends SendOptions {
  /** What a reader who does not keep up costs: items, counted in a `gap` (default), or, with `'pause'`, time. */
  backpressure?: 'gap' | 'pause' | undefined
}

/** Options of {@link SessionManager.interrupt}. */
export interface InterruptOptions {
  /** Whether messages in line are rejected with `ERR_INTERRUPTED`, `sent: false`. Default `false`. */
  dropQueue?: boolean | null | undefined
  /** Longest wait for the end of the turn, in ms. Default: `controlTimeout`. */
  timeout?: number | null | undefined
}

/** What {@link SessionManager.interrupt} resolves to. */
export interface InterruptResult {
  /** Whether a turn was cut. */
  interrupted: boolean
}

/** Options of {@link SessionManager.control}. */
export interface ControlOptions {
  /** Longest wait for the answer, in ms. Default: `controlTimeout`. */
  timeout?: number | null | undefined
}

/** A request of the CLI's control protocol. */
export interface ControlRequest {
  /** Which request it is, for instance `mcp_status`. */
  subtype: string
  [field: string]: unknown
}

/** How much the model works on an answer. Models differ in the levels they have. */
export type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max' | (string & {})

/** An MCP server: a program that the CLI starts, or an address. */
export type McpServerConfig =
  | {
      type?: 'stdio' | undefined
      command: string
      args: readonly string[]
      env?: Readonly<Record<string, string>> | undefined
    }
  | { type: 'http' | 'sse'; url: string; headers?: Readonly<Record<string, string>> | undefined }

/** What {@link SessionManager.setMcpServers} changed. */
export interface McpServersResult {
  /** Names of servers that are new. */
  added: string[]
  /** Names of servers that are gone. */
  removed: string[]
  /** Why servers are not connected, by name. */
  errors: Record<string, string>
}

/** What fills a context window, as the CLI reports it. Further fields differ by version. */
export interface ContextUsage {
  /** Tokens in use. */
  totalTokens: number
  /** Tokens that the window holds. */
  maxTokens: number
  /** From 0 to 100. */
  percentage: number
  /** What takes them. */
  categories: { name: string; tokens: number; [field: string]: unknown }[]
  [field: string]: unknown
}

/** Options of {@link SessionManager.rewindFiles}. */
export interface RewindOptions {
  /** Whether it is only told what would change. Default `false`. */
  dryRun?: boolean | null | undefined
}

/** What {@link SessionManager.rewindFiles} did, or would do. */
export interface RewindResult {
  canRewind: boolean
  /** With `dryRun`: paths of the files that would change. */
  filesChanged?: string[]
  /** With `dryRun`: lines. */
  insertions?: number
  /** With `dryRun`: lines. */
  deletions?: number
  [field: string]: unknown
}

/** Options of {@link SessionManager.spawn}. */
export interface SpawnOptions extends SessionOptions {
  /** First message, sent at once. */
  prompt?: Message | null | undefined
}

/** Options of {@link SessionManager.fork}. Options that you do not give are inherited from the source, except `tags`. */
export interface ForkOptions extends SessionOptions {
  /** First message of the fork. Default `'Continue from the forked conversation.'` */
  message?: string | null | undefined
  /** Time for the fork's first turn and each later one, in ms. Default: 600000 for the first, the source's for later ones. */
  timeout?: number | null | undefined
}

/** One element of {@link SessionManager.batch}'s list. */
export interface BatchSpec extends SpawnOptions {
  name: string
}

/** What {@link SessionManager.spawn} resolves to. With a prompt, `R` is without `null`. */
export interface SpawnResult<R extends TurnResponse | null = TurnResponse | null> {
  session: LiveSessionSnapshot
  /** The CLI's latest `init` message, `null` before the first turn. */
  initData: InitMessage | null
  /** Answer to the prompt, `null` without one. The empty string is none. */
  response: R
}

/** What {@link SessionManager.fork} resolves to. */
export interface ForkResult {
  session: LiveSessionSnapshot
  /** Answer to the fork's first message. */
  response: TurnResponse
}

/** One element of {@link SessionManager.batch}'s answer. */
export type BatchResult = (SpawnResult & { error?: undefined }) | BatchFailure

/** A spawn of a batch that failed. */
export interface BatchFailure {
  session: { name: string; status: 'failed' }
  /** The error's message. */
  error: string
  /** The error itself; not enumerable. */
  readonly cause: ClearctxError
  initData?: undefined
  response?: undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Session
// ---------------------------------------------------------------------------------------------------------------------

/**
 * One session: a conversation and the process that runs it. A manager makes its own sessions. A session can also be used
 * without a manager; then it is not stored.
 *
 * The state of a session changes only during your calls and while its events are delivered, never in between. An `error`
 * event without a listener is dropped; it does not end the program.
 *
 * @example
 * ```js
 * const session = new StreamSession({ name: 'scratch', model: 'haiku' })
 * session.on('text', (text) => process.stdout.write(text))
 * session.start()
 * await session.send('Say hello')
 * session.stop()
 * await session.closed
 * ```
 */
export class StreamSession extends EventEmitter {
  /** @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE` */
  constructor(options: StreamSessionOptions)

  /** Your name for the session. */
  readonly name: string
  /** The CLI's id of the conversation, `null` before the first `init`. `/clear` changes it. */
  readonly id: string | null
  readonly status: SessionStatus
  /** `start()` uses the values that this and the following options have when it is called. */
  model: string
  workDir: string
  /** From the first `init` on, the mode in force. The model can change it (plan mode); assigning it has no effect then. */
  permissionMode: PermissionMode
  allowedTools: string[]
  systemPrompt: string
  maxBudget: number | null
  agent: string | null
  tags: string[]
  /** Time for a turn in ms. A new value applies from the next `send` on. */
  timeout: number
  /** The CLI's latest `init` message, `null` before the first. */
  readonly initData: InitMessage | null
  /** All turns so far, oldest first. Always the same array, until you assign another one, which replaces the history. */
  interactions: Interaction[]
  /** What the session has cost over all its processes, in USD. */
  totalCostUsd: number
  /** The `turns` of all responses, added up over all its processes: turns of the model, not messages of yours. */
  totalTurns: number
  /** ISO 8601, when the session was first created. */
  readonly created: string
  /** Process id of the CLI, `null` before there is one. */
  readonly pid: number | null
  /** Resolves when the process has ended and all its output has been read. Never rejects. */
  readonly closed: Promise<ProcessEnd>

  /**
   * Starts the process, without waiting for it. A session can be started once.
   *
   * @throws `ERR_CLI_NOT_FOUND`, `ERR_WORKDIR`, `ERR_START_FAILED`, `ERR_SESSION_EXISTS` (started before),
   *   `ERR_SESSION_HELD` (another session has the conversation)
   */
  start(): void

  /** Like {@link SessionManager.send}. Rejects, never throws. */
  send(message: Message, options?: number | SendOptions | null): Promise<TurnResponse>

  /**
   * Like {@link SessionManager.stream}.
   *
   * @throws `ERR_SESSION_NOT_ALIVE` (not started), `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   */
  stream(message: Message, options?: number | StreamOptions | null): AnswerStream

  /** Like {@link SessionManager.interrupt}. */
  interrupt(options?: InterruptOptions | null): Promise<InterruptResult>
  /** Like {@link SessionManager.control}. */
  control(request: ControlRequest, options?: ControlOptions | null): Promise<Record<string, unknown>>
  /** Like {@link SessionManager.setModel}. */
  setModel(model: string | null): Promise<void>
  /** Like {@link SessionManager.setPermissionMode}. */
  setPermissionMode(mode: PermissionMode): Promise<void>
  /** Like {@link SessionManager.setEffort}. */
  setEffort(effort: Effort): Promise<void>
  /** Like {@link SessionManager.setThinking}. */
  setThinking(maxTokens: number | null): Promise<void>
  /** Like {@link SessionManager.setMcpServers}. */
  setMcpServers(servers: Readonly<Record<string, McpServerConfig>>): Promise<McpServersResult>
  /** Like {@link SessionManager.contextUsage}. */
  contextUsage(): Promise<ContextUsage>
  /** Like {@link SessionManager.stopTask}. */
  stopTask(taskId: string): Promise<void>
  /** Like {@link SessionManager.rewindFiles}. */
  rewindFiles(messageId: string, options?: RewindOptions | null): Promise<RewindResult>

  /**
   * Like {@link SessionManager.pause}.
   *
   * @throws `ERR_SESSION_NOT_ALIVE`
   */
  pause(): void

  /**
   * Ends a `pause`.
   *
   * @throws `ERR_SESSION_NOT_ALIVE`
   */
  resume(): void

  /** Like {@link SessionManager.stop}. Does nothing for a session that has ended. */
  stop(): void

  /** Like {@link SessionManager.kill}. Does nothing for a session that has ended. */
  kill(): void

  /** The session's present state as plain data. */
  toJSON(): LiveSessionSnapshot

  on<E extends keyof StreamSessionEvents>(event: E, listener: (...args: StreamSessionEvents[E]) => void): this
  once<E extends keyof StreamSessionEvents>(event: E, listener: (...args: StreamSessionEvents[E]) => void): this
  off<E extends keyof StreamSessionEvents>(event: E, listener: (...args: StreamSessionEvents[E]) => void): this
  addListener<E extends keyof StreamSessionEvents>(event: E, listener: (...args: StreamSessionEvents[E]) => void): this
  removeListener<E extends keyof StreamSessionEvents>(
    event: E,
    listener: (...args: StreamSessionEvents[E]) => void,
  ): this
  prependListener<E extends keyof StreamSessionEvents>(
    event: E,
    listener: (...args: StreamSessionEvents[E]) => void,
  ): this
  prependOnceListener<E extends keyof StreamSessionEvents>(
    event: E,
    listener: (...args: StreamSessionEvents[E]) => void,
  ): this
  emit<E extends keyof StreamSessionEvents>(event: E, ...args: StreamSessionEvents[E]): boolean
}

/** Options of {@link StreamSession}. The defaults are those of a manager without options. */
export interface StreamSessionOptions extends SessionOptions, RunOptions {
  /** Your name for the session. */
  name: string
  /** The CLI's id of a conversation to continue. */
  sessionId?: string | null | undefined
}

/** The events of a {@link StreamSession} and the arguments of their listeners. */
export interface StreamSessionEvents {
  /** A turn begins, including turns that the CLI starts by itself. */
  init: [init: InitMessage]
  /** Every message of the CLI, parsed. Costs nothing while nobody listens. */
  message: [message: CliMessage]
  /** Text of the assistant, block by block. */
  text: [text: string]
  /** The assistant calls a tool. */
  tool_use: [block: ToolUseBlock]
  /** A tool has answered. */
  tool_result: [block: ToolResultBlock]
  /** A piece of an answer, in sessions with `includePartialMessages`. Costs nothing while nobody listens. */
  delta: [delta: Delta]
  /** Pieces were dropped, since JavaScript did not keep up. The whole blocks come all the same. */
  gap: [gap: Gap]
  /** The session asks for a permission. Comes only with `permissions: 'event'`. */
  permission: [request: PermissionRequest]
  /** A turn ended, including turns that the CLI started by itself and late answers. */
  result: [response: TurnResponse, interaction: Interaction]
  /** The CLI waits after an error of the API, then tries again. It may do so for minutes: ten times after a 401. */
  retry: [retry: Retry]
  /** Text that the CLI wrote to standard error. */
  stderr: [text: string]
  /** The status changed. */
  status: [status: SessionStatus, previous: SessionStatus]
  /** A failure that belongs to no call: the process ended unasked, or the CLI refused to start. */
  error: [error: ClearctxError]
  /** The process has ended. Always the last event; the session is out of the manager's `sessions` already. */
  close: [code: number | null, signal: string | null]
  /** Node.js: a listener is about to be added. */
  newListener: [event: string | symbol, listener: (...args: any[]) => void]
  /** Node.js: a listener was removed. */
  removeListener: [event: string | symbol, listener: (...args: any[]) => void]
}

/** The CLI tries again after an error of the API. */
export interface Retry {
  /** Number of the retry, from 1. */
  attempt: number
  /** How long the CLI waits, in ms. */
  delay: number
  /** Why. */
  failure: Failure
}

/** How a process ended: by itself with a code, or by a signal. Both are `null` if there never was a process. */
export interface ProcessEnd {
  code: number | null
  signal: string | null
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers as they grow
// ---------------------------------------------------------------------------------------------------------------------

/** A piece of an answer. Pieces of one kind that come within `deltaInterval` are joined. */
export type Delta = TextDelta | ThinkingDelta | ToolInputDelta

/** Text of the answer. */
export interface TextDelta {
  kind: 'text'
  text: string
}

/** Text of the model's thinking. */
export interface ThinkingDelta {
  kind: 'thinking'
  thinking: string
}

/** A part of the input of a tool call. */
export interface ToolInputDelta {
  kind: 'tool_input'
  /** The call: the `id` of the block `tool_use` that follows. */
  id: string
  /** A part of the input's JSON. */
  json: string
}

/** What was dropped of a session's pieces. */
export interface Gap {
  /** Number of pieces. */
  deltas: number
  /** Their length. */
  bytes: number
}

/** The answer to one message. Read it once. */
export interface AnswerStream extends AsyncIterableIterator<StreamItem> {
  /** The next item; waits for it. Rejects with the reason if there is no response. */
  next(): Promise<IteratorResult<StreamItem, undefined>>
  /** Stops listening; the turn goes on. */
  return(): Promise<IteratorResult<StreamItem, undefined>>
}

/** An item of an answer; `type` tells which. */
export type StreamItem = DeltaItem | TextBlock | ToolUseBlock | ToolResultBlock | GapItem | ResponseItem

/** A piece of the answer, in sessions with `includePartialMessages`. */
export type DeltaItem = { type: 'delta' } & Delta

/** Items were dropped here. */
export interface GapItem {
  type: 'gap'
  /** Number of pieces. */
  deltas: number
  /** Number of whole blocks. */
  blocks: number
}

/** The whole answer; the last item. */
export interface ResponseItem {
  type: 'response'
  response: TurnResponse
}

// ---------------------------------------------------------------------------------------------------------------------
// Permissions
// ---------------------------------------------------------------------------------------------------------------------

/** Decides on a tool call. */
export type CanUseTool = (
  toolName: string,
  input: Record<string, unknown>,
  context: PermissionContext,
) => PermissionDecision | Promise<PermissionDecision>

/** What a {@link CanUseTool} is told beside the call. */
export interface PermissionContext {
  /** Name of the session. */
  name: string
  /** Aborted when no answer is wanted any more: the time is over, the turn was interrupted, the process has ended. */
  signal: AbortSignal
  /** Changes of the permissions with which the CLI would not ask again. */
  suggestions: PermissionUpdate[]
  /** The call: the `id` of its block `tool_use`. */
  toolUseId: string
}

/** The answer of a {@link CanUseTool}. */
export type PermissionDecision =
  | {
      behavior: 'allow'
      /** What the tool gets instead of its input. */
      updatedInput?: Record<string, unknown> | undefined
      /** Changes of the permissions, for instance some of the `suggestions`. */
      updatedPermissions?: readonly PermissionUpdate[] | undefined
    }
  | {
      behavior: 'deny'
      /** Told to the model. */
      message: string
      /** Whether the turn ends, too; the model does not get the message then. */
      interrupt?: boolean | undefined
    }

/** A change of what is allowed, in the CLI's form. */
export type PermissionUpdate =
  | {
      type: 'addRules' | 'replaceRules' | 'removeRules'
      rules: { toolName: string; ruleContent?: string | undefined }[]
      behavior: 'allow' | 'deny' | 'ask'
      destination: PermissionDestination
    }
  | { type: 'addDirectories' | 'removeDirectories'; directories: string[]; destination: PermissionDestination }
  | { type: 'setMode'; mode: PermissionMode; destination: PermissionDestination }

/** Where a change is kept: in this process (`session`), or in a settings file. */
export type PermissionDestination = 'session' | 'localSettings' | 'projectSettings' | 'userSettings' | (string & {})

/**
 * A permission that a session asks for; `kind` tells what for. The first answer counts; every later one does nothing, also
 * that to a request which is over.
 */
export type PermissionRequest = ToolRequest | QuestionRequest | PlanRequest

/** What all permission requests have. */
export interface BasePermissionRequest {
  /** Names the request. */
  id: string
  /** Name of the session. */
  name: string
  toolName: string
  input: Record<string, unknown>
  /** The call: the `id` of its block `tool_use`. */
  toolUseId: string
  /** Changes of the permissions with which the CLI would not ask again. */
  suggestions: PermissionUpdate[]
  /** Aborted when no answer is wanted any more: the time is over, the turn was interrupted, the process has ended. */
  signal: AbortSignal
  /** Lets the tool run. After the first answer this does nothing. */
  allow(answer?: AllowAnswer): void
  /**
   * Refuses the call; the turn goes on. After the first answer this does nothing.
   * @param message Told to the model. Default: that the program denied the call.
   * @param options.interrupt Whether the turn ends, too.
   */
  deny(message?: string, options?: { interrupt?: boolean | undefined }): void
}

/** A tool that is to run. */
export interface ToolRequest extends BasePermissionRequest {
  kind: 'tool'
}

/** Questions of the model to a person. */
export interface QuestionRequest extends BasePermissionRequest {
  kind: 'question'
  questions: Question[]
  /** Answers the questions; without `answers` the model is told that there were none. */
  allow(answer?: QuestionAnswer): void
}

/** A plan to be approved. Allowing it ends the plan mode. */
export interface PlanRequest extends BasePermissionRequest {
  kind: 'plan'
  /** Text of the plan, `null` if the model has written none. */
  plan: string | null
}

/** How a permission is given. */
export interface AllowAnswer {
  /** What the tool gets instead of its input. */
  updatedInput?: Record<string, unknown> | undefined
  /** Changes of the permissions, for instance some of the `suggestions`. */
  updatedPermissions?: readonly PermissionUpdate[] | undefined
}

/** How questions are answered. */
export interface QuestionAnswer extends AllowAnswer {
  /** The chosen label, or any other text, by the question's text. */
  answers?: Readonly<Record<string, string>> | undefined
}

/** A question of the model. */
export interface Question {
  question: string
  /** A word or two. */
  header?: string
  options: { label: string; description?: string }[]
  /** Whether more than one option may be chosen. */
  multiSelect?: boolean
}

/** A permission request as a snapshot shows it. */
export interface PendingPermission {
  id: string
  kind: PermissionRequest['kind']
  toolName: string
  input: Record<string, unknown>
  toolUseId: string
}

// ---------------------------------------------------------------------------------------------------------------------
// Hooks
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Functions by the event at which the CLI calls them. To use an event that has no name here, add it to {@link HookInputs} by
 * declaration merging.
 */
export type Hooks = { readonly [E in keyof HookInputs]?: readonly HookEntry<HookInputs[E]>[] | undefined }

/** Functions for one event. */
export interface HookEntry<I extends BaseHookInput = BaseHookInput> {
  /** Which tools, or other subjects of the event, it is for: a name or a regular expression of the CLI. Default: all. */
  matcher?: string | null | undefined
  hooks: readonly Hook<I>[]
  /** Time for each function, in ms. Default 60000. */
  timeout?: number | null | undefined
  /**
   * What counts when a function throws, answers anything but an object, or is late: `'deny'` refuses the tool, the prompt or
   * the step, `'allow'` says nothing. Default: `'deny'` for `PreToolUse` and `UserPromptSubmit`, `'allow'` for other events.
   */
  onFailure?: 'deny' | 'allow' | undefined
}

/**
 * A function that the CLI calls. `undefined`, `null` and `{}` say nothing.
 *
 * `toolUseId` is the call that the event is about, if it is about one. `signal` is aborted when no answer is wanted any more.
 */
export type Hook<I extends BaseHookInput = BaseHookInput> = (
  input: I,
  toolUseId: string | undefined,
  context: { signal: AbortSignal },
) => HookOutput | null | undefined | void | Promise<HookOutput | null | undefined | void>

/** The events of hooks, and what their functions get. Fields differ by version: only those that have been stable are named. */
export interface HookInputs {
  /** A message has come, before its turn begins. */
  UserPromptSubmit: UserPromptSubmitInput
  /** A tool is to run. */
  PreToolUse: PreToolUseInput
  /** The CLI would ask for a permission. */
  PermissionRequest: PermissionRequestInput
  /** A tool has run. */
  PostToolUse: PostToolUseInput
  PostToolUseFailure: OtherHookInput
  PostToolBatch: OtherHookInput
  /** The turn is to end. */
  Stop: StopInput
  SubagentStart: OtherHookInput
  SubagentStop: StopInput
  PreCompact: OtherHookInput
  PostCompact: OtherHookInput
  /** The conversation was cleared or compacted. The CLI calls no function at the start of a process. */
  SessionStart: OtherHookInput
  SessionEnd: OtherHookInput
  Notification: OtherHookInput
  MessageDisplay: OtherHookInput
}

/** What the functions of all hooks get. */
export interface BaseHookInput {
  hook_event_name: string
  session_id: string
  transcript_path: string
  cwd: string
  permission_mode?: string
}

export interface UserPromptSubmitInput extends BaseHookInput {
  hook_event_name: 'UserPromptSubmit'
  /** Text of the message. */
  prompt: string
}

export interface PreToolUseInput extends BaseHookInput {
  hook_event_name: 'PreToolUse'
  tool_name: string
  tool_input: Record<string, unknown>
  tool_use_id?: string
}

export interface PermissionRequestInput extends BaseHookInput {
  hook_event_name: 'PermissionRequest'
  tool_name: string
  tool_input: Record<string, unknown>
}

export interface PostToolUseInput extends BaseHookInput {
  hook_event_name: 'PostToolUse'
  tool_name: string
  tool_input: Record<string, unknown>
  tool_response: unknown
  tool_use_id?: string
}

export interface StopInput extends BaseHookInput {
  hook_event_name: 'Stop' | 'SubagentStop'
  /** Whether the turn goes on because a hook for its end wanted that. */
  stop_hook_active?: boolean
}

/** The input of an event whose fields have no names here. */
export interface OtherHookInput extends BaseHookInput {
  [field: string]: unknown
}

/** What a hook says. Each event takes some of it; the CLI ignores the rest. */
export interface HookOutput {
  /** `false` ends the turn. A tool for which `PreToolUse` says so still runs: deny it instead. */
  continue?: boolean | undefined
  stopReason?: string | undefined
  /** `'block'` refuses the prompt, or the end of the turn. */
  decision?: 'block' | 'approve' | undefined
  reason?: string | undefined
  systemMessage?: string | undefined
  hookSpecificOutput?: HookSpecificOutput | undefined
}

/** What a hook says to one kind of event. */
export type HookSpecificOutput =
  | {
      hookEventName: 'PreToolUse'
      /** `'ask'` asks for a permission; `'defer'` ends the turn before the tool. */
      permissionDecision?: 'allow' | 'deny' | 'ask' | 'defer' | undefined
      permissionDecisionReason?: string | undefined
      updatedInput?: Record<string, unknown> | undefined
      additionalContext?: string | undefined
    }
  | { hookEventName: 'PermissionRequest'; decision: PermissionDecision }
  | {
      hookEventName: Exclude<keyof HookInputs, 'PreToolUse' | 'PermissionRequest'>
      /** Text for the model. */
      additionalContext?: string | undefined
    }

// ---------------------------------------------------------------------------------------------------------------------
// Store
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The records of sessions in one directory. Any number of processes may use the same directory at once; each sees the
 * others' changes at its next call. `sessions.json` keeps the format of clearctx 3 and can be read at any time.
 */
export class Store {
  /**
   * Creates the directory, with mode 0700, if it does not exist.
   *
   * @param dataDir Default `~/.clearctx`.
   * @throws `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_STORE`
   */
  constructor(dataDir?: string | null, options?: StoreOptions | null)

  /** The directory. */
  readonly dataDir: string
  /** Path of its `sessions.json`. */
  readonly sessionsFile: string

  /** All records by name. @throws `ERR_STORE` */
  loadAll(): Record<string, SessionRecord>
  /** Replaces all records. @throws `ERR_STORE` */
  saveAll(data: Record<string, RecordInput>): void
  /**
   * One record, `null` if there is none. Its `interactions` are read at the first access, with the contents they had at
   * the call.
   *
   * @throws `ERR_STORE`
   */
  get(name: string): SessionRecord | null
  /** Writes one record. @throws `ERR_STORE` */
  set(name: string, record: RecordInput): void
  /** Removes one record; returns whether there was one. @throws `ERR_STORE` */
  delete(name: string): boolean
  /**
   * All records, or a part of them. Their `interactions` are read like those of {@link Store.get}.
   *
   * @throws `ERR_STORE`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   */
  list(options?: { offset?: number | null; limit?: number | null; fields?: null } | null): SessionRecord[]
  list<Field extends keyof SessionRecord>(options: StoreListOptions<Field>): Pick<SessionRecord, Field | 'name'>[]
  /**
   * Removes records whose `lastSaved` (or `created`, if there is no `lastSaved`) is more than `days` days ago, but never
   * the record of a live session.
   *
   * @param days Default 7. Here 0 is a value: it removes the records of all sessions that are not alive.
   * @returns how many were removed.
   * @throws `ERR_STORE`
   */
  cleanup(days?: number | null): number
  /** Resolves when `sessions.json` itself is up to date. Rejects with `ERR_STORE`. */
  flush(): Promise<void>
}

/** Which part of the records {@link Store.list} gives. */
export interface StoreListOptions<Field extends string = string> {
  /** How many records are skipped. Default 0. */
  offset?: number | null
  /** How many records follow at the most. Default: all. */
  limit?: number | null
  /** The fields that each record has, beside `name`. Default: all. A list without `interactions` is the cheapest. */
  fields?: readonly Field[] | null
}

/** A record as it is written: any object, since fields that clearctx does not know are kept. */
export type RecordInput = Partial<SessionRecord> | Readonly<Record<string, unknown>>

/** The fields that records and snapshots of a session have in common. */
export interface SessionState {
  name: string
  /** The CLI's id of the conversation, `null` before the first turn. */
  claudeSessionId: string | null
  status: SessionStatus
  model: string
  workDir: string
  /**
   * Of a live session, the mode in force once the CLI has reported it. Of a record, and before that report, the mode that
   * was asked for, including `'inherit'`: a resume asks for it again.
   */
  permissionMode: PermissionMode
  allowedTools: string[]
  systemPrompt: string
  /** USD. */
  maxBudget: number | null
  agent: string | null
  /** USD over all processes of the session. */
  totalCostUsd: number
  /** The `turns` of all responses, added up: turns of the model, not messages of yours. */
  totalTurns: number
  interactions: Interaction[]
  /** ms. Absent in records of clearctx 3, as are all that follow. */
  timeout?: number | null
  tags?: string[]
  /** Process id of the CLI while it lives. */
  pid?: number | null
  /** Name of the session this one was forked from. */
  parent?: string | null
}

/** The stored form of a session, one per name. Fields that clearctx does not know survive every rewrite. */
export interface SessionRecord extends SessionState {
  /** ISO 8601, when the session was first stored. */
  created: string
  /** The program that owns the session while it lives. Absent in records of clearctx 3, as are all that follow. */
  owner?: unknown
  /** Why the session ended, if nobody had asked for that; `null` again after a resume. */
  lastError?: LastError | null
  /** Names of the options without which the session is not started again, since a record does not keep them. */
  needs?: string[]
  /** ISO 8601, when the record was last written. */
  lastSaved?: string
  /** ISO 8601. Present if the owner was gone when the record was read; the status then reads `stopped`. */
  lostAt?: string
}

/** The error with which a session ended unasked, as its record keeps it. */
export interface LastError {
  /** One of the codes of all errors. */
  code: string
  message: string
}

/**
 * The state of a session, live or stored. A live one has `id` and `interactionCount`, a stored one the fields of its
 * record.
 */
export interface SessionSnapshot extends SessionState {
  /** The same as `claudeSessionId`. */
  id?: string | null
  /** Length of `interactions`. */
  interactionCount?: number
  created?: string
  owner?: unknown
  lastError?: LastError | null
  needs?: string[]
  /** Of a live session with `canUseTool` or `permissions: 'event'`: the requests that wait for an answer. */
  pendingPermissions?: PendingPermission[]
  lastSaved?: string
  lostAt?: string
}

/** The state of a live session. */
export interface LiveSessionSnapshot extends SessionSnapshot {
  id: string | null
  interactionCount: number
}

// ---------------------------------------------------------------------------------------------------------------------
// Turns
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a session is doing: `starting` (no process yet), `ready` (waiting for a message), `busy` (a turn is running),
 * `paused`, `stopped` (ended on request or by itself), `killed`, `failed` (could not start, or ended unasked with an error).
 */
export type SessionStatus = 'starting' | 'ready' | 'busy' | 'paused' | 'stopped' | 'killed' | 'failed'

/**
 * What tools may do without asking. The known modes of the CLI, beginning with the one that allows least: `plan` (tools
 * change nothing), `dontAsk` (a tool that is not allowed is refused), `default` (the CLI asks; `manual` is another name),
 * `acceptEdits` (tools may edit files of the working directory), `auto` (a model decides), `bypassPermissions`. With
 * `inherit` no mode is passed: the CLI's settings choose, and nothing is checked. Any other string is passed on.
 */
export type PermissionMode =
  'plan' | 'dontAsk' | 'default' | 'manual' | 'acceptEdits' | 'auto' | 'bypassPermissions' | 'inherit' | (string & {})

/** A message to the CLI: text, or content blocks in the form of the Messages API. */
export type Message = string | readonly ContentBlock[]

/**
 * One block of a message. Text and images are the usual ones; others are passed on unchanged.
 *
 * @example
 * ```js
 * [
 *   { type: 'text', text: 'What is in this picture?' },
 *   { type: 'image', source: { type: 'base64', media_type: 'image/png', data: '...' } },
 * ]
 * ```
 */
export type ContentBlock = TextBlock | ImageBlock | OtherBlock

/** Text. */
export interface TextBlock {
  type: 'text'
  text: string
}

/** A picture. */
export interface ImageBlock {
  type: 'image'
  source: { type: 'base64'; media_type: string; data: string } | { type: 'url'; url: string }
}

/** Any block that has no type of its own here. */
export interface OtherBlock {
  type: string & {}
  [field: string]: unknown
}

/** The answer to a message. {@link Response} is its earlier name, which is also that of a global type. */
export interface TurnResponse {
  /** The final text; empty where the CLI gave none. */
  text: string
  /** USD of this turn alone. */
  cost: number
  /**
   * Turns of the model: 1 + the number of tool results; 0 for a command that does not ask the model. This is the CLI's
   * `num_turns`, in versions before 2.1.120 counted from its messages, since `num_turns` is something else there.
   */
  turns: number
  /** ms, as the CLI measured it. */
  duration: number
  /** The CLI's id of the conversation. */
  sessionId: string | null
  /** Whether the CLI ended the turn with an error; `text` or `errors` describe it. */
  isError: boolean
  /** Why the turn failed, to branch on; never `null` when `isError`, but for an interrupted turn. */
  failure: Failure | null
  /** Present only if the turn was interrupted; `isError` is `true` then, and `text` is what there was of the answer. */
  interrupted?: true
  /** The CLI's kind of result: `success`, `error_during_execution`, `error_max_turns`, `error_max_budget_usd`, ... */
  subtype: string | null
  /** Tokens of this turn, as the CLI reports them. */
  usage: Usage | null
  /** Tool calls that were refused. */
  permissionDenials: PermissionDenial[]
  /** The model's reason to stop: `end_turn`, `max_tokens`, `refusal`, ... */
  stopReason: string | null
  /** The CLI's error messages. */
  errors: string[]
  /** Present only if `recover` found the answer in the CLI's transcript. Turns and duration are unknown then, and 0. */
  recovered?: true
  /** Present if {@link TurnResponse.cost} is an estimate: the CLI has not told what this turn alone cost. */
  costEstimated?: true
}

/** {@link TurnResponse} by its earlier name. */
export type Response = TurnResponse

/** Why a turn failed. */
export interface Failure {
  kind: FailureKind
  /** HTTP status of the API's answer, if there was one and the CLI reported it. */
  status?: number
  /** Of `usage_limit`: when the limit ends, in ms since 1970 (for `new Date()`), if the CLI reported it. */
  resetsAt?: number
  /** Of `rate_limit` and `overloaded`, in the event `retry`: how long the CLI waits before its next request, in ms. */
  retryAfter?: number
}

/**
 * What kind of failure it is.
 *
 * - `auth`: not logged in, wrong or expired credentials, no permission, no credit. A person must act.
 * - `rate_limit`: too many requests (429). `overloaded`: the API is at capacity (529). `server`: the API failed (5xx).
 * - `usage_limit`: the subscription's limit is used up until `resetsAt`.
 * - `network`: no connection, or a broken one.
 * - `invalid_request`: the API refused the request, and would refuse it again: an unknown model, for instance.
 * - `too_long`: the conversation or the request is too long for the model.
 * - `budget`: `maxBudget` is used up; every later message of this process fails, too.
 * - `max_turns`: the CLI's limit of model turns for one message.
 * - `refused`: the model refused to answer.
 * - `schema`: the answer does not have the form that was asked for.
 * - `other`: anything else; `text` or `errors` describe it.
 */
export type FailureKind =
  | 'auth'
  | 'rate_limit'
  | 'overloaded'
  | 'usage_limit'
  | 'network'
  | 'server'
  | 'invalid_request'
  | 'too_long'
  | 'budget'
  | 'max_turns'
  | 'refused'
  | 'schema'
  | 'other'

/** One turn in a session's history. */
export interface Interaction {
  /** The message's text, with `[image]` and the like for other blocks; empty for a turn that the CLI started by itself. */
  prompt: string
  /** The final text of the answer. */
  response: string
  /** USD of this turn alone. */
  cost: number
  turns: number
  /** ms. */
  duration: number
  /** ISO 8601, when the turn ended. */
  timestamp: string
  /** `fork`: the first turn of a fork. `background`: a turn that the CLI started by itself. */
  type?: 'fork' | 'background'
  /** Present only if the CLI ended the turn with an error. */
  isError?: true
  /** Present only if the turn was interrupted. */
  interrupted?: true
  /** Present only if the answer came after the message's timeout. */
  late?: true
  /** Present only if `recover` found the turn in the CLI's transcript. */
  recovered?: true
  /** Present if {@link Interaction.cost} is an estimate, as for a turn that was cut, whose `response` is empty. */
  costEstimated?: true
}

/**
 * What became of a message, and so of its session.
 *
 * - `idle`: no message was in flight.
 * - `answered`: the CLI's transcript has the answer, but the program had ended.
 * - `unanswered`: the CLI had read the message but not finished its turn.
 * - `unsent`: the conversation does not have the message.
 */
export type Verdict = 'idle' | 'answered' | 'unanswered' | 'unsent'

/** A session that was alive when its program ended. */
export interface RecoveredSession {
  name: string
  /** The verdict of the first message that is not `answered`, or of the last message if all are. */
  verdict: Verdict
  /** Text of that message; of an idle session, the prompt of its last turn. */
  lastPrompt?: string
  /** The CLI's id of the conversation. */
  claudeSessionId: string | null
  /** The answer to that message: from the transcript, or to the message that was sent again. */
  response?: TurnResponse
  /** The messages without an answer, oldest first: the one in flight, and up to 31 that waited in line. */
  messages: RecoveredMessage[]
  /** With `resume`: the session that continues. */
  session?: LiveSessionSnapshot
  /** Why the session could not continue, or why that message was not answered. */
  error?: ClearctxError
}

/** A message that had no answer when its program ended. */
export interface RecoveredMessage {
  uuid: string
  /** Its text; only the beginning of a message over 64 KiB. */
  prompt: string
  /** ISO 8601, when it was given to the session. */
  sentAt?: string
  verdict: Exclude<Verdict, 'idle'>
  response?: TurnResponse
  error?: ClearctxError
}

/** Token counts, with the field names of the Messages API. */
export interface Usage {
  input_tokens?: number
  output_tokens?: number
  cache_creation_input_tokens?: number
  cache_read_input_tokens?: number
}

/** A tool call that was refused. */
export interface PermissionDenial {
  tool_name: string
  tool_use_id: string
  tool_input: Record<string, unknown>
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages of the CLI. They change with its versions: only fields that have been stable are named.
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A message of the CLI; `type` tells which. Only fields that have been stable are named, and newer versions of the CLI may
 * write other types and subtypes. Read what has no name here through a cast: `(message as UnknownMessage).field`.
 */
export type CliMessage =
  InitMessage | SystemMessage | AssistantMessage | UserMessage | ResultMessage | PartialMessage | RateLimitMessage

/** A message of the CLI as plain JSON. */
export interface UnknownMessage extends BaseMessage {
  [field: string]: unknown
}

/** What all messages of the CLI may have. */
export interface BaseMessage {
  type: string
  session_id?: string
  uuid?: string
}

/** The message with which each turn begins. */
export interface InitMessage extends BaseMessage {
  type: 'system'
  subtype: 'init'
  session_id: string
  cwd?: string
  model?: string
  permissionMode?: string
  tools?: string[]
  mcp_servers?: { name: string; status: string }[]
  slash_commands?: string[]
  agents?: string[]
  claude_code_version?: string
}

/** What the CLI says of itself beside `init`. */
export interface SystemMessage extends BaseMessage {
  type: 'system'
  subtype:
    | 'api_retry'
    | 'background_tasks_changed'
    | 'compact_boundary'
    | 'hook_response'
    | 'hook_started'
    | 'informational'
    | 'model_refusal_no_fallback'
    | 'permission_denied'
    | 'session_state_changed'
    | 'status'
    | 'task_notification'
    | 'task_progress'
    | 'task_started'
    | 'task_updated'
    | 'thinking_tokens'
}

/** The assistant has spoken, thought or called a tool. */
export interface AssistantMessage extends BaseMessage {
  type: 'assistant'
  message: { role: 'assistant'; content: AssistantBlock[]; model?: string; usage?: Usage; stop_reason?: string | null }
  /** The call of the subagent that speaks, `null` in the conversation itself. */
  parent_tool_use_id?: string | null
}

/** A block of an {@link AssistantMessage}. */
export type AssistantBlock = TextBlock | ToolUseBlock | ThinkingBlock

/** What the assistant thought. */
export interface ThinkingBlock {
  type: 'thinking'
  thinking: string
}

/** What the assistant was given: results of tools, or a message that the CLI repeats. */
export interface UserMessage extends BaseMessage {
  type: 'user'
  message: { role: 'user'; content: string | (TextBlock | ImageBlock | ToolResultBlock)[] }
  parent_tool_use_id?: string | null
}

/** The message with which each turn ends. {@link TurnResponse} is made from it. */
export interface ResultMessage extends BaseMessage {
  type: 'result'
  subtype: string
  is_error: boolean
  result?: string
  errors?: string[]
  num_turns: number
  duration_ms: number
  total_cost_usd: number
  usage?: Usage
  permission_denials?: PermissionDenial[]
}

/** A piece of a message while it is being written. */
export interface PartialMessage extends BaseMessage {
  type: 'stream_event'
  event: { type: string }
}

/** The account's usage limits have changed. */
export interface RateLimitMessage extends BaseMessage {
  type: 'rate_limit_event'
}

/** A call of a tool by the assistant. */
export interface ToolUseBlock {
  type: 'tool_use'
  id: string
  name: string
  input: Record<string, unknown>
}

/** The answer of a tool. */
export interface ToolResultBlock {
  type: 'tool_result'
  tool_use_id: string
  content?: string | ContentBlock[]
  is_error?: boolean
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

/** The stable codes of all errors; docs/errors.md explains each. */
export type ErrorCode = ClearctxError['code']

/**
 * Every error that clearctx throws, rejects with or emits. Branch on `code`:
 *
 * @example
 * ```ts
 * try {
 *   await mgr.send('worker', 'Go on', 30_000)
 * } catch (error) {
 *   const { code } = error as ClearctxError
 *   if (code !== 'ERR_TURN_TIMEOUT') throw error
 * }
 * ```
 */
export type ClearctxError =
  | PlainError
  | SessionNotAliveError
  | StartError
  | InvalidArgTypeError
  | InvalidArgValueError
  | ForkFailedError
  | SessionHeldError
  | PermissionModeError
  | ProcessExitedError
  | TurnTimeoutError
  | AbortedError
  | ControlError
  | ControlTimeoutError
  | OptionsMissingError
  | StoreError
  | EngineNotLoadedError

/**
 * Whether a value is an error of this package, of whichever copy of it. Node's own errors share some codes
 * (`ERR_INVALID_ARG_TYPE`), so the code alone does not say it.
 *
 * @example
 * ```js
 * const { isClearctxError } = require('clearctx')
 *
 * try {
 *   await mgr.send('worker', 'Go on', 30_000)
 * } catch (error) {
 *   if (!isClearctxError(error) || error.code !== 'ERR_TURN_TIMEOUT') throw error
 *   console.log(error.stillRunning)
 * }
 * ```
 */
export function isClearctxError(value: unknown): value is ClearctxError

/** An error without properties besides its code. */
export interface PlainError extends Error {
  code:
    | 'ERR_SESSION_EXISTS'
    | 'ERR_SESSION_NOT_FOUND'
    | 'ERR_NO_SESSION_ID'
    | 'ERR_NOT_RESENT'
    | 'ERR_SESSION_STOPPED'
    | 'ERR_SESSION_KILLED'
    | 'ERR_INTERRUPTED'
    | 'ERR_INTERNAL'
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
}

/** A session's process could not be started. */
export interface StartError extends Error {
  code: 'ERR_CLI_NOT_FOUND' | 'ERR_WORKDIR' | 'ERR_START_FAILED'
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
  /** The system's error, if that is the cause: `EMFILE`, `EACCES`. */
  cause?: SystemError
  /** Of `ERR_START_FAILED`: why, if the CLI itself reported the error. */
  failure?: Failure
}

/** An argument of a wrong type. */
export interface InvalidArgTypeError extends TypeError {
  code: 'ERR_INVALID_ARG_TYPE'
}

/** An argument of the right type with an impossible value. */
export interface InvalidArgValueError extends RangeError {
  code: 'ERR_INVALID_ARG_VALUE'
}

/** The manager has no live session of this name. */
export interface SessionNotAliveError extends Error {
  code: 'ERR_SESSION_NOT_ALIVE'
  /** The program in which the session is alive, if it is alive in another manager: that of its record. */
  holderPid?: number
  /** Why the session ended, if nobody had asked for that: an error with the code and message of the record's `lastError`. */
  cause?: Error & { code: string }
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
}

/** Another session is writing to the conversation. */
export interface SessionHeldError extends Error {
  code: 'ERR_SESSION_HELD'
  /** The program that has the conversation; absent on Windows. */
  holderPid?: number
  /** The CLI's id of the conversation. */
  sessionId: string
}

/** A fork got no answer. */
export interface ForkFailedError extends Error {
  code: 'ERR_FORK_FAILED'
  /** USD that the failed attempt cost, if the CLI reported it. */
  cost?: number
  /** The CLI's id of the forked conversation, if the CLI reported it. */
  sessionId?: string
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
  /** Why the first turn failed, if there was one. */
  failure?: Failure
  /** The answer to the first message, if it arrived and something failed after it. */
  response?: TurnResponse
}

/** The CLI runs in a permission mode that may allow more than the one that was asked for. Its process was killed. */
export interface PermissionModeError extends Error {
  code: 'ERR_PERMISSION_MODE'
  /** The mode that the process was given. */
  asked: PermissionMode
  /** The mode that it reported. */
  actual: PermissionMode
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
}

/** The CLI's process ended while a message waited for its answer. */
export interface ProcessExitedError extends Error {
  code: 'ERR_PROCESS_EXITED'
  exitCode: number | null
  signal: string | null
  /** The last 8 KiB that the process wrote to standard error. */
  stderr: string
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
  /** What the process's last words tell of the reason: mostly `other`, `auth` if they say that nobody is logged in. */
  failure: Failure
}

/** A message was not answered in time. */
export interface TurnTimeoutError extends Error {
  code: 'ERR_TURN_TIMEOUT'
  /** Whether the message had reached the CLI. If not, it was withdrawn. */
  sent: boolean
  /** Whether the turn continues; its answer will be in the history with `late: true`. */
  stillRunning: boolean
}

/** The caller's signal was aborted before the message was answered. */
export interface AbortedError extends Error {
  name: 'AbortError'
  code: 'ERR_ABORTED'
  /** Whether the message had reached the CLI; its turn was interrupted then. If not, it was withdrawn. */
  sent: boolean
  /** The reason of the signal. */
  cause: unknown
}

/** The CLI refused a control request; the message has its words. */
export interface ControlError extends Error {
  code: 'ERR_CONTROL'
  /** The request's `subtype`. */
  request: string
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
}

/** The CLI did not answer a control request in time, or did not end the turn that was to be interrupted. */
export interface ControlTimeoutError extends Error {
  code: 'ERR_CONTROL_TIMEOUT'
  /** The request's `subtype`. */
  request: string
  /** The time given, in ms. */
  timeout: number
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
}

/** A session had options that are never stored, and they were not given again. Nothing was started. */
export interface OptionsMissingError extends Error {
  code: 'ERR_OPTIONS_MISSING'
  /** Names of the options. */
  missing: string[]
}

/** Thrown when the package is loaded: there is no engine for this platform, or it cannot be loaded. */
export interface EngineNotLoadedError extends Error {
  code: 'ERR_ENGINE_NOT_LOADED'
  /** For instance `linux-x64-gnu`. */
  platform: string
  /** The package that should contain the engine; `null` on a platform without one. */
  package: string | null
}

/** An error of the operating system, in the style of Node's own errors. */
export interface SystemError extends Error {
  /** Its name, for instance `ENOSPC`; absent if the error does not come from a system call. */
  code?: string
  /** Its number, negative; absent on Windows. */
  errno?: number
}

/** The store could not be read or written. */
export interface StoreError extends Error {
  code: 'ERR_STORE'
  /** The system's error, if that is the cause; distinguishes `ENOSPC` from `EACCES`. */
  cause?: SystemError
  /** File or directory concerned. */
  path: string
  /** Process that holds the lock, if that is the cause. */
  holderPid?: number
  /** The answer to a message, if it arrived and only its record could not be written. */
  response?: TurnResponse
  /** Of a rejected message: whether the CLI had got it. */
  sent?: boolean
}
