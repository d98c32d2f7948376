'use strict'

// What a program asks of a live session: interrupts, settings, questions. A manager and a session have these calls alike.

const check = require('./arguments')

/**
 * Sends a request to the engine; resolves with the CLI's answer.
 * @typedef {(request: (native: import('../native').NativeSession, call: number) => any) => Promise<any>} Called
 */

/** The calls of one session. */
class Controls {
  /** @type {Called} */
  #called
  #onModel

  /**
   * @param {Called} called
   * @param {(model: string) => void} onModel the model has changed
   */
  constructor(called, onModel) {
    this.#called = called
    this.#onModel = onModel
  }

  async interrupt(options) {
    const given = check.options(options, 'interrupt()')
    const dropQueue = check.flag(given.dropQueue, 'options.dropQueue')
    const timeout = check.milliseconds(given.timeout, 'options.timeout') ?? 0
    return await this.#called((native, call) => native.interrupt(call, dropQueue, timeout))
  }

  async control(request, options) {
    const given = check.options(options, 'control()')
    const timeout = check.milliseconds(given.timeout, 'options.timeout') ?? 0
    const json = check.request(request, 'request')
    return await this.#called((native, call) => native.control(call, json, timeout))
  }

  async setModel(model) {
    const name = check.text(model, 'model') ?? null
    await this.#ask({ subtype: 'set_model', model: name })
    this.#onModel(name ?? 'default')
  }

  async setPermissionMode(mode) {
    await this.#ask({ subtype: 'set_permission_mode', mode: check.name(mode, 'mode') })
  }

  async setEffort(effort) {
    await this.#ask({ subtype: 'apply_flag_settings', settings: { effortLevel: check.name(effort, 'effort') } })
  }

  async setThinking(maxTokens) {
    await this.#ask({ subtype: 'set_max_thinking_tokens', max_thinking_tokens: check.tokens(maxTokens, 'maxTokens') })
  }

  async setMcpServers(servers) {
    return await this.#ask({ subtype: 'mcp_set_servers', servers: check.object(servers, 'servers') })
  }

  async contextUsage() {
    return await this.#ask({ subtype: 'get_context_usage' })
  }

  async stopTask(taskId) {
    await this.#ask({ subtype: 'stop_task', task_id: check.name(taskId, 'taskId') })
  }

  async rewindFiles(messageId, options) {
    const dryRun = check.flag(check.options(options, 'rewindFiles()').dryRun, 'options.dryRun')
    const request = { subtype: 'rewind_files', user_message_id: check.name(messageId, 'messageId'), dry_run: dryRun }
    return await this.#ask(request)
  }

  async #ask(request) {
    return await this.#called((native, call) => native.control(call, JSON.stringify(request), 0))
  }
}

/**
 * Gives a class these calls.
 * @param {Function} Class
 * @param {(self: any, args: any[]) => [Controls, any[]]} find the session's calls, and the arguments that are theirs
 */
function addControls(Class, find) {
  for (const name of Object.getOwnPropertyNames(Controls.prototype)) {
    if (name === 'constructor') continue
    const method = {
      async [name](...args) {
        const [controls, own] = find(this, args)
        return await controls[name](...own)
      },
    }[name]
    Object.defineProperty(Class.prototype, name, { value: method, writable: true, configurable: true })
  }
}

module.exports = { Controls, addControls }
