// What is measured, on whom, and the goals. A goal compares clearctx with a peer of the same round, or with a figure.

export const PEERS = {
  clearctx: 'clearctx',
  'agent-sdk': 'Agent SDK',
  pipes: 'plain pipes',
  'plain-js': 'plain JS engine',
}

const ALL = Object.keys(PEERS)

const CPU = ['threadCpu', 'JS thread, CPU']
const P99 = { id: 'delayP99', what: 'event loop delay, p99', unit: 'ms' }
const LONGEST = { id: 'delayLongest', what: 'event loop delay, longest', unit: 'ms' }

const metric = ([id, what], unit, goals = []) => ({ id, what, unit, goals })
const atMost = (factor, peer) => ({ most: factor, peer })
const atLeast = (factor, peer) => ({ least: factor, peer })

const FLOOD = { kind: 'flood', sessions: 8, messages: 5000, bytes: 1024 }
const HOST_CPU = { id: 'processCpu', what: 'whole host process, CPU', goals: [] }

/** `task` goes to measure.mjs; `for` changes it for one peer, `smoke` for a run that only shows that it works. */
export const scenarios = [
  {
    id: 'turn',
    title: 'One session, a turn',
    peers: ALL,
    task: { kind: 'turn', turns: 2000 },
    smoke: { turns: 20 },
    metrics: [metric(['latency', 'a turn, median'], 'µs', [atMost(0.8, 'agent-sdk'), atMost(1.5, 'pipes')])],
  },
  {
    id: 'crowd',
    title: '100 sessions at once',
    peers: ALL,
    task: { kind: 'crowd', sessions: 100, turns: 200 },
    // Its file grows with each turn and is written at each turn: 200 turns would take minutes.
    for: { 'plain-js': { turns: 20 } },
    smoke: { sessions: 5, turns: 5 },
    metrics: [
      metric(['rate', 'turns'], '/s', [atLeast(2.5, 'agent-sdk')]),
      metric([CPU[0], `${CPU[1]} a turn`], 'µs', [atMost(0.15, 'agent-sdk')]),
      { ...HOST_CPU, what: `${HOST_CPU.what} a turn`, unit: 'µs' },
      { ...P99, goals: [atMost(0.4, 'agent-sdk')] },
      { ...LONGEST, goals: [] },
    ],
  },
  {
    id: 'flood',
    title: 'Flood: 8 sessions x 5,000 messages of 1 KB, no listener',
    peers: ALL,
    task: FLOOD,
    smoke: { sessions: 2, messages: 50 },
    metrics: [
      metric(['rate', 'output taken'], 'MB/s', [atLeast(3.5, 'agent-sdk')]),
      metric([CPU[0], `${CPU[1]} per MB`], 'ms', [atMost(0.01, 'agent-sdk')]),
      { ...HOST_CPU, what: `${HOST_CPU.what} per MB`, unit: 'ms' },
      { ...P99, goals: [{ most: 5 }] },
      { ...LONGEST, goals: [atMost(0.15, 'agent-sdk')] },
    ],
  },
  {
    id: 'heard',
    title: 'The same flood, a `message` listener on every session',
    peers: ['clearctx', 'agent-sdk', 'plain-js'],
    task: { ...FLOOD, heard: true },
    smoke: { sessions: 2, messages: 50 },
    metrics: [
      metric(['rate', 'output taken'], 'MB/s', [atLeast(1, 'agent-sdk')]),
      metric([CPU[0], `${CPU[1]} per MB`], 'ms', [atMost(0.5, 'agent-sdk')]),
      { ...P99, goals: [] },
      { ...LONGEST, goals: [] },
    ],
  },
  {
    id: 'memory',
    title: '200 sessions',
    peers: ALL,
    task: { kind: 'memory', sessions: 200 },
    smoke: { sessions: 5 },
    metrics: [metric(['perSession', 'host memory per session'], 'KB', [{ most: 20 }])],
  },
  {
    id: 'load',
    title: 'Loading the package',
    peers: ['clearctx', 'agent-sdk', 'plain-js'],
    task: { kind: 'load' },
    smoke: {},
    metrics: [metric(['load', 'import'], 'ms', [atMost(0.1, 'agent-sdk')])],
  },
  {
    id: 'fork',
    title: 'A fork, in a host with 512 MB in use',
    peers: ['clearctx', 'agent-sdk', 'plain-js'],
    task: { kind: 'fork', heapMegabytes: 512 },
    smoke: { heapMegabytes: 1 },
    metrics: [metric(['blocked', 'event loop blocked'], 'ms', [{ most: 5 }])],
  },
  ...[1, 10, 100, 1000].map((sessions) =>
    scaling(`${sessions} sessions`, { sessions, turns: Math.max(5, 5000 / sessions) }),
  ),
  ...[1, 10, 100].map((kilobytes) =>
    scaling(`10 sessions, answers of ${kilobytes} KB`, {
      sessions: 10,
      turns: Math.max(100, 1000 / kilobytes),
      text: `reply ${kilobytes * 1024}`,
    }),
  ),
]

function scaling(title, { sessions, turns, text }) {
  return {
    id: 'scaling',
    title: `Scaling: ${title}`,
    peers: ['clearctx', 'agent-sdk', 'pipes'],
    task: { kind: 'crowd', sessions, turns, ...(text === undefined ? {} : { text }) },
    smoke: { sessions: Math.min(sessions, 3), turns: 2 },
    metrics: [
      metric(['wall', 'wall time a turn'], 'µs'),
      metric([CPU[0], `${CPU[1]} a turn`], 'µs'),
      { ...HOST_CPU, what: `${HOST_CPU.what} a turn`, unit: 'µs' },
    ],
  }
}
