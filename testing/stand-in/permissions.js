'use strict'

/** May a tool run without asking? A default session without a handler refuses what it would have to ask for. */

const { isPlanFile } = require('./dialogs.js')

const READ_ONLY_TOOLS = new Set(['Read', 'Glob', 'Grep', 'LS', 'Task', 'Agent', 'TodoWrite', 'EnterPlanMode'])
const EDIT_TOOLS = new Set(['Write', 'Edit', 'MultiEdit', 'NotebookEdit'])
const READ_ONLY_COMMAND = /^(echo|ls|pwd|id|whoami|true|false|cat|head|tail|wc|which|date)\b[^;&|<>`$]*$/

/** `Bash` allows all, `Bash(git *)` and `Bash(git:*)` what starts so, `Bash(ls -l)` exactly that. */
const ruleAllows = (rule, tool, command) => {
  const found = /^([^()]+)(?:\((.*)\))?$/s.exec(rule)
  // `mcp__calc` allows every tool of that server.
  if (found?.[1].startsWith('mcp__') && tool.startsWith(`${found[1]}__`)) return true
  if (!found || found[1] !== tool) return false
  const pattern = found[2]
  if (pattern === undefined || pattern === '*') return true
  const prefix = /^(.*?)(?::\*| \*|\*)$/s.exec(pattern)
  return prefix ? command.startsWith(prefix[1]) : command === pattern
}

/** @returns {null | string} null if the call may run, else the refusal */
const refusal = (session, tool, input) => {
  const command = String(input.command ?? input.file_path ?? '')
  const mode = session.permissionMode
  if (session.allowRules().some((rule) => ruleAllows(rule, tool, command))) return null
  // There is no model here that would judge the calls of `auto`.
  if (mode === 'bypassPermissions' || mode === 'auto') return null
  if (READ_ONLY_TOOLS.has(tool) || (tool === 'Bash' && READ_ONLY_COMMAND.test(command))) return null
  if (mode === 'acceptEdits' && EDIT_TOOLS.has(tool)) return null
  if (mode === 'plan' && tool === 'Write' && isPlanFile(input.file_path)) return null
  if (mode === 'plan') return `Plan mode is active: ${tool} was not run.`
  return `Claude requested permissions to use ${tool}, but you haven't granted it yet.`
}

module.exports = { refusal }
