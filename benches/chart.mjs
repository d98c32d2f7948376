// The figures as an SVG chart: one row of bars for each metric with a goal, on a logarithmic scale of its own, shorter is
// better (rates: longer). Written by hand: it is rectangles and text.

import { number } from './figures.mjs'

const COLORS = { clearctx: '#d9622b', 'agent-sdk': '#5b7db1', pipes: '#8a8f98', 'plain-js': '#b59a57' }

const WIDTH = 860
const BARS_X = 12
const BARS_WIDTH = 740
const HEADER = 17
const BAR = 11
const GAP = 22

const escape = (text) => text.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const text = (x, y, words, style = '') => `<text x="${x}" y="${y}" ${style}>${escape(words)}</text>`

/** @returns {string} SVG of all metrics that have a goal. */
export function chart(summaries, names, note) {
  const rows = summaries.flatMap(({ title, metrics }) =>
    metrics.filter(({ goals }) => goals.length > 0).map((metric) => ({ ...metric, title })),
  )
  const parts = [legend(names)]
  let y = 50
  for (const row of rows) {
    parts.push(...bars(row, y))
    y += HEADER + Object.keys(row.peers).length * (BAR + 2) + GAP
  }
  parts.push(text(12, y, note, 'class="faint"'))
  const style = `text{font:12px system-ui,sans-serif;fill:#24292f}.faint{fill:#6e7781}.title{font-weight:600}
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#8b949e}}`
  const size = `width="${WIDTH}" height="${y + 14}" viewBox="0 0 ${WIDTH} ${y + 14}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size}><style>${style}</style>\n${parts.join('\n')}\n</svg>\n`
}

function legend(names) {
  return Object.entries(names)
    .map(([peer, name], index) => {
      const x = BARS_X + index * 130
      return `<rect x="${x}" y="12" width="10" height="10" fill="${COLORS[peer]}"/>${text(x + 15, 21, name)}`
    })
    .join('')
}

function bars({ title, what, unit, peers }, top) {
  const values = Object.values(peers).map((peer) => peer.median)
  const [least, most] = [Math.min(...values), Math.max(...values)].map((value) => Math.max(value, 1e-4))
  // A logarithmic scale from a third of the least: differences of 1:1000 and of 1:1.2 both stay visible.
  const length = (value) => (BARS_WIDTH * Math.log(Math.max(value, 1e-4) / (least / 3))) / Math.log(most / (least / 3))
  const better = unit.endsWith('/s') ? 'more is better' : 'less is better'
  const parts = [
    `<text x="${BARS_X}" y="${top + 10}"><tspan class="title">${escape(`${what}, ${unit}`)}</tspan>` +
      `<tspan class="faint" dx="8">${escape(`${title}; ${better}`)}</tspan></text>`,
  ]
  Object.entries(peers).forEach(([peer, { median }], index) => {
    const y = top + HEADER + index * (BAR + 2)
    const width = Math.max(2, length(median)).toFixed(1)
    parts.push(`<rect x="${BARS_X}" y="${y}" width="${width}" height="${BAR}" fill="${COLORS[peer]}"/>`)
    parts.push(text(BARS_X + Number(width) + 6, y + 10, number(median)))
  })
  return parts
}
