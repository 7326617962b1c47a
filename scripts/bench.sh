#!/usr/bin/env bash
# `make bench`: the figures of docs/BENCHMARKS.md, in a release build. Prints them; the document is kept by hand.
#   RUNS=10   how often the headless run is repeated
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
stages_total=8
export MILLRACE_BIN_DIR=$CARGO_TARGET_DIR/release
runs=${RUNS:-10}

ui() { bash scripts/build-charts.sh; bash scripts/build-ui.sh; }

machine() {
  say "$(uname -srm), $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GB", $2 / 1e6}' /proc/meminfo), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)"
  say "load before: $(cut -d' ' -f1-3 /proc/loadavg); commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
}

# The year of flights, Parquet to hourly windows per origin and carrier, in a project folder of its own.
project() {
  local folder=$CARGO_TARGET_DIR/bench
  mkdir -p "$folder/.git"
  cp -f examples/data/flights.parquet "$folder/"
  cat > "$folder/flights.millrace.toml" <<'TOML'
millrace = 1
[pipeline]
name = "bench: flights"
[node.flights]
kind = "file"
path = "flights.parquet"
event_time = "scheduled"
max_delay = "3h"
[node.hourly]
kind = "tumbling_window"
input = "flights"
size = "1h"
by = ["origin", "carrier"]
aggregate = { departures = "count(*)", mean_delay = "avg(dep_delay)", worst = "max(dep_delay)" }
allowed_lateness = "6h"
[node.out]
kind = "file_sink"
input = "hourly"
path = "out/hourly.parquet"
TOML
  printf '%s' "$folder"
}

# Whole process, from exec to exit: wall time and the greatest resident memory, over RUNS runs (the first, with cold files, apart).
headless() {
  local folder measured n
  folder=$(project)
  measured=$folder/measured
  machine
  : > "$measured"
  for n in $(seq 0 "$runs"); do
    /usr/bin/time -f '%e %M' -o "$measured.one" "$MILLRACE_BIN_DIR/millrace" run "$folder/flights.millrace.toml" --json > "$measured.json" 2> "$measured.err" || {
      cat "$measured.err" >&2
      return 1
    }
    if [ "$n" = 0 ]; then say "first: $(awk '{printf "%.2f s, %.0f MB", $1, $2 / 1024}' "$measured.one")"; else cat "$measured.one" >> "$measured"; fi
  done
  sort -n "$measured" | awk '{ wall[NR] = $1; if ($2 > memory) memory = $2 }
    END { printf "%d runs: wall min %.2f s, median %.2f s, max %.2f s; peak memory %.0f MB\n", NR, wall[1], wall[int((NR + 1) / 2)], wall[NR], memory / 1024 }'
  tail -n 1 "$measured.json"
}

# One figure of a line of JSON: field NAME.
field() { sed -n "s/.*\"$1\":\([0-9.eE+-]*\).*/\1/p"; }

# The engine beside DuckDB over the same rows at rest. Each line of JSON is kept beside the log.
engine() {
  local millrace=$MILLRACE_BIN_DIR/millrace kept=$CARGO_TARGET_DIR/bench/engine.jsonl name events keys from json
  mkdir -p "$CARGO_TARGET_DIR/bench"
  machine
  : > "$kept"
  printf '%-12s %11s %9s %8s %12s %12s %6s %8s %9s\n' what events keys from "M rows/s" "DuckDB" ratio "cpu s" "peak MiB"
  while read -r name events keys from; do
    json=$("$millrace" bench "$name" --events "$events" --keys "$keys" --from "$from" --repeat 5 --json)
    printf '%s\n' "$json" >> "$kept"
    printf '%s %s %s %s %s %s %s %s %s\n' "$name" "$events" "$keys" "$from" "$(field rows_per_second <<< "$json")" \
      "$(field duckdb_rows_per_second <<< "$json")" "$(field ratio <<< "$json")" "$(field cpu_seconds <<< "$json")" "$(field peak_rss_bytes <<< "$json")" |
      awk '{ printf "%-12s %11d %9d %8s %12.1f %12.1f %6.2f %8.2f %9.0f\n", $1, $2, $3, $4, $5 / 1e6, $6 / 1e6, $7, $8, $9 / 1048576 }'
  done <<'LIST'
projection 200000000 10000 memory
filter 200000000 10000 memory
tumble 164000000 10000 memory
tumble 82000000 1000000 memory
hop 164000000 10000 memory
session 40000000 10000 memory
projection 40000000 10000 parquet
tumble 40000000 10000 parquet
LIST
  for name in latency start idle; do
    json=$("$millrace" bench "$name" --json)
    printf '%s\n' "$json" >> "$kept"
    say "$json"
  done
  note "kept in $kept"
}

