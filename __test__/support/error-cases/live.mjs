// What comes of calls while a turn runs, and of callbacks that were not given. `errors.mjs` says what a case is.

import assert from 'node:assert/strict'

import { standInEnv } from '../../../testing/index.js'
import { ended, spawned } from '../errors.mjs'

/** A session whose CLI does not do what is asked of it. */
const disobedient = (w, control, options) => spawned(w, 'a', {}, { env: standInEnv({ control }), ...options })

const canUseTool = async () => ({ behavior: 'deny', message: 'no' })

export const LIVE = [
  {
    what: 'a message in line at an interrupt that drops the queue',
    code: 'ERR_INTERRUPTED',
    message: 'Session "a" was interrupted before this message was sent',
    has: { sent: false },
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: silent')
      return () => {
        const answer = mgr.send('a', 'hello')
        mgr.interrupt('a', { dropQueue: true })
        return answer
      }
    },
  },
  {
    what: 'a message in line whose caller gives it up',
    code: 'ERR_ABORTED',
    message: 'Session "a": the call was aborted before its message was sent',
    has: { sent: false, cause: 'no longer wanted' },
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: slow 50')
      const controller = new AbortController()
      return () => {
        const answer = mgr.send('a', 'hello', { signal: controller.signal })
        controller.abort('no longer wanted')
        return answer
      }
    },
  },
  {
    what: 'a message whose signal is aborted already',
    code: 'ERR_ABORTED',
    message: 'Session "a": the call was aborted before its message was sent',
    has: { sent: false, cause: 'no longer wanted' },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'hello', { signal: AbortSignal.abort('no longer wanted') })
    },
  },
  {
    what: 'a message in flight whose caller gives it up',
    code: 'ERR_ABORTED',
    message: 'Session "a": the call was aborted after its message was sent',
    has: { sent: true },
    also: (error) => assert.equal(error.cause.name, 'AbortError'),
    call: async (w) => {
      const mgr = await spawned(w)
      const controller = new AbortController()
      mgr.sessions.get('a').once('init', () => controller.abort())
      return () => mgr.send('a', 'stand-in: silent', { signal: controller.signal })
    },
  },
  {
    what: 'a control request that the CLI does not know',
    code: 'ERR_CONTROL',
    message: /^Session "a": the CLI refused "of_tomorrow": ./,
    has: { request: 'of_tomorrow' },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.control('a', { subtype: 'of_tomorrow' })
    },
  },
  {
    what: 'a first message to a CLI that does not take its hooks',
    code: 'ERR_CONTROL',
    message: /^Session "a": the CLI refused "initialize": no hooks here/,
    has: { request: 'initialize' },
    also: (error) => assert.equal(typeof error.sent, 'boolean'),
    call: (w) => {
      const mgr = w.manager({ env: standInEnv({ control: 'fail initialize no hooks here' }) })
      return () => mgr.spawn('a', { prompt: 'hello', hooks: { Stop: [{ hooks: [async () => ({})] }] } })
    },
  },
  {
    what: 'a control request without an answer',
    code: 'ERR_CONTROL_TIMEOUT',
    message: 'Session "a": the CLI did not answer "mcp_status" within 50 ms',
    has: { request: 'mcp_status', timeout: 50 },
    call: async (w) => {
      const mgr = await disobedient(w, 'mute mcp_status', { controlTimeout: 50 })
      return () => mgr.control('a', { subtype: 'mcp_status' })
    },
  },
  {
    what: 'resume of a session that had callbacks, without them',
    code: 'ERR_OPTIONS_MISSING',
    message: 'Session "a" was started with canUseTool, which its record does not keep. Give it again.',
    has: { missing: ['canUseTool'] },
    call: async (w) => {
      const mgr = await spawned(w, 'a', { prompt: 'hello', canUseTool })
      await ended(mgr)
      return () => mgr.resume('a', 'more')
    },
  },
  {
    what: 'fork of a stored session that had callbacks, without them',
    code: 'ERR_OPTIONS_MISSING',
    message: 'Session "a" was started with canUseTool, which its record does not keep. Give it again.',
    has: { missing: ['canUseTool'] },
    call: async (w) => {
      const mgr = await spawned(w, 'a', { prompt: 'hello', canUseTool })
      await ended(mgr)
      return () => mgr.fork('a', 'b')
    },
  },
]
