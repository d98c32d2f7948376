// The official Agent SDK for TypeScript, as its documentation says for many turns in one process: a generator as the
// prompt, and one loop that takes the messages. It always parses every message.

import { pathToFileURL } from 'node:url'

export async function open({ standIn, agentSdk }) {
  const { query } = await import(pathToFileURL(agentSdk).href)
  const sessions = []
  const start = (onMessage, more) => {
    const session = new Session(query, { pathToClaudeCodeExecutable: standIn, ...more }, onMessage)
    sessions.push(session)
    return session
  }
  return {
    session: (_name, onMessage) => start(onMessage, {}),
    async fork(source, _name) {
      await start(undefined, { resume: source.id, forkSession: true }).turn('go on')
    },
    close: () => Promise.all(sessions.map((session) => session.end())),
  }
}

class Session {
  id
  #waiting = []
  #wake = () => {}
  #ended = false
  #answers = []
  #done

  constructor(query, options, onMessage) {
    this.#done = this.#read(query({ prompt: this.#prompts(), options }), onMessage)
  }

  turn(text) {
    return new Promise((resolve) => {
      this.#answers.push(resolve)
      this.#waiting.push(text)
      this.#wake()
    })
  }

  end() {
    this.#ended = true
    this.#wake()
    return this.#done
  }

  async *#prompts() {
    while (!this.#ended) {
      while (this.#waiting.length > 0) {
        const message = { role: 'user', content: this.#waiting.shift() }
        yield { type: 'user', message, parent_tool_use_id: null }
      }
      await new Promise((resolve) => {
        this.#wake = resolve
        if (this.#ended || this.#waiting.length > 0) resolve()
      })
    }
  }

  async #read(messages, onMessage) {
    for await (const message of messages) {
      onMessage?.(message)
      if (message.type !== 'result') continue
      this.id = message.session_id
      this.#answers.shift()(message)
    }
  }
}