# Nexmark beside DuckDB over the same events at rest, and beside what Flink is said to reach on a core.
nexmark() {
  local millrace=$MILLRACE_BIN_DIR/millrace kept=$CARGO_TARGET_DIR/bench/nexmark.jsonl query json
  mkdir -p "$CARGO_TARGET_DIR/bench"
  : > "$kept"
  printf '%-12s %11s %12s %12s %6s %12s %8s %8s %9s\n' what events "M events/s" "DuckDB" ratio "M/s a core" "x Flink" "cpu s" "peak MiB"
  for query in q5 q7 q18 q19; do
    json=$("$millrace" bench "nexmark-$query" --repeat 5 --json)
    printf '%s\n' "$json" >> "$kept"
    printf '%s %s %s %s %s %s %s %s %s\n' "$query" "$(field events <<< "$json")" "$(field rows_per_second <<< "$json")" \
      "$(field duckdb_rows_per_second <<< "$json")" "$(field ratio <<< "$json")" "$(field rows_per_second_per_core <<< "$json")" \
      "$(field times_flink <<< "$json")" "$(field cpu_seconds <<< "$json")" "$(field peak_rss_bytes <<< "$json")" |
      awk '{ printf "%-12s %11d %12.2f %12.2f %6.2f %12.2f %8.0f %8.2f %9.0f\n", $1, $2, $3 / 1e6, $4 / 1e6, $5, $6 / 1e6, $7, $8, $9 / 1048576 }'
  done
  note "kept in $kept"
}

# What much state costs. The last needs memory for all of it once, for comparison, and twice as much on disk: it is smaller where either is scarce.
state() {
  local millrace=$MILLRACE_BIN_DIR/millrace kept=$CARGO_TARGET_DIR/bench/state.jsonl memory disk bytes name json
  mkdir -p "$CARGO_TARGET_DIR/bench"
  : > "$kept"
  memory=$(awk '/MemAvailable/ {printf "%d", $2 / 1024 / 1024}' /proc/meminfo)
  disk=$(df -Pk "${TMPDIR:-/tmp}" | awk 'END {printf "%d", $4 / 1024 / 1024}')
  bytes=8
  while [ "$bytes" -gt 1 ] && { [ "$memory" -lt $((bytes * 2)) ] || [ "$disk" -lt $((bytes * 3)) ]; }; do bytes=$((bytes / 2)); done
  [ "$bytes" = 8 ] || say "$memory GiB of memory and $disk GiB of disk are free: spill is measured with $bytes GB"
  for name in checkpoint restore "spill --state-bytes ${bytes}GB"; do
    # shellcheck disable=SC2086
    json=$("$millrace" bench $name --json)
    printf '%s\n' "$json" >> "$kept"
    say "$json"
  done
  note "kept in $kept"
}

stage "set-up"    "2 s; first time 10 min"   "the lines above say what is missing" bash scripts/setup.sh bench
. scripts/env.sh
export MILLRACE_BIN_DIR=$CARGO_TARGET_DIR/release
stage "ui"        "2 s; first time 5 min"    "scripts/build-ui.sh alone shows it again" ui
stage "build"     "2 min; first time 25 min" "cargo build --release --workspace --bins" \
  cargo build "${workspace[@]}" --release --bins
stage "headless"  "10 s"                     "the command's own message is above" headless
stage "engine"    "10 min"                   "the bench's own message is above: results that differ from DuckDB's are told whole" engine
stage "nexmark"   "4 min"                    "the bench's own message is above" nexmark
stage "state"     "6 min"                    "the bench's own message is above; it needs memory and disk for 8 GB" state
stage "studio"    "2 min"                    "npm run bench" npm run --silent --if-present bench
