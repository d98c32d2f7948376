// What is asked of cargo in more than one script.

/** Tests of the crates below the binding. */
export const CARGO_TEST = ['test', '--locked']

/** Everything, read by clippy; a warning is an error. */
export const CARGO_CLIPPY = ['clippy', '--locked', '--all-targets', '--', '-D', 'warnings']
