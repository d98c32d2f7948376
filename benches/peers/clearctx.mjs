// clearctx as its users have it: a SessionManager with its records on disk.

import { createRequire } from 'node:module'

export const entry = '../../index.js'

export function open({ standIn, dir }) {
  const { SessionManager } = createRequire(import.meta.url)(entry)
  const manager = new SessionManager({ dataDir: dir, claudePath: standIn })
  return {
    async session(name, onMessage) {
      await manager.spawn(name)
      if (onMessage !== undefined) manager.sessions.get(name).on('message', onMessage)
      return { name, turn: (text) => manager.send(name, text) }
    },
    fork: (source, name) => manager.fork(source.name, name, { message: 'go on' }),
    close: () => manager.close({ timeout: 1000 }),
  }
}
