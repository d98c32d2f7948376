// Messages that make the mock of the API call tools, for the tests on the real CLI.

/** A call of the Bash tool. */
export function bash(command, more = {}) {
  return tool('Bash', { command, ...more })
}

/** A Bash call that goes on while the conversation does. Ends when `file` exists, or by itself after five minutes. */
export function background(file, more = {}) {
  return bash(waitFor(file), { run_in_background: true, ...more })
}

/** A shell command that runs until a file exists. */
export function waitFor(file) {
  return `for i in $(seq 6000); do [ -e '${file}' ] && break; sleep 0.05; done`
}

/** A call of any tool. */
export function tool(name, input) {
  return `TOOL:${name}:${JSON.stringify(input)}`
}

/** A call of the tool that writes a file. */
export function write(file, content = 'x') {
  return tool('Write', { file_path: file, content })
}

/** Several calls in one answer: `[['Bash', { command: 'ls' }], ...]`. */
export function tools(calls) {
  return `TOOLS:${JSON.stringify(calls)}`
}

/** A Bash call that runs until it is killed, with children of its own; it makes the file `started` first. */
export const ENDLESS = bash('touch started; (sleep 300; echo no) | cat; sleep 300')
