// From measurements to figures: medians, spread, and how the goals stand.

const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * One scenario's figures. `rounds` holds, for each round, what each peer measured.
 * @param {{ id: string, title: string, metrics: object[] }} scenario
 * @param {Record<string, Record<string, number>>[]} rounds
 */
export function summarize({ id, title, metrics }, rounds) {
  const peers = Object.keys(rounds[0])
  return {
    id,
    title,
    metrics: metrics.map((metric) => ({
      what: metric.what,
      unit: metric.unit,
      peers: Object.fromEntries(
        peers.map((peer) => {
          const values = rounds.map((round) => round[peer][metric.id])
          return [peer, { median: median(values), least: Math.min(...values), most: Math.max(...values), values }]
        }),
      ),
      goals: metric.goals
        .filter((goal) => peers.includes('clearctx') && (goal.peer === undefined || peers.includes(goal.peer)))
        .map((goal) => judge(goal, metric.id, rounds)),
    })),
  }
}

// Ratios are taken within a round, where both peers had the same machine.
function judge(goal, metric, rounds) {
  const base = (round) => (goal.peer === undefined ? 1 : round[goal.peer][metric])
  const value = median(rounds.map((round) => round.clearctx[metric] / base(round)))
  const met = goal.most === undefined ? value >= goal.least : value <= goal.most
  return { ...goal, value, met, off: met ? null : Math.abs(value / (goal.most ?? goal.least) - 1) }
}

const digits = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 ? 2 : 3)

export const number = (value) =>
  value.toLocaleString('en-US', { maximumFractionDigits: digits(Math.abs(value)), useGrouping: true })

/** A goal as a sentence: `0.74 x Agent SDK (at most 0.8): met`. */
export function sentence(goal, names, unit) {
  const than = goal.peer === undefined ? ` ${unit}` : ` x ${names[goal.peer]}`
  const bound = goal.most === undefined ? `at least ${goal.least}` : `at most ${goal.most}`
  const verdict = goal.met ? 'met' : `MISSED by ${(goal.off * 100).toFixed(0)}%`
  return `${number(goal.value)}${than} (${bound}): ${verdict}`
}

/** One scenario as lines of text. */
export function lines({ title, metrics }, names) {
  const out = [title]
  for (const { what, unit, peers, goals } of metrics) {
    out.push(`  ${what}, ${unit}`)
    for (const [peer, { median: middle, least, most }] of Object.entries(peers)) {
      out.push(`    ${names[peer].padEnd(16)}${number(middle).padStart(9)}   (${number(least)} to ${number(most)})`)
    }
    for (const goal of goals) out.push(`    ${goal.met ? 'ok' : '!!'} ${sentence(goal, names, unit)}`)
  }
  return out
}
