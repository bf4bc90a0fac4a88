#!/usr/bin/env bash
# What the tests of the pages in a browser need: Chromium and a font (Debian's packages, if they are missing; needs
# root then), and axe-core, which looks for barriers, in .browser. `make setup-browser` runs it. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

AXE=4.14.1
AXE_SHA256=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745

command -v chromium >/dev/null || {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
}

if [ ! -f ".browser/axe-$AXE.min.js" ]; then
  mkdir -p .browser
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  npm pack --silent --pack-destination "$folder" "axe-core@$AXE" >/dev/null
  echo "$AXE_SHA256  $folder/axe-core-$AXE.tgz" | sha256sum --check --quiet
  tar -xzf "$folder/axe-core-$AXE.tgz" -C "$folder"
  cp "$folder/package/axe.min.js" ".browser/axe-$AXE.min.js"
fi
