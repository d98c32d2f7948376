// npm run bench: clearctx beside what a user would take instead, on a stand-in of the CLI that costs little.
//
//   npm run bench -- [--scenario ID]... [--peer ID]... [--runs N] [--json FILE] [--smoke]
//
// Each measurement runs in a process of its own; peers take turns within a round, so that all have the same machine. A
// full run writes benches/results/figures.json and chart.svg. --smoke shows in seconds that everything works; its
// figures mean nothing.

import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

import { Problem, buildAddon, installPackages, main, needNode, prepare, root } from '../scripts/lib/tools.mjs'
import { chart } from './chart.mjs'
import { lines, summarize } from './figures.mjs'
import { AGENT_SDK_VERSION, agentSdk, standIn } from './prepare.mjs'
import { PEERS, scenarios } from './scenarios.mjs'

const RUNS = 5
const LONGEST_MS = 300_000
const MEASURE = fileURLToPath(new URL('measure.mjs', import.meta.url))
const RESULTS = join(root, 'benches', 'results')

function options() {
  const { values } = parseArgs({
    options: {
      scenario: { type: 'string', multiple: true },
      peer: { type: 'string', multiple: true },
      runs: { type: 'string' },
      json: { type: 'string' },
      smoke: { type: 'boolean', default: false },
    },
  })
  const runs = Number(values.runs ?? (values.smoke ? 1 : RUNS))
  if (!Number.isInteger(runs) || runs < 1) throw new Problem(`--runs must be a whole number, not "${values.runs}"`)
  const ids = [...new Set(scenarios.map(({ id }) => id))]
  return {
    ...values,
    runs,
    scenario: chosen('--scenario', values.scenario, ids),
    peer: chosen('--peer', values.peer, Object.keys(PEERS)),
  }
}

function chosen(option, given, known) {
  for (const id of given ?? []) {
    if (!known.includes(id)) throw new Problem(`${option} ${id} is none of ${known.join(', ')}`)
  }
  return given ?? known
}

/** Runs one measurement in a fresh process with a data directory of its own. */
async function measure(task) {
  const dir = mkdtempSync(join(tmpdir(), 'clearctx-bench-'))
  try {
    const args = ['--expose-gc', MEASURE, JSON.stringify({ ...task, dir: join(dir, 'data') })]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: LONGEST_MS, cwd: dir })
    return JSON.parse(stdout)
  } catch (error) {
    throw new Problem(`${task.peer}, ${task.kind}: ${error.killed ? 'took too long' : error.message}`)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** One scenario: in each round every peer once, each round in another order. */
async function rounds({ task, for: special = {}, smoke }, peers, given, paths) {
  const found = []
  for (let round = 0; round < given.runs; round += 1) {
    const figures = {}
    for (let index = 0; index < peers.length; index += 1) {
      const peer = peers[(round + index) % peers.length]
      const settings = given.smoke ? smoke : special[peer]
      figures[peer] = await measure({ ...task, ...settings, ...paths, peer, entry: paths.entries[peer] })
    }
    found.push(Object.fromEntries(peers.map((peer) => [peer, figures[peer]])))
  }
  return found
}

function write(given, summaries) {
  const machine = `${cpus().length} x ${cpus()[0].model.trim()}, ${process.platform} ${release()}, Node.js ${process.version}`
  const about = { date: new Date().toISOString().slice(0, 10), machine, agentSdk: AGENT_SDK_VERSION, runs: given.runs }
  const json = `${JSON.stringify({ ...about, scenarios: summaries }, null, 2)}\n`
  if (given.json !== undefined) writeFileSync(given.json, json)
  const whole = given.scenario.length === new Set(scenarios.map(({ id }) => id)).size
  if (given.smoke || !whole || given.peer.length < Object.keys(PEERS).length) return
  mkdirSync(RESULTS, { recursive: true })
  writeFileSync(join(RESULTS, 'figures.json'), json)
  const note = `npm run bench: medians of ${given.runs} runs; ${machine}; Agent SDK ${AGENT_SDK_VERSION}`
  writeFileSync(join(RESULTS, 'chart.svg'), chart(summaries, PEERS, note))
}

/** A smoke test takes what is there, which may be a debug build. */
async function prepareAddon({ smoke }) {
  if (smoke) return prepare()
  needNode()
  await installPackages()
  await buildAddon()
}

await main(async () => {
  const given = options()
  await prepareAddon(given)
  const sdk = given.peer.includes('agent-sdk') ? await agentSdk() : undefined
  const paths = {
    standIn: standIn(),
    agentSdk: sdk,
    entries: {
      clearctx: join(root, 'index.js'),
      'agent-sdk': sdk,
      'plain-js': fileURLToPath(new URL('peers/plain-js.mjs', import.meta.url)),
    },
  }
  const summaries = []
  for (const scenario of scenarios.filter(({ id }) => given.scenario.includes(id))) {
    const peers = scenario.peers.filter((peer) => given.peer.includes(peer))
    if (peers.length === 0) continue
    const summary = summarize(scenario, await rounds(scenario, peers, given, paths))
    summaries.push(summary)
    console.log(given.smoke ? `works: ${scenario.title}` : `\n${lines(summary, PEERS).join('\n')}`)
  }
  write(given, summaries)
  if (given.smoke) return
  const goals = summaries.flatMap(({ metrics }) => metrics.flatMap((metric) => metric.goals))
  if (goals.length > 0) console.log(`\n${goals.filter(({ met }) => met).length} of ${goals.length} goals met`)
})
