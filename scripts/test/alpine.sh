#!/usr/bin/env bash
# The packed packages on musl: installed and used, and all tests of the public classes, in Alpine with this major version of
# Node.js. Needs docker and what scripts/build/pack.mjs made, for this machine's CPU.
#
#   scripts/test/alpine.sh [NODE-MAJOR]
set -euo pipefail
cd "$(dirname "$0")/../.."

docker run --rm --init --volume "$PWD:/clearctx:ro" "node:${1:-24}-alpine" sh -euc '
  cp -r /clearctx /tmp/checkout
  cd /tmp/checkout
  apk add --no-cache --quiet git procps
  npm ci --no-audit --no-fund
  npm run test:packages -- this-node missing
  npm run test:built
'
