#!/usr/bin/env bash
# `make prove`: the long proofs that `make test` leaves out (tests marked #[ignore = "a long proof: make prove"], more random cases), one by
# one. What has passed is kept with its counts, and not run again until the code changes.
#   CHAOS_SECONDS=1800   how long faults are let loose on runs over several nodes
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
stages_total=4
export PROPTEST_CASES=${PROPTEST_CASES:-4096}

ui() { bash scripts/build-charts.sh; bash scripts/build-ui.sh; }
# What the proofs are of. One that has passed for the same is not run again: `make prove` goes on where it was interrupted.
proved_of() { hash_of Cargo.lock Cargo.toml engine connectors cli tests examples; }

# One proof: its lines, how long it took and what came of it are kept.
prove() {
  local binary=$1 name=$2 of=$3 kept=$proofs/$1--${2//::/--}.txt started=$SECONDS status=0
  if [ "$(head -n 1 "$kept" 2>/dev/null)" = "proved $of" ]; then
    note "$name: $(sed -n 2p "$kept")"
    return 0
  fi
  cargo nextest run "${workspace[@]}" --run-ignored only --profile prove --success-output immediate -E "binary_id(=$binary) & test(=$name)" 2>&1 |
    tee "$kept.log" || status=$?
  if [ "$status" -ne 0 ]; then
    say "$name: FAILED, after $((SECONDS - started)) s: $kept.log"
    return 1
  fi
  {
    say "proved $of"
    say "passed in $((SECONDS - started)) s, $(date -u +%F), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
    # What the test itself said: its counts.
    sed 's/\x1b\[[0-9;]*m//g' "$kept.log" | sed -n 's/^    \(.*: .*\)$/\1/p' | grep -v '^test result\|^test .* \.\.\.' || true
  } > "$kept"
}

all_proofs() {
  if ! command -v cargo-nextest >/dev/null; then
    cargo test "${workspace[@]}" --no-fail-fast --lib --bins --tests -- --ignored
    return
  fi
  local of binary name failed=0
  of=$(proved_of)
  mkdir -p "$proofs"
  # `hold` is no proof: a test starts it as a process of its own.
  cargo nextest list "${workspace[@]}" --run-ignored only --message-format oneline | grep -v ' duckdb_sink::hold$' > "$proofs/list"
  while read -r binary name; do prove "$binary" "$name" "$of" </dev/null || failed=$((failed + 1)); done < "$proofs/list"
  say
  say "What was proved, for docs/RELIABILITY.md (kept in $proofs):"
  while read -r binary name; do
    say "- $name: $(sed -n 2p "$proofs/$binary--${name//::/--}.txt" 2>/dev/null || echo 'not proved')"
    sed -n '3,$s/^/    /p' "$proofs/$binary--${name//::/--}.txt" 2>/dev/null || true
  done < "$proofs/list"
  [ "$failed" = 0 ]
}

stage "set-up"  "2 s; first time 10 min"   "the lines above say what is missing" bash scripts/setup.sh test
. scripts/env.sh
proofs=$CARGO_TARGET_DIR/proofs
stage "ui"      "2 s; first time 5 min"    "scripts/build-ui.sh alone shows it again" ui
stage "build"   "2 min; first time 20 min" "cargo build --workspace --bins --tests" cargo build "${workspace[@]}" --bins --tests
stage "proofs"  "an hour"                  "it goes on where it failed; cargo nextest run --run-ignored only -E 'test(NAME)' runs one alone" all_proofs
