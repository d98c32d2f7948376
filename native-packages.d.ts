/** The packages of `npm/`, of which at most one is installed. */
declare module 'clearctx-*' {
  const engine: typeof import('./native')
  export = engine
}
