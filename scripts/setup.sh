#!/usr/bin/env bash
# Everything that a fresh Debian or Ubuntu machine lacks: packages, Rust, Node.js, the WebAssembly target, npm's packages, libduckdb.
#   setup.sh [run|test|bench|fuzz]     what it is for; `test` also brings browser, display and checking tools
# Run again, it only looks, and is done in a second or two.
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
purpose=${1:-run}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "'$*' needs root, and there is no sudo" "run it as root, then start again"; fi
}

# ---- Debian's packages --------------------------------------------------------------------------------------------------
installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }
apt_install() {
  local missing=() package
  for package in "$@"; do installed "$package" || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ -z "${MILLRACE_NO_SETUP:-}" ] || fail "not installed: ${missing[*]}" "install them, or unset MILLRACE_NO_SETUP"
  note "installing ${missing[*]} (1 to 4 min)"
  export DEBIAN_FRONTEND=noninteractive
  # An old package list names files that are gone, so one failure is answered with a new list.
  as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$apt_log" 2>&1 && return 0
  as_root apt-get update -qq >>"$apt_log" 2>&1 || true
  as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >>"$apt_log" 2>&1 || {
    tail -n 5 "$apt_log" >&2
    fail "apt-get install ${missing[*]}" "see $apt_log; on Ubuntu the 'universe' component must be enabled"
  }
}
# awk reads to the end: a reader that leaves early ends apt-cache by a signal, which `pipefail` takes for "no".
has_candidate() { apt-cache policy "$1" 2>/dev/null | awk '/Candidate: [^(]/ { found = 1 } END { exit !found }'; }

system_packages() {
  if ! command -v apt-get >/dev/null; then
    note "no apt-get here: going on with what is installed (README, 'Other systems', lists what is needed)"
    return 0
  fi
  # GTK and WebKit for the desktop window, mold for links in a second.
  apt_install build-essential pkg-config curl ca-certificates git mold libwebkit2gtk-4.1-dev libxdo-dev libayatana-appindicator3-dev librsvg2-dev
  case $purpose in run) return 0 ;; esac
  apt_install xvfb xauth dbus webkit2gtk-driver time
  if [ -z "$CHROMIUM" ]; then
    has_candidate chromium || as_root apt-get update -qq || true
    if has_candidate chromium; then apt_install chromium
    else fail "no Chromium for the browser tests" "install one (on Ubuntu: snap install chromium) or name it in CHROMIUM"; fi
  fi
}

# ---- Rust ---------------------------------------------------------------------------------------------------------------
rust() {
  at_least "$rust_needed" "$(rust_version || echo 0)" && return 0
  [ -z "${MILLRACE_NO_SETUP:-}" ] || fail "Rust $rust_needed is needed, here is: $(rust_version || echo none)" "rustup toolchain install stable"
  if ! command -v rustup >/dev/null; then
    note "installing rustup (1 min)"
    if has_candidate rustup; then apt_install rustup
    else
      curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs -o "$cache/rustup-init.sh" ||
        fail "rustup could not be had" "install Rust $rust_needed or newer (https://rustup.rs), then start again"
      sh "$cache/rustup-init.sh" -y --profile minimal --default-toolchain none --no-modify-path -q
    fi
  fi
  note "installing Rust $rust_needed (1 to 3 min)"
  rustup toolchain install "$rust_needed.0" --profile minimal -c clippy -c rustfmt ||
    fail "Rust $rust_needed could not be installed" "install it by hand: rustup toolchain install $rust_needed.0"
}

