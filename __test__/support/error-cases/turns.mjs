// What ends a turn without an answer. `errors.mjs` says what a case is.

import { randomUUID } from 'node:crypto'

import { standInEnv } from '../../../testing/index.js'
import { spawned } from '../errors.mjs'

export const TURNS = [
  {
    what: 'a turn in a permission mode that allows more',
    code: 'ERR_PERMISSION_MODE',
    message:
      'Session "a" runs in permission mode "acceptEdits", which may allow more than "default", the one that was asked ' +
      'for. Its process was killed.',
    has: { asked: 'default', actual: 'acceptEdits' },
    call: async (w) => {
      const mgr = await spawned(w, 'a', {}, { env: standInEnv({ forcedMode: 'acceptEdits' }) })
      return () => mgr.send('a', 'hello')
    },
  },
  {
    what: 'a turn whose process exits',
    code: 'ERR_PROCESS_EXITED',
    message: 'Session "a" ended before it answered: its process exited with code 3: stand-in: leaving with code 3',
    has: { exitCode: 3, signal: null, stderr: 'stand-in: leaving with code 3\n' },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'stand-in: exit 3')
    },
  },
  {
    what: 'a turn whose process is killed',
    code: 'ERR_PROCESS_EXITED',
    message: 'Session "a" ended before it answered: its process was ended by SIGKILL',
    has: { exitCode: null, signal: 'SIGKILL', stderr: '' },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'stand-in: crash')
    },
  },
  {
    what: 'a first prompt whose process exits at once',
    code: 'ERR_PROCESS_EXITED',
    message: 'Session "a" ended before it answered: its process exited with code 7: no way',
    has: { exitCode: 7, signal: null, stderr: 'no way\n' },
    call: (w) => {
      const mgr = w.manager({ env: standInEnv({ start: 'exit:7:no way' }) })
      return () => mgr.spawn('a', { prompt: 'hello' })
    },
  },
  {
    what: 'a message that was sent and not answered in time',
    code: 'ERR_TURN_TIMEOUT',
    message: 'Session "a" did not answer within 30 ms',
    has: { sent: true, stillRunning: true },
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.send('a', 'stand-in: slow 100', 30)
    },
  },
  {
    what: 'a message that waited in line for too long',
    code: 'ERR_TURN_TIMEOUT',
    message: 'Session "a" did not answer within 20 ms',
    has: { sent: false, stillRunning: false },
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: slow 100')
      return () => mgr.send('a', 'hello', 20)
    },
  },
  {
    what: 'a message in line at a stop',
    code: 'ERR_SESSION_STOPPED',
    message: 'Session "a" was stopped before this message was sent',
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: slow 50')
      return () => {
        const answer = mgr.send('a', 'hello')
        mgr.stop('a')
        return answer
      }
    },
  },
  {
    what: 'a message in flight at a kill',
    code: 'ERR_SESSION_KILLED',
    message: 'Session "a" was killed before this message was answered',
    call: async (w) => {
      const mgr = await spawned(w)
      return () => {
        const answer = mgr.send('a', 'stand-in: silent')
        mgr.kill('a')
        return answer
      }
    },
  },
  {
    what: 'a message in line at a delete',
    code: 'ERR_SESSION_KILLED',
    message: 'Session "a" was killed before this message was answered',
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.send('a', 'stand-in: silent').catch(() => {})
      return () => {
        const answer = mgr.send('a', 'hello')
        mgr.delete('a')
        return answer
      }
    },
  },
  {
    what: 'a message of a lost session that cannot be sent again',
    code: 'ERR_NOT_RESENT',
    message: 'Session "a" cannot send this message again: it is too long to have been kept',
    call: (w) => {
      const mgr = w.manager()
      const [host, newSessionId, uuid] = [randomUUID(), randomUUID(), randomUUID()]
      const lost = { status: 'busy', owner: { host, pid: 1, token: randomUUID() }, newSessionId }
      mgr.store.set('a', { name: 'a', ...lost, pending: [{ uuid, prompt: 'the beginning', cut: true }] })
      return async () => {
        const [{ error }] = await mgr.recover({ resume: true, resend: true })
        throw error
      }
    },
  },
]
