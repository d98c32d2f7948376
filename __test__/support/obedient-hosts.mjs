// Programs with a manager that do what they are told.

import assert from 'node:assert/strict'

/** A program with a manager that does what it is told: `[method, ...args]`, and says what came of it. */
export const obedient = async ({ manager, heard, say }) => {
  const mgr = manager()
  say('here')
  for (let order = await heard(); order !== 'end'; order = await heard()) {
    const [method, ...args] = order
    try {
      const value = await (method in mgr ? mgr[method](...args) : mgr.store[method](...args))
      say({ value: value ?? null })
    } catch ({ code, message, exitCode }) {
      say({ code, message, exitCode })
    }
  }
  await mgr.close()
}

export const obedientHost = async (w, env) => {
  const host = w.start(obedient, { env })
  assert.equal(await host.said(), 'here')
  return {
    host,
    /** Gives an order; resolves with the value, or `{ code, message }` of the error. */
    async do(...order) {
      host.tell(order)
      const { value, ...error } = await host.said()
      return value === undefined ? error : value
    },
    end() {
      host.tell('end')
      return host.finished()
    },
    /** Ends the program as a crash does. */
    async crash() {
      host.kill('SIGKILL')
      await host.closed
    },
  }
}

export const promptsOf = (record) => record.interactions.map(({ prompt }) => prompt)
