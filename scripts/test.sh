#!/usr/bin/env bash
# `make test`: set-up, then everything that can be wrong, what fails soonest first. Ends with `N passed, N failed` over all stages.
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
stages_total=15
# The same cases each time, so that a change is what makes a difference; `make prove` draws others.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-2013}

# Sums what the runners said in their closing lines: cargo test, nextest, vitest, node's runner, and the plain line.
count() {
  sed 's/\x1b\[[0-9;]*m//g' "$logs"/*.log 2>/dev/null | awk '
    /^test result: /                        { take($0); next }
    /^ *Summary \[.*\] .* tests? run:/      { sub(/.*run:/, ""); take($0); next }
    /^ *Tests  /                            { take($0); next }
    /^(ℹ|#) pass [0-9]+$/                   { passed += $3; next }
    /^(ℹ|#) fail [0-9]+$/                   { failed += $3; next }
    /^([^ ]+: )?[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { take($0); next }
    function take(line) {
      if (match(line, /[0-9]+ passed/)) passed += substr(line, RSTART, RLENGTH)
      if (match(line, /[0-9]+ failed/)) failed += substr(line, RSTART, RLENGTH)
    }
    END { printf "%d passed, %d failed\n", passed, failed }'
}
trap 'status=$?; say; count; exit $status' EXIT
rm -f "$logs"/*.log

formatting() {
  cargo fmt --all --check
  cargo fmt --manifest-path ui/charts/Cargo.toml -p millrace-charts -p millrace-charts-bundle --check
}
dependency_rules() {
  if ! command -v cargo-deny >/dev/null; then
    note "SKIPPED: cargo-deny is not here and could not be built; licences, bans and sources are not checked"
    return 0
  fi
  local rules=(bans licenses sources)
  cargo deny --all-features --log-level error --workspace check --hide-inclusion-graph "${rules[@]}"
  cargo deny --all-features --log-level error --manifest-path ui/charts/Cargo.toml --config deny.toml check --hide-inclusion-graph "${rules[@]}"
}
rust_tests() {
  if command -v cargo-nextest >/dev/null; then cargo nextest run "${workspace[@]}" --no-fail-fast
  else cargo test "${workspace[@]}" --no-fail-fast --lib --bins --tests; fi
}
charts_checks() {
  export CARGO_TARGET_DIR=$charts_target
  cargo clippy --locked --manifest-path ui/charts/Cargo.toml --workspace --all-targets -- -D warnings
  cargo test --locked --manifest-path ui/charts/Cargo.toml --workspace
}
# A cache that outlives checkouts gathers the leavings of each; dependencies stay, our own crates are built anew.
tidy_cache() {
  local gigabytes
  gigabytes=$(du -s --block-size=1G "$CARGO_TARGET_DIR" 2>/dev/null | cut -f1)
  if [ -n "${CI:-}" ] && [ "${gigabytes:-0}" -gt 30 ]; then
    note "$gigabytes GB in $CARGO_TARGET_DIR: clearing what belongs to our own crates"
    cargo clean --workspace --quiet
  fi
}
set_up() { bash scripts/setup.sh test; tidy_cache; }

#     name                usually                     what to do when it fails
stage "set-up"            "2 s; first time 10 min"    "the lines above say what is missing" set_up
. scripts/env.sh
stage "formatting"        "3 s"                       "cargo fmt --all, and the same in ui/charts" formatting
stage "charts"            "1 s; first time 4 min"     "scripts/build-charts.sh alone shows it again" bash scripts/build-charts.sh
stage "ui types"          "10 s"                      "npm run -w ui typecheck" npm run --silent -w ui typecheck
stage "ui lint"           "30 s"                      "npm run -w ui lint" npm run --silent -w ui lint
stage "ui tests"          "15 s"                      "npm run -w ui test" npm run --silent -w ui test
stage "ui build"          "10 s"                      "npm run -w ui build" bash scripts/build-ui.sh
stage "dependency rules"  "5 s"                       "deny.toml says what is allowed and why" dependency_rules
stage "clippy"            "1 min; first time 10 min"  "cargo clippy --workspace --all-targets" cargo clippy "${workspace[@]}" --all-targets -- -D warnings
stage "build"             "2 min; first time 20 min"  "cargo build --workspace --bins --tests" cargo build "${workspace[@]}" --bins --tests
stage "rust tests"        "3 min"                     "cargo nextest run -E 'test(NAME)' runs one alone" rust_tests
stage "doc tests"         "30 s"                      "cargo test --workspace --doc" cargo test "${workspace[@]}" --doc
stage "charts tests"      "10 s; first time 3 min"    "cargo test in ui/charts" charts_checks
stage "browser tests"     "2 min"                     "npm run test:browser" npm run --silent --if-present test:browser
stage "desktop tests"     "1 min"                     "npm run test:desktop" npm run --silent --if-present test:desktop
say
say "all stages passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
