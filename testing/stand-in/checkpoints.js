'use strict'

/** File checkpoints: what the files were before the turn of each message, for `rewind_files`. */

const fs = require('fs')
const { ControlError } = require('./control-faults.js')

const enabled = () => process.env.CLAUDE_CODE_ENABLE_SDK_FILE_CHECKPOINTING === 'true'

const readOrNull = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null)

const linesOf = (text) => (text === null || text === '' ? [] : text.replace(/\n$/, '').split('\n'))

class Checkpoints {
  constructor() {
    this.turns = []
  }

  startTurn(uuids) {
    if (enabled()) this.turns.push({ uuids, files: new Map() })
  }

  /** A file is about to be written; `before` is what it has, null if there is none. */
  beforeWrite(file, before) {
    const files = this.turns.at(-1)?.files
    if (files && !files.has(file)) files.set(file, before)
  }

  /** @returns {Map<string, string | null>} files as they were before that message's turn; null: there was none */
  stateBefore(messageUuid) {
    const from = this.turns.findIndex(({ uuids }) => uuids.includes(messageUuid))
    if (from < 0) throw new ControlError('No file checkpoint found for this message.')
    const state = new Map()
    for (const { files } of this.turns.slice(from).toReversed()) for (const [file, was] of files) state.set(file, was)
    return state
  }
}

const describe = (state) => {
  const changed = [...state].filter(([file, was]) => readOrNull(file) !== was)
  const count = (of, others) => of.filter((line) => !others.includes(line)).length
  let insertions = 0
  let deletions = 0
  for (const [file, was] of changed) {
    const [old, now] = [linesOf(was), linesOf(readOrNull(file))]
    insertions += count(now, old)
    deletions += count(old, now)
  }
  return { canRewind: true, filesChanged: changed.map(([file]) => file), insertions, deletions }
}

const restore = (state) => {
  for (const [file, was] of state) {
    if (was === null) fs.rmSync(file, { force: true })
    else fs.writeFileSync(file, was)
  }
}

const rewindFiles = (session, { user_message_id: messageUuid, dry_run: dryRun }) => {
  if (!enabled()) throw new ControlError('File rewinding is not enabled.')
  const state = session.checkpoints.stateBefore(messageUuid)
  if (dryRun) return describe(state)
  restore(state)
  return { canRewind: true, ...(session.habit.newer && { skippedLinks: 0 }) }
}

module.exports = { Checkpoints, rewindFiles }