# WebAssembly's standard library: rustup's, or Debian's source of it (build-charts.sh reads which).
wasm() {
  rust_ready
  [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib" ] && return 0
  [ -z "${MILLRACE_NO_SETUP:-}" ] || fail "no wasm32-unknown-unknown target" "rustup target add wasm32-unknown-unknown"
  if command -v rustup >/dev/null && rustup target add wasm32-unknown-unknown >/dev/null 2>&1; then return 0; fi
  note "rustup has no WebAssembly target to offer: taking Debian's rustc-web and rust-web-src"
  apt_install rustc-web rust-web-src
}
# After a first installation the toolchain has to be found: read the environment once more.
rust_ready() {
  . scripts/env.sh
  at_least "$rust_needed" "$(rust_version || echo 0)" ||
    fail "Rust $rust_needed or newer is needed, here is: $(rust_version || echo none)" "rustup toolchain install $rust_needed.0"
}

# ---- Node.js and its packages --------------------------------------------------------------------------------------------
node_needed=20.19
node_version() { node --version 2>/dev/null | tr -d v; }
node_js() {
  if at_least "$node_needed" "$(node_version || echo 0)" && command -v npm >/dev/null; then return 0; fi
  if command -v apt-get >/dev/null; then
    command -v node >/dev/null || apt_install nodejs
    command -v npm >/dev/null || apt_install npm
  fi
  at_least "$node_needed" "$(node_version || echo 0)" && return 0
  command -v npm >/dev/null || fail "no npm" "install Node.js $node_needed or newer"
  # Debian 12's Node.js is too old for vite; npm carries Node.js itself as a package.
  note "Node.js $(node_version) is too old, bringing 22 by npm into $cache/node"
  npm install --silent --prefix "$cache/node" node@22 || fail "npm install node@22" "install Node.js $node_needed or newer"
}

npm_packages() {
  . scripts/env.sh
  local wanted
  wanted=$(hash_of package-lock.json)-$(node_version | cut -d. -f1)
  if [ "$(cat node_modules/.millrace-stamp 2>/dev/null || true)" = "$wanted" ]; then return 0; fi
  # A developer's own `npm install` leaves no stamp of ours; what it installed need not be thrown away.
  if [ -z "${CI:-}" ] && [ -f node_modules/.package-lock.json ] && ! [ node_modules/.package-lock.json -ot package-lock.json ] &&
    npm ls --silent >/dev/null 2>&1; then
    printf '%s' "$wanted" > node_modules/.millrace-stamp
    return 0
  fi
  note "npm ci (usually 20 s to 2 min)"
  npm ci --silent --no-audit --no-fund || fail "npm ci" "if package.json and package-lock.json differ: npm install, and commit the lock file"
  printf '%s' "$wanted" > node_modules/.millrace-stamp
}

# The binaries look for libduckdb beside themselves and one folder up (rpath in .cargo/config.toml).
duckdb() {
  local library=node_modules/@duckdb/node-bindings-linux-x64/libduckdb.so profile
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "prebuilt DuckDB is set up for x86-64 Linux only" "README, 'Other systems'"
  [ -f "$library" ] || fail "no $library" "rm -r node_modules and start again"
  for profile in debug release; do
    mkdir -p "$CARGO_TARGET_DIR/$profile"
    cmp -s "$library" "$CARGO_TARGET_DIR/$profile/libduckdb.so" || cp -f "$library" "$CARGO_TARGET_DIR/$profile/libduckdb.so"
  done
}

# tool NAME VERSION: a cargo tool, built once into the cache. A debug build of it takes half the time and serves as well.
tool() {
  local name=$1 version=$2 usually=$3
  if [ -f "$cache/tools/.$name-$version" ] && [ -x "$cache/tools/bin/$name" ]; then return 0; fi
  note "building $name $version, once (usually $usually)"
  CARGO_TARGET_DIR=$cache/tools-target cargo install --quiet --locked --debug --root "$cache/tools" "$name" --version "$version" || return 1
  touch "$cache/tools/.$name-$version"
  rm -rf "$cache/tools-target"
}
tools() {
  [ -z "${MILLRACE_NO_SETUP:-}" ] || return 0
  case $purpose in
    test) ;;
    fuzz) tool cargo-fuzz 0.13.1 "1 min" || fail "cargo-fuzz could not be built" "cargo install cargo-fuzz"; return 0 ;;
    *) return 0 ;;
  esac
  tool cargo-deny 0.20.2 "5 min" || note "cargo-deny could not be built: the dependency rules will not be checked"
  tool tauri-driver 2.1.0 "30 s" || fail "tauri-driver could not be built" "cargo install tauri-driver, or name it in TAURI_DRIVER"
}

# An S3 server for the tests of state in a bucket: moto, which is Python and honours conditional creates; pinned, in an environment of its own.
s3_packages=('moto[s3]==5.2.5' flask==3.1.3 flask-cors==6.0.5)
s3_server() {
  case $purpose in test) ;; *) return 0 ;; esac
  # Another that is named serves as well.
  [ "$MILLRACE_S3_SERVER" = "$cache/s3-server/bin/moto_server" ] || return 0
  local stamp=$cache/s3-server/.packages
  if [ "$(cat "$stamp" 2>/dev/null || true)" = "${s3_packages[*]}" ] && [ -x "$MILLRACE_S3_SERVER" ]; then return 0; fi
  [ -z "${MILLRACE_NO_SETUP:-}" ] || fail "no $MILLRACE_S3_SERVER" "name a moto_server in MILLRACE_S3_SERVER"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3 python3-venv
  note "bringing an S3 server for the tests (20 s)"
  rm -rf "$cache/s3-server"
  python3 -m venv "$cache/s3-server" && "$cache/s3-server/bin/pip" install --quiet --disable-pip-version-check "${s3_packages[@]}" ||
    fail "pip install ${s3_packages[*]}" "see that PyPI can be reached, or name a moto_server in MILLRACE_S3_SERVER"
  printf '%s' "${s3_packages[*]}" > "$stamp"
}

mkdir -p "$cache" "$CARGO_TARGET_DIR"
apt_log=$cache/apt.log
system_packages
rust
wasm
node_js
npm_packages
duckdb
s3_server
tools
note "Rust $(rust_version), Node.js $(node_version), npm $(npm --version)"
