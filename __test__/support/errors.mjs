// What docs/errors.md says of each code, and checks against it.
//
// The cases in `error-cases/` say how each error comes about: what, code, message, properties (`has`, `also`), and a call to
// make. `sync`: it is thrown, not a rejection. `after` puts things right again.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

export const root = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

/** The table of docs/errors.md: code to class and properties, a `?` after those that are not always there. */
export const documented = new Map(
  [...root('docs/errors.md').matchAll(/^\| \[`(ERR_\w+)`\]\(#(\w+)\) \| `(\w+)` \|(.*)\|$/gm)].map(
    ([, code, anchor, name, properties]) => [
      code,
      { anchor, name, properties: [...properties.matchAll(/`(\w+\??)`/g)].map(([, property]) => property) },
    ],
  ),
)

export const raised = new Set()

/** Fails unless the error is what the documentation says of its code. */
export const check = (error, code, message, properties = {}) => {
  assert.ok(error instanceof Error, `no error but ${JSON.stringify(error)}`)
  assert.equal(error.code, code, error.stack)
  const { name, properties: allowed } = documented.get(code)
  assert.equal(error.name, name)
  assert.equal(error.constructor, { Error, TypeError, RangeError, AbortError: Error }[name])
  if (message instanceof RegExp) assert.match(error.message, message)
  else assert.equal(error.message, message)
  const own = Object.keys(error).filter((key) => key !== 'code')
  const known = allowed.map((property) => property.replace('?', ''))
  assert.deepEqual(
    own.filter((key) => !known.includes(key)),
    [],
    'undocumented properties',
  )
  for (const property of allowed.filter((each) => !each.endsWith('?'))) {
    assert.ok(Object.hasOwn(error, property), `${property} is missing`)
  }
  for (const [key, value] of Object.entries(properties)) assert.deepEqual(error[key], value, key)
  raised.add(code)
}

/** What a call threw, or what its promise was rejected with. Says which by `sync`. */
export const failure = async (call) => {
  let promise
  try {
    promise = call()
  } catch (error) {
    return { error, sync: true }
  }
  assert.ok(promise instanceof Promise, `returned ${String(promise)}`)
  return {
    error: await promise.then(
      (value) => value,
      (error) => error,
    ),
    sync: false,
  }
}

export const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000'

export const spawned = async (w, name = 'a', options = { prompt: 'hello' }, managerOptions = {}) => {
  const mgr = w.manager(managerOptions)
  await mgr.spawn(name, options)
  return mgr
}

export const ended = (mgr, name = 'a') => {
  const session = mgr.sessions.get(name)
  mgr.stop(name)
  return session.closed
}
