// What a caller's compiler sees of the installed package, under each way to find modules.

import clearctx, { SessionManager, Store, StreamSession } from 'clearctx'
import type { ClearctxError, Response } from 'clearctx'
import { standInEnv, standInPath } from 'clearctx/testing'
import Manager from 'clearctx/src/manager'
import OldStore from 'clearctx/src/store.js'
import Session from 'clearctx/src/stream-session'

const manager: SessionManager = new Manager({ claudePath: standInPath, env: standInEnv({ habit: 'older' }) })
const store: Store = new OldStore()
const session: StreamSession = new Session({ name: 'a' })
const answer: Promise<Response> = manager.send('a', 'hello')
const isDefault: typeof SessionManager = clearctx.SessionManager
// @ts-expect-error a name is text
void manager.spawn(5)

export const all: unknown[] = [store, session, answer, isDefault]
export const code = (error: ClearctxError): string => error.code
