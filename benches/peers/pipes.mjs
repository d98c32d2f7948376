// Plain pipes: what Node.js needs to move the bytes, and nothing else. No line is cut out, no JSON is parsed; a turn has
// ended when the bytes end as the stand-in's result does.

import { spawn } from 'node:child_process'
import { once } from 'node:events'

const END = Buffer.from('"end_of_turn":true}\n')

export function open({ standIn }) {
  const children = []
  return {
    session() {
      const child = spawn(standIn, ['--input-format', 'stream-json'], { stdio: ['pipe', 'pipe', 'ignore'] })
      children.push(child)
      let answered
      let tail = Buffer.alloc(0)
      child.stdout.on('data', (chunk) => {
        tail = chunk.length >= END.length ? chunk : Buffer.concat([tail.subarray(-END.length), chunk])
        if (tail.subarray(-END.length).equals(END)) answered()
      })
      return {
        turn: (text) =>
          new Promise((resolve) => {
            answered = resolve
            child.stdin.write(`{"type":"user","message":{"role":"user","content":"${text}"}}\n`)
          }),
      }
    },
    async close() {
      for (const child of children) child.stdin.end()
      await Promise.all(children.map((child) => child.exitCode ?? once(child, 'close')))
    },
  }
}
