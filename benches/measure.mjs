// One measurement in a process of its own: one scenario on one peer. Prints its figures as one line of JSON.
//
//   node --expose-gc benches/measure.mjs '{"peer":"clearctx","kind":"turn",...}'

import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'

/** The histogram of the loop's delay counts its own period, in ms. */
const RESOLUTION_MS = 1

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** µs that the JavaScript thread has run: the kernel's own account of it; elsewhere that of the process. */
function threadCpu() {
  if (process.platform !== 'linux') return processCpu()
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1000
}

/** µs that all threads of this process have run. */
function processCpu() {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Memory of its own that this process holds after a full collection, in KB: pages of programs and libraries are not. */
function resident() {
  // The heap of Node.js shrinks by steps.
  for (let count = 0; count < 6; count += 1) globalThis.gc?.()
  if (process.platform !== 'linux') return process.memoryUsage().rss / 1024
  return Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
}

/** Wall time in ms, and CPU in µs. */
async function cost(work) {
  const [start, thread, whole] = [performance.now(), threadCpu(), processCpu()]
  await work()
  return { ms: performance.now() - start, threadCpu: threadCpu() - thread, processCpu: processCpu() - whole }
}

/** How long the event loop was late while the work ran, in ms. Measured apart: the watch itself costs CPU. */
async function delay(work) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  // Its timer must have run before there is a period to be late in, also after the reset.
  const ticks = () => new Promise((resolve) => setTimeout(resolve, 4 * RESOLUTION_MS))
  await ticks()
  histogram.reset()
  await ticks()
  await work()
  // What held the loop at the end is counted when the timer runs again.
  await ticks()
  histogram.disable()
  const late = (ns) => Math.max(0, ns / 1e6 - RESOLUTION_MS)
  return { p99: late(histogram.percentile(99)), longest: late(histogram.max) }
}

const sessions = (peer, count, onMessage) =>
  Promise.all(Array.from({ length: count }, (_, index) => peer.session(`session-${index}`, onMessage)))

/** Every session has so many turns, one after the other; all sessions at once. */
async function turns(all, count, text) {
  const one = async (session) => {
    for (let turn = 0; turn < count; turn += 1) await session.turn(text)
  }
  await Promise.all(all.map(one))
}

const kinds = {
  /** Latency of single turns. */
  async turn(peer, { turns: count }) {
    const [session] = await sessions(peer, 1)
    await turns([session], count / 10, 'hello')
    const times = []
    for (let turn = 0; turn < count; turn += 1) {
      const start = performance.now()
      await session.turn('hello')
      times.push((performance.now() - start) * 1000)
    }
    return { latency: median(times) }
  },

  /** Many sessions at once. */
  async crowd(peer, { sessions: many, turns: count, text = 'hello' }) {
    const all = await sessions(peer, many)
    await turns(all, Math.ceil(count / 5), text)
    const { ms, threadCpu: thread, processCpu: whole } = await cost(() => turns(all, count, text))
    const { p99, longest } = await delay(() => turns(all, count, text))
    const total = many * count
    return {
      rate: (total / ms) * 1000,
      wall: (ms * 1000) / total,
      threadCpu: thread / total,
      processCpu: whole / total,
      delayP99: p99,
      delayLongest: longest,
    }
  },

  /** Sessions whose CLI writes as fast as it can. */
  async flood(peer, { sessions: many, messages, bytes, heard }) {
    let count = 0
    const all = await sessions(peer, many, heard ? () => (count += 1) : undefined)
    const text = `flood ${messages} ${bytes}`
    await turns(all, 1, `flood ${messages / 5} ${bytes}`)
    count = 0
    const { ms, threadCpu: thread, processCpu: whole } = await cost(() => turns(all, 1, text))
    if (heard && count < many * messages) throw new Error(`${count} messages were heard, ${many * messages} were sent`)
    const { p99, longest } = await delay(() => turns(all, 1, text))
    const megabytes = (many * messages * bytes) / 1e6
    return {
      rate: (megabytes / ms) * 1000,
      threadCpu: thread / 1000 / megabytes,
      processCpu: whole / 1000 / megabytes,
      delayP99: p99,
      delayLongest: longest,
    }
  },

  /** What the host keeps for a session that has had a turn. */
  async memory(peer, { sessions: many }) {
    // What the first sessions cost is the engine, and the heap of Node.js finding its size.
    await turns(await sessions(peer, many), 1, 'hello')
    const before = resident()
    const all = await Promise.all(Array.from({ length: many }, (_, index) => peer.session(`more-${index}`)))
    await turns(all, 1, 'hello')
    return { perSession: (resident() - before) / many }
  },

  /** How long a fork keeps the event loop, in a host with a big heap. */
  async fork(peer, { heapMegabytes }) {
    const [session] = await sessions(peer, 1)
    await turns([session], 10, 'hello')
    const heap = Buffer.alloc(heapMegabytes << 20, 1)
    await peer.fork(session, 'warm-up')
    const { longest } = await delay(() => peer.fork(session, 'fork'))
    return { blocked: longest, heap: heap.length >> 20 }
  },
}

async function main(task) {
  if (task.kind === 'load') {
    const start = performance.now()
    await import(pathToFileURL(task.entry).href)
    return { load: performance.now() - start }
  }
  const { open } = await import(`./peers/${task.peer}.mjs`)
  const peer = await open(task)
  const figures = await kinds[task.kind](peer, task)
  await peer.close()
  return figures
}

const figures = await main(JSON.parse(process.argv[2]))
console.log(JSON.stringify(figures))
