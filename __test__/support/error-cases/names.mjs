// What names cannot be used for: taken, held, unknown, ended, without a conversation. `errors.mjs` says what a case is.

import { spawned } from '../errors.mjs'

export const NAMES = [
  {
    what: 'spawn of a live name',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "a" already exists and is alive. Kill it first or use a different name.',
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'spawn of a name whose record holds it',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "a" exists in store with status "paused". Kill or delete it first.',
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'paused' })
      return () => mgr.spawn('a')
    },
  },
  {
    what: 'fork to a live name',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "a" already exists and is alive. Kill it first or use a different name.',
    call: async (w) => {
      const mgr = await spawned(w)
      return () => mgr.fork('a', 'a')
    },
  },
  {
    what: 'resume of a session that another manager has',
    code: 'ERR_SESSION_HELD',
    message:
      /^Session "a" cannot continue conversation \S+: another session of this process \(\d+\) is writing to it\./,
    call: async (w) => {
      await spawned(w)
      const mgr = w.manager()
      return () => mgr.resume('a', 'x')
    },
  },
  {
    what: 'a second start',
    code: 'ERR_SESSION_EXISTS',
    message: 'Session "solo" was already started.',
    sync: true,
    call: (w) => {
      const session = w.session()
      session.start()
      return () => session.start()
    },
  },
  ...['send', 'pause', 'stop', '_getSession'].map((method) => ({
    what: `${method} of an unknown name`,
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "nobody" is not alive. Use resume() to restore it.',
    sync: method !== 'send',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr[method]('nobody', 'hello')
    },
  })),
  {
    what: 'send to a session that has ended',
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "a" is not alive. Use resume() to restore it.',
    call: async (w) => {
      const mgr = await spawned(w)
      mgr.stop('a')
      return () => mgr.send('a', 'hello')
    },
  },
  ...['pause', 'resume', 'send'].map((method) => ({
    what: `${method} of a session that was not started`,
    code: 'ERR_SESSION_NOT_ALIVE',
    message: 'Session "solo" is not alive. Use resume() to restore it.',
    sync: method !== 'send',
    call: (w) => {
      const session = w.session()
      return () => session[method]('hello')
    },
  })),
  ...['resume', 'status', 'history', 'lastOutput'].map((method) => ({
    what: `${method} of an unknown name`,
    code: 'ERR_SESSION_NOT_FOUND',
    message: 'Session "nobody" not found.',
    sync: method !== 'resume',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr[method]('nobody')
    },
  })),
  {
    what: 'fork of an unknown name',
    code: 'ERR_SESSION_NOT_FOUND',
    message: 'Source session "nobody" not found.',
    call: (w) => {
      const mgr = w.manager()
      return () => mgr.fork('nobody', 'b')
    },
  },
  {
    what: 'resume of a session that never had a turn',
    code: 'ERR_NO_SESSION_ID',
    message: 'Session "a" has no session ID. Cannot restore.',
    call: async (w) => {
      const mgr = await spawned(w, 'a', {})
      mgr.stop('a')
      return () => mgr.resume('a')
    },
  },
  {
    what: 'fork of a live session that never had a turn',
    code: 'ERR_NO_SESSION_ID',
    message: 'Source session "a" has no session ID.',
    call: async (w) => {
      const mgr = await spawned(w, 'a', {})
      return () => mgr.fork('a', 'b')
    },
  },
  {
    what: 'fork of a record that never had a turn',
    code: 'ERR_NO_SESSION_ID',
    message: 'Source session "a" has no session ID.',
    call: (w) => {
      const mgr = w.manager()
      mgr.store.set('a', { name: 'a', status: 'stopped', claudeSessionId: null })
      return () => mgr.fork('a', 'b')
    },
  },
]
