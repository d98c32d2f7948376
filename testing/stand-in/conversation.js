'use strict'

/**
 * The memory of one conversation, on disk as the CLI keeps it: one .jsonl per session id in a folder named after the
 * working directory. Lines are `user` and `assistant` messages and `totals` (money so far).
 */

const fs = require('fs')
const path = require('path')
const { uuid, isUuid } = require('./ids.js')

const NO_ANSWER = 'No response requested.'

const projectsFolder = () =>
  path.join(
    process.env.CLAUDE_CONFIG_DIR || path.join(process.env.HOME || require('os').homedir(), '.claude'),
    'projects',
  )

const folderOf = (cwd) => path.join(projectsFolder(), cwd.replace(/[^a-zA-Z0-9]/g, '-'))

const fileOf = (id) => path.join(folderOf(process.cwd()), `${id}.jsonl`)

/** The file of a conversation, or null. The older CLI looks only in the folder of the working directory. */
const findFile = (habit, id) => {
  if (!isUuid(id)) return null
  const here = fileOf(id)
  if (fs.existsSync(here)) return here
  if (!habit.newer || !fs.existsSync(projectsFolder())) return null
  const folders = fs.readdirSync(projectsFolder())
  return (
    folders.map((folder) => path.join(projectsFolder(), folder, `${id}.jsonl`)).find((file) => fs.existsSync(file)) ||
    null
  )
}

/** Newest conversation of the working directory, or null. */
const findNewest = () => {
  const folder = folderOf(process.cwd())
  if (!fs.existsSync(folder)) return null
  const ages = fs.readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  ages.sort((a, b) => fs.statSync(path.join(folder, b)).mtimeMs - fs.statSync(path.join(folder, a)).mtimeMs)
  return ages.length > 0 ? ages[0].slice(0, -'.jsonl'.length) : null
}

class Conversation {
  /** @param {{ id: string, file?: string, persist?: boolean, saveDelayMs: number }} place */
  constructor({ id, file = fileOf(id), persist = true, saveDelayMs }) {
    this.id = id
    this.file = file
    this.persist = persist
    this.saveDelayMs = saveDelayMs
    this.entries = []
    this.seen = new Set()
    this.totals = null
    this.unsaved = []
    this.timer = null
  }

  /** Read the lines of a file into memory. A user message that never got its answer gets the CLI's filler. */
  load(file) {
    for (const line of fs.readFileSync(file, 'utf8').split('\n')) this.take(line)
    const last = this.entries.at(-1)
    if (last && last.type === 'user' && !last.interrupted) this.entries.push(answer(NO_ANSWER, { synthetic: true }))
  }

  take(line) {
    let item
    try {
      item = JSON.parse(line)
    } catch {
      return // Empty, or torn by a kill.
    }
    if (item.type === 'totals') this.totals = item.totals
    if (item.type === 'boundary') this.entries = []
    if (item.type !== 'user' && item.type !== 'assistant') return
    this.entries.push(item)
    for (const id of item.uuids || []) this.seen.add(id)
  }

  /** Copy another conversation's memory; its file stays as it is. */
  copyFrom(file) {
    this.load(file)
    this.unsaved = [...this.entries, ...(this.totals ? [{ type: 'totals', totals: this.totals }] : [])]
  }

  addUser(text, details) {
    this.add(entry('user', text, details))
  }

  addAssistant(text, details) {
    this.add(answer(text, details))
  }

  add(item) {
    this.entries.push(item)
    for (const id of item.uuids || []) this.seen.add(id)
    this.save(item)
  }

  /** Forget what was said, as compacting does; the summary takes its place. */
  compact(summary) {
    this.entries = []
    this.save({ type: 'boundary' })
    this.addUser(summary, { hidden: true })
    this.addAssistant('Compacted.', { hidden: true })
  }

  saveTotals(totals) {
    this.save({ type: 'totals', totals: structuredClone(totals) })
  }

  save(item) {
    this.unsaved.push(item)
    if (this.saveDelayMs === 0) this.flush()
    else this.timer ??= setTimeout(() => this.flush(), this.saveDelayMs)
  }

  flush() {
    clearTimeout(this.timer)
    this.timer = null
    const items = this.unsaved.splice(0)
    if (!this.persist || items.length === 0) return
    const lines = items
      .map((item) => JSON.stringify({ ...item, sessionId: this.id, cwd: process.cwd() }) + '\n')
      .join('')
    try {
      fs.mkdirSync(path.dirname(this.file), { recursive: true })
      fs.appendFileSync(this.file, lines)
    } catch {
      // Like the CLI: an unwritable home is no error, the conversation is just not kept.
    }
  }

  /** Messages as the model sees them: neighbours of one role are one message, fillers are none. */
  count() {
    const visible = this.entries.filter((item) => !item.synthetic)
    return visible.filter((item, i) => i === 0 || item.separate || visible[i - 1].type !== item.type).length
  }

  /** Texts that the user wrote, oldest first. */
  userTexts() {
    return this.entries.filter((item) => item.type === 'user' && !item.hidden).map((item) => item.message.content)
  }
}

/** As the CLI writes it: blocks, and a reason that tells an end from a call of a tool. */
const answer = (text, { stop = 'end_turn', synthetic = false, call = {}, ...details } = {}) => {
  const item = entry('assistant', [{ type: 'text', text }], synthetic ? { synthetic, ...details } : details)
  const model = synthetic ? '<synthetic>' : 'stand-in'
  Object.assign(item.message, { model, stop_reason: synthetic ? 'stop_sequence' : stop, ...call })
  return item
}

// The CLI writes a message of the user under the uuid that the client gave it.
const entry = (type, text, details) => ({
  type,
  uuid: details?.uuids?.at(-1) ?? uuid(),
  timestamp: new Date().toISOString(),
  message: { role: type, content: text },
  ...details,
})

module.exports = { Conversation, findFile, findNewest, fileOf }
