#!/usr/bin/env bash
# `make prove`: the long proofs that `make test` leaves out (tests marked #[ignore = "a long proof: make prove"], more random cases).
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
stages_total=4
export PROPTEST_CASES=${PROPTEST_CASES:-4096}

ui() { bash scripts/build-charts.sh; bash scripts/build-ui.sh; }
proofs() {
  if command -v cargo-nextest >/dev/null; then cargo nextest run "${workspace[@]}" --run-ignored only --no-fail-fast --profile prove
  else cargo test "${workspace[@]}" --no-fail-fast --lib --bins --tests -- --ignored; fi
}

stage "set-up"  "2 s; first time 10 min"   "the lines above say what is missing" bash scripts/setup.sh test
. scripts/env.sh
stage "ui"      "2 s; first time 5 min"    "scripts/build-ui.sh alone shows it again" ui
stage "build"   "2 min; first time 20 min" "cargo build --workspace --bins --tests" cargo build "${workspace[@]}" --bins --tests
stage "proofs"  "20 min"                   "cargo nextest run --run-ignored only -E 'test(NAME)' runs one alone" proofs
