'use strict'

/** MCP servers that live in the host: their handshake and their calls, over `mcp_message`. */

const { askHost } = require('./requests.js')

const PROTOCOL_VERSION = '2025-11-25'
const STEP_TIMEOUT_MS = 30000

/** Of each step of a handshake; the older CLI waits for all of it at once, and twice as long. */
const stepTimeout = () => Number(process.env.CLEARCTX_STAND_IN_MCP_TIMEOUT_MS) || STEP_TIMEOUT_MS

const TOOL_NAME = /^mcp__(.+?)__(.+)$/s

class McpServer {
  constructor(session, name, config = {}) {
    this.session = session
    this.name = name
    this.config = config
    this.nextId = 0
    this.status = 'pending'
    this.serverInfo = undefined
    this.tools = []
    this.greeting = null
  }

  envelope(message) {
    return { subtype: 'mcp_message', server_name: this.name, message: { jsonrpc: '2.0', ...message } }
  }

  /** A message of which nothing is expected. */
  notify(method, params = undefined) {
    const request = this.envelope({ method, ...(params && { params }) })
    this.session.requests.send(request, { onAnswer: () => {} })
  }

  /** A request outside of any turn. */
  request(method, params = undefined) {
    const request = this.envelope({ method, ...(params && { params }), id: this.takeId() })
    return new Promise((resolve) => this.session.requests.send(request, { onAnswer: resolve }))
  }

  takeId() {
    this.nextId += 1
    return this.nextId - 1
  }

  greet() {
    const { version } = this.session.habit
    this.greeting ??= this.request('initialize', {
      protocolVersion: PROTOCOL_VERSION,
      capabilities: {},
      clientInfo: { name: 'claude-code', title: 'Claude Code', version },
    })
    return this.greeting
  }

  /** Finish the handshake; a host that does not answer holds the turn up. */
  async connect(turn) {
    if (this.status === 'connected') return
    const greeted = resultOf(await within(turn, this.greet(), this.patience()))
    if (greeted) {
      this.serverInfo = greeted.serverInfo
      this.notify('notifications/initialized')
      await this.list(turn)
    } else {
      this.status = 'failed'
    }
  }

  patience() {
    return this.session.habit.newer ? stepTimeout() : 2 * stepTimeout()
  }

  async list(turn) {
    const asked = this.request('tools/list')
    const listed = resultOf(turn ? await within(turn, asked, this.patience()) : await asked)
    this.status = listed ? 'connected' : 'failed'
    this.tools = listed?.tools ?? []
  }

  async call(turn, tool, input, toolUseId) {
    const id = this.takeId()
    const params = {
      name: tool,
      arguments: input,
      _meta: { 'claudecode/toolUseId': toolUseId, progressToken: id },
    }
    const cancelled = (reason) => this.notify('notifications/cancelled', { requestId: id, reason })
    const response = await askHost(turn, this.envelope({ method: 'tools/call', params, id }), {
      timeoutMs: this.callTimeout(),
      onCut: (timedOut) => cancelled(timedOut ? 'McpError: Request timed out' : 'AbortError: remote-cancel'),
    })
    if (response) return toolOutcome(response)
    const words = `MCP server "${this.name}" tool "${tool}" timed out after ${this.callTimeout() / 1000}s`
    return { content: words, isError: true, detail: `Error: ${words}` }
  }

  callTimeout() {
    const own = this.session.habit.newer ? this.config.timeout : undefined
    return own ?? (Number(process.env.MCP_TOOL_TIMEOUT) || undefined)
  }

  describe() {
    const { name, status, serverInfo, tools } = this
    return {
      name,
      status,
      ...(serverInfo && { serverInfo }),
      transport: 'sdk',
      scope: 'dynamic',
      source: 'sdk',
      tools: tools.map((tool) => ({ name: tool.name, annotations: tool.annotations ?? {} })),
    }
  }
}

/** The result in an answer to `mcp_message`, or null. */
const resultOf = (response) => response?.response?.mcp_response?.result ?? null

const within = (turn, promise, ms) =>
  turn.until((resolve) => {
    const timer = setTimeout(() => resolve(null), ms)
    promise.then((value) => {
      clearTimeout(timer)
      resolve(value)
    })
    return () => clearTimeout(timer)
  })

const toolOutcome = (response) => {
  const result = resultOf(response)
  if (!result) {
    const words = response.error ?? response.response?.mcp_response?.error?.message ?? 'no result'
    return { content: words, isError: true, detail: `Error: ${words}` }
  }
  const { content = [], structuredContent, isError } = result
  const said = structuredContent === undefined ? content : JSON.stringify(structuredContent)
  if (!isError) return { content: said, plain: true, detail: said }
  const words = content.map(({ text }) => text).join('\n')
  return { content: words, isError: true, detail: `Error: ${words}` }
}

class McpServers {
  constructor(session) {
    this.session = session
    this.servers = new Map()
    for (const text of session.options['mcp-config'] ?? []) this.readConfig(text)
  }

  /** Servers of the command line that live in the host; the others are not dialled here. */
  readConfig(text) {
    let config
    try {
      config = JSON.parse(text)
    } catch {
      return // A file, or nothing that could be read.
    }
    for (const [name, server] of Object.entries(config.mcpServers ?? {})) {
      if (server.type === 'sdk') this.servers.set(name, new McpServer(this.session, name))
    }
  }

  /** Servers that `initialize` names. The newer CLI greets them before it answers. */
  name(names, configs) {
    for (const name of names) {
      const server = new McpServer(this.session, name, configs[name])
      this.servers.set(name, server)
      if (this.session.habit.newer) server.greet()
    }
  }

  /** `mcp_set_servers`: all servers are replaced, and those of the host greeted anew with the next turn. */
  setServers(wanted = {}) {
    const before = [...this.servers.keys()]
    const errors = {}
    this.servers.clear()
    for (const [name, config] of Object.entries(wanted)) {
      if (config.type === 'sdk') this.servers.set(name, new McpServer(this.session, name))
      else errors[name] = 'stand-in: only servers of type sdk are supported'
    }
    const now = [...this.servers.keys()]
    return {
      added: now.filter((name) => !before.includes(name)),
      removed: before.filter((name) => !now.includes(name)),
      errors,
    }
  }

  /** Before a turn. The newer CLI tries a failed server again in every turn. */
  async ready(turn) {
    const wanted = [...this.servers.values()].filter(
      ({ status }) => status === 'pending' || (status === 'failed' && this.session.habit.newer),
    )
    await Promise.all(wanted.map((server) => server.connect(turn)))
  }

  /** @returns {{ server: McpServer, tool: string } | null} */
  find(toolName) {
    const [, serverName, tool] = TOOL_NAME.exec(toolName) ?? []
    const server = this.servers.get(serverName)
    return server?.status === 'connected' ? { server, tool } : null
  }

  /** A message of a server in the host. */
  hear({ server_name: name, message }) {
    if (!this.session.habit.newer || message?.method !== 'notifications/tools/list_changed') return
    this.servers.get(name)?.list(null)
  }

  status() {
    return [...this.servers.values()].map((server) => server.describe())
  }

  /** As the init line names them. */
  names() {
    const { newer } = this.session.habit
    return [...this.servers.values()].map(({ name, status }) => ({ name, status, ...(newer && { source: 'sdk' }) }))
  }

  toolNames() {
    return [...this.servers.values()].flatMap(({ name, tools }) => tools.map((tool) => `mcp__${name}__${tool.name}`))
  }
}

const isMcpTool = (name) => TOOL_NAME.test(name)

module.exports = { McpServers, isMcpTool }
