#!/usr/bin/env bash
# The pictures of the README, from the real studio: docs/pictures. Wants what `make run` or `make test` built, and ImageMagick.
. "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
command -v convert >/dev/null || fail "ImageMagick is missing" "apt-get install imagemagick"
taken=$(mktemp -d)
trap 'rm -rf "$taken"' EXIT
mkdir -p docs/pictures
# take SHOT NAME: one of the pictures that tests/browser/shots.mjs takes, in 128 colours.
take() {
  npm run --silent shots -- "$taken" "$1" || fail "the picture $1" "read the message above"
  convert "$taken/$1.png" -strip -dither None -colors 128 "PNG8:docs/pictures/$2.png" || fail "convert, for $2" "read the message above"
}
take running-1440-light pipeline
take broken-on-purpose-1440-dark broken-on-purpose
