#!/usr/bin/env bash
# Build what the chart's tests and its README need into .helm/bin: helm (4), and by name helm3 and helm-docs. Needs Go.
set -euo pipefail
cd "$(dirname "$0")/.."

BIN=$PWD/.helm/bin
declare -A MODULE=(
  [helm]=helm.sh/helm/v4/cmd/helm@v4.2.4
  [helm3]=helm.sh/helm/v3/cmd/helm@v3.21.4
  [helm-docs]=github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
)

build() { # build NAME : both Helms install as `helm`, so each is built in a folder of its own
  local module=${MODULE[$1]} folder
  folder=$(mktemp -d "$BIN/build.XXXXXX")
  trap 'rm -rf "$folder"' RETURN
  echo "Building $module into .helm/bin/$1 ..."
  GOBIN=$folder CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "$module"
  mv "$folder"/* "$BIN/$1"
}

mkdir -p "$BIN"
for name in "${@:-helm}"; do
  [ -n "${MODULE[$name]:-}" ] || { echo "$name is none of: ${!MODULE[*]}" >&2; exit 2; }
  if [ -x "$BIN/$name" ] && { ! command -v go >/dev/null || go version -m "$BIN/$name" | grep -q "${MODULE[$name]##*@}"; }; then
    continue
  fi
  command -v go >/dev/null || { echo "$name is built from source, and there is no Go here; install Go 1.26 or newer." >&2; exit 1; }
  build "$name"
done
