#!/usr/bin/env bash
# Type-checks the crates for systems other than this one: Windows, macOS and Linux on Arm by default, or the targets given.
#
#   scripts/test/targets.sh [TARGET...]
#
# `cargo check` needs the target's standard library. Where a toolchain cannot download it, Debian's rust-web-src has its
# source and Debian's rustc-web, being of the same version, builds it. It only checks: nothing is linked, nothing runs.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/lib/debian-packages.sh

if (($# > 0)); then
  targets=("$@")
else
  targets=(x86_64-pc-windows-gnu aarch64-apple-darwin aarch64-unknown-linux-gnu)
fi
need_debian_packages rustc-web rust-web-src gcc-mingw-w64-x86-64

# For windows-gnu, napi-build looks for a libnode.dll to link with; a check is content with an empty one.
stub=$(mktemp -d)
trap 'rm -rf "$stub"' EXIT
: >"$stub/libnode.dll"

failed=0
for target in "${targets[@]}"; do
  echo "checking $target"
  LIBNODE_PATH=$stub RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=target/check-targets \
    cargo check --quiet --locked -Zbuild-std=std,panic_unwind --target "$target" || failed=1
done
exit "$failed"
