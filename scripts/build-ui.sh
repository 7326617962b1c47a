#!/usr/bin/env bash
# The web UI into ui/dist. Does nothing while its sources stand as they were.
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
[ -f ui/src/generated/charts/millrace_charts.js ] || fail "the charts are not built" "scripts/build-charts.sh"
wanted=$(hash_of ui/src ui/public ui/index.html ui/package.json ui/vite.config.ts ui/tsconfig.json package-lock.json)$(cat "$stamps/charts")
if is_fresh ui "$wanted" && [ -f ui/dist/index.html ]; then note "the UI is up to date"; exit 0; fi
npm run --silent --workspace ui build || fail "vite build" "read the message above"
mark_fresh ui "$wanted"
