#!/usr/bin/env bash
# The core's unit tests, and those of Windows' own (crates/core/tests/windows.rs), built for Windows and run in Wine.
#
#   scripts/test/windows.sh
#
# Needs Rust's standard library for x86_64-pc-windows-gnu (rustup target add), mingw and Wine; installs the Debian packages
# where it may, and skips where something cannot be had. On Windows itself: cargo test.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/lib/debian-packages.sh

target=x86_64-pc-windows-gnu

if [[ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]] && ! rustup target add "$target"; then
  echo "skipped: there is no standard library for $target"
  exit 0
fi
need_debian_packages gcc-mingw-w64-x86-64 wine wine64

folder=$PWD/target/test-windows
mkdir -p "$folder"
x86_64-w64-mingw32-gcc -shared -O1 -o "$folder/bcryptprimitives.dll" scripts/test/windows/bcryptprimitives.c -ladvapi32

export WINEPREFIX=$folder/wine WINEPATH=$folder WINEDEBUG=-all DISPLAY=
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER=wine
finish() {
  # The server of this prefix would stay for some seconds.
  "$(command -v wineserver || echo /usr/lib/wine/wineserver64)" -k || true
}
trap finish EXIT
timeout 1200 cargo test --quiet --locked --package clearctx-core --lib --test windows --target "$target"
