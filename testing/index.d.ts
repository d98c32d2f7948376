/** Absolute path of the stand-in for the `claude` program; use it as `claudePath`. */
export const standInPath: string

/** How the stand-in behaves. Each option is one environment variable; see docs/testing.md. */
export interface StandInOptions {
  /** Generation of the CLI to behave like. Default `'newer'`. */
  habit?: 'older' | 'newer'
  /** The version that it reports, whatever its habit. */
  version?: string
  /**
   * Faults at the start, joined by `' | '`: `exit:3:words`, `slow:500`, `error-result:words`, `ignore-signals`,
   * `hook-lines`.
   */
  start?: string
  /** Directives for every message that has none of its own, e.g. `'slow 50'`. */
  every?: string
  /** File that gets a JSON line for each start, message, signal, end of input and exit. */
  log?: string
  /** Recorded conversation (.ndjson) to replay instead of answering. */
  transcript?: string
  /** `'keep'` leaves the recorded ids of user messages as they are. */
  transcriptUuids?: 'keep'
  /** Exit code at the end of a replay. Default: 1 if its last result was an error, else 0. */
  exitCode?: number
  /** Cut all output into chunks of this many bytes. */
  chunkBytes?: number
  /** Milliseconds until the conversation is on disk. Default 0 (newer) or 80 (older). */
  saveDelay?: number
  /** Milliseconds after which the process kills itself, whatever it is doing. Default 120000. */
  maxLife?: number
  /** Names that `--agent` knows in one-shot use, besides the built-in ones. */
  agents?: string[]
  /** Permission mode of the settings: in force where none is passed. */
  settingsMode?: string
  /** Permission mode in force whatever is passed; `'none'` is like `'default'`, and not reported. */
  forcedMode?: string
  /** Turns that the CLI starts by itself take in messages of priority `next`, which then get no result. */
  steerOwnTurns?: boolean
  /**
   * Faults of the answers to control requests, joined by `' | '`, e.g. `'mute interrupt | late set_model 200'`; see
   * docs/testing.md.
   */
  control?: string
  /** Milliseconds that each step of the handshake with an MCP server in the host may take. Default 30000. */
  mcpTimeout?: number
  /** Folder for conversations, instead of `~/.claude`; sets `CLAUDE_CONFIG_DIR`. */
  configDir?: string
}

/** Returns the environment variables for these options; pass them as `env`. */
export function standInEnv(options?: StandInOptions): Record<string, string>

/**
 * Absolute path of the recorder; use it as `claudePath`. It runs the real CLI and records its output as a transcript for
 * the stand-in.
 */
export const recorderPath: string

/** The program that the recorder runs, and the file for the transcript. */
export interface RecorderOptions {
  /** Path of the CLI to run. */
  cli: string
  /**
   * File for the transcript. Files are never overwritten: a second process (a resume, a fork) writes `name-2.ndjson`,
   * and so on.
   */
  transcript: string
}

/** Returns the environment variables for these options; pass them as `env`. */
export function recorderEnv(options: RecorderOptions): Record<string, string>
