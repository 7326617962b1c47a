#!/usr/bin/env bash
# `make run`: set-up, build, and the studio with the sample "CPU and memory" running: a window where there is a display, else a page.
#   LISTEN=127.0.0.1:7800  where the page is served
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
stages_total=4
sample=examples/cpu-and-memory.millrace.toml
listen=${LISTEN:-127.0.0.1:7800}

stage "set-up"   "2 s; first time 5 min"    "the lines above say what is missing" bash scripts/setup.sh run
. scripts/env.sh
stage "charts"   "1 s; first time 4 min"    "scripts/build-charts.sh alone shows it again" bash scripts/build-charts.sh
stage "ui"       "1 s; first time 10 s"     "scripts/build-ui.sh alone shows it again" bash scripts/build-ui.sh
stage "build"    "2 s; first time 20 min"   "cargo build --workspace --bins" cargo build "${workspace[@]}" --bins

say
if [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
  say "starting the desktop studio; without a window: env -u DISPLAY -u WAYLAND_DISPLAY make run"
  exec "$MILLRACE_BIN_DIR/millrace-desktop" --run "$sample"
fi
say "no display here, so the studio is served as a page; Ctrl-C ends it"
exec "$MILLRACE_BIN_DIR/millrace" studio --listen "$listen" --run "$sample"
