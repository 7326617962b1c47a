#!/usr/bin/env bash
# The charts (ui/charts, Rust) as WebAssembly and its JavaScript in ui/src/generated/charts. Does nothing while its sources stand as they were.
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
out=$root/ui/src/generated/charts

# Of studio/api the charts use one file; the rest of that crate may change without making them again.
wanted=$(hash_of ui/charts scripts/build-charts.sh studio/api/Cargo.toml studio/api/src/chart_frame.rs)
if is_fresh charts "$wanted" && [ -f "$out/millrace_charts_bg.wasm" ]; then note "charts are up to date"; exit 0; fi

cd ui/charts
export CARGO_TARGET_DIR=$charts_target
sysroot=$(rustc --print sysroot)
if [ -z "${MILLRACE_WASM_FROM_DEBIAN:-}" ] && [ -d "$sysroot/lib/rustlib/wasm32-unknown-unknown/lib" ]; then
  cargo build --locked --release --target wasm32-unknown-unknown --lib ||
    fail "the charts do not compile to WebAssembly" "read the compiler's message above"
elif [ -x /usr/bin/rustc ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src" ]; then
  # Debian's rustc-web with rust-web-src: the standard library is compiled along. The linker is rustup's.
  host=$(rustc -vV | sed -n 's/^host: //p')
  RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$sysroot/lib/rustlib/$host/bin/rust-lld \
    cargo build --locked --release -Zbuild-std=std,panic_abort --target wasm32-unknown-unknown --lib ||
    fail "the charts do not compile to WebAssembly with Debian's rustc-web" "try: rustup target add wasm32-unknown-unknown"
else
  fail "there is no WebAssembly target" "scripts/setup.sh brings it"
fi
cargo run --locked --quiet -p millrace-charts-bundle -- \
  "$CARGO_TARGET_DIR/wasm32-unknown-unknown/release/millrace_charts.wasm" "$out" ||
  fail "wasm-bindgen could not write $out" "read the message above"
mark_fresh charts "$wanted"
