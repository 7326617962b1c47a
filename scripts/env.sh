# Sourced by the other scripts: where things lie, and how they talk. Nothing is installed or built here.
#
# What the environment may set:
#   CARGO_TARGET_DIR   where cargo builds (default: target/ here; under CI a folder in the user's cache, so that it outlives the checkout)
#   MILLRACE_CACHE     tools that are built once (default: ~/.cache/millrace)
#   CHROMIUM           the browser for the browser tests
#   MILLRACE_NO_SETUP  if set, nothing is installed; what is missing is named instead
#   ONLY               stages to run, separated by commas (ONLY="clippy,rust tests" make test)
# What tests and tools may rely on, because it is exported here:
#   CARGO_TARGET_DIR   absolute;  MILLRACE_BIN_DIR = its debug/ folder, where `millrace`, `millrace-desktop` and libduckdb.so lie
#   CHROMIUM, TAURI_DRIVER, MILLRACE_S3_SERVER

set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
if [ -n "${CI:-}" ]; then
  : "${CARGO_TARGET_DIR:=$cache/target}"
  : "${CARGO_INCREMENTAL:=0}"
  charts_target=$cache/charts-target
  export CARGO_INCREMENTAL
else
  : "${CARGO_TARGET_DIR:=$root/target}"
  charts_target=$root/ui/charts/target
fi
case $CARGO_TARGET_DIR in /*) ;; *) CARGO_TARGET_DIR=$root/$CARGO_TARGET_DIR ;; esac
export CARGO_TARGET_DIR
export MILLRACE_BIN_DIR=$CARGO_TARGET_DIR/debug
export MILLRACE_S3_SERVER=${MILLRACE_S3_SERVER:-$cache/s3-server/bin/moto_server}
export TAURI_DRIVER=${TAURI_DRIVER:-$cache/tools/bin/tauri-driver}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
logs=$CARGO_TARGET_DIR/stage-logs
stamps=$CARGO_TARGET_DIR/stamps

# Tools of our own come last: what the machine has wins, unless it is too old (setup.sh sees to that).
PATH=$PATH:$HOME/.cargo/bin:$cache/tools/bin
if [ -x "$cache/node/node_modules/node/bin/node" ]; then PATH=$cache/node/node_modules/node/bin:$PATH; fi
export PATH

# One set of features for every cargo command: cargo builds the dependencies anew for each other set.
workspace=(--workspace --locked --features millrace-desktop/custom-protocol)

if [ -z "${CHROMIUM:-}" ]; then
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then CHROMIUM=$(command -v "$name"); break; fi
  done
fi
export CHROMIUM=${CHROMIUM:-}

rust_needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# at_least 1.95 1.96.0: is the second version as new as the first?
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }
rust_version() { rustc --version 2>/dev/null | awk '{print $2}'; }
# An older default toolchain stays the default; the one we need is chosen for our own commands only.
if command -v rustup >/dev/null && ! at_least "$rust_needed" "$(rust_version || true)"; then
  chosen=$(rustup toolchain list 2>/dev/null | awk '{print $1}' | grep -E '^[0-9]' | sort -Vr | head -n 1 || true)
  if [ -n "$chosen" ] && at_least "$rust_needed" "${chosen%%-*}"; then export RUSTUP_TOOLCHAIN=$chosen; fi
fi

if [ -t 1 ]; then bold=$(printf '\033[1m') red=$(printf '\033[31m') plain=$(printf '\033[0m'); else bold='' red='' plain=''; fi
say() { printf '%s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
# fail WHAT WHAT_TO_DO: one line each, then the end.
fail() {
  printf '%sfailed: %s%s\n' "$red" "$1" "$plain" >&2
  [ -z "${2:-}" ] || printf '  what to do: %s\n' "$2" >&2
  exit 1
}

# hash_of PATH...: one hash over the names and contents of files and folders (git's ignored files aside).
hash_of() {
  { git ls-files -co --exclude-standard -z -- "$@" 2>/dev/null || find "$@" -type f -print0; } | sort -zu |
    while IFS= read -r -d '' file; do [ ! -f "$file" ] || { printf '%s\n' "$file"; cat -- "$file"; }; done | sha256sum | cut -d' ' -f1
}
# is_fresh NAME HASH and mark_fresh NAME HASH: has this been done for exactly these inputs?
is_fresh() { [ "$(cat "$stamps/$1" 2>/dev/null || true)" = "$2" ]; }
mark_fresh() { mkdir -p "$stamps"; printf '%s' "$2" > "$stamps/$1"; }

# stage NAME USUALLY WHAT_TO_DO COMMAND...: runs the command, shows and keeps what it prints, says how long it took.
: "${stage_number:=0}"
stage() {
  local name=$1 usually=$2 remedy=$3 started log status=0
  shift 3
  stage_number=$((stage_number + 1))
  case ",${ONLY:-$name}," in *",$name,"*) ;; *) return 0 ;; esac
  mkdir -p "$logs"
  log=$logs/$(printf '%02d' "$stage_number")-${name// /-}.log
  started=$SECONDS
  printf '%s==> %d%s %s%s (usually %s)\n' "$bold" "$stage_number" "${stages_total:+/$stages_total}" "$name" "$plain" "$usually"
  # A subshell with -e of its own: within `if` and `||` bash would go on after a failed command.
  set +e
  (set -euo pipefail; "$@") </dev/null 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  set -e
  if [ "$status" -ne 0 ]; then
    note "log: $log"
    fail "$name, after $((SECONDS - started)) s" "$remedy"
  fi
  note "done in $((SECONDS - started)) s"
}
