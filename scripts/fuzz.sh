#!/usr/bin/env bash
# `make fuzz`: hostile bytes for what reads the wire, the disk and the pipeline file. What was found interesting is kept in fuzz/corpus, so
# that the next run goes on from it; an input that fails is kept in fuzz/artifacts, and the command to run it again is printed.
#   FUZZ_SECONDS=3600   how long for each target
#   FUZZ_TARGETS="..."  which ones (default: all)
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
stages_total=2
seconds=${FUZZ_SECONDS:-3600}
targets=${FUZZ_TARGETS:-$(sed -n 's/^name = "\([a-z]*\)"$/\1/p' fuzz/Cargo.toml)}
export CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz

# Without the address sanitizer, which wants a compiler of another channel: our own crates that are fuzzed have no unsafe code.
fuzz() { cargo fuzz "$@" --sanitizer none; }
build() { for target in $targets; do fuzz build "$target"; done; }

# What the fuzzer says at its end, on a line.
run() {
  local target log
  for target in $targets; do
    log=$CARGO_TARGET_DIR/$target.log
    mkdir -p "fuzz/corpus/$target" "$CARGO_TARGET_DIR/found/$target"
    # New inputs go to the first folder: what is committed grows only by `cargo fuzz cmin`.
    cargo fuzz run "$target" "$CARGO_TARGET_DIR/found/$target" "fuzz/corpus/$target" --sanitizer none -- \
      -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 > "$log" 2>&1 || { tail -n 30 "$log"; return 1; }
    say "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, $(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1) places reached, none failed"
  done
}

stage "build" "1 min"              "cargo fuzz build TARGET shows it again" build
stage "fuzz"  "$seconds s a target" "the input is in fuzz/artifacts; cargo fuzz run TARGET FILE runs it alone" run
