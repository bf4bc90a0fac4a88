#!/usr/bin/env bash
# Write requirements/*.lock: names, versions and hashes, no host names. uv.lock itself stays out of git, because it
# records the addresses that packages came from. Each lock starts with the digest of what it was made from.
# What is pinned stays pinned, and only what is new is chosen; `--upgrade` chooses everything anew.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(realpath "$(command -v uv || echo .uv/bin/uv)")
# Resolved in a copy of the workspace's manifests, which the pins join as constraints.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
find . -name pyproject.toml -not -path './.*' -exec cp --parents {} "$copy" ';'
[[ " $* " == *" --upgrade "* ]] || .venv/bin/python tools/lock_pins.py >"$copy/pyproject.toml"
"$uv" lock --project "$copy" "$@"
export_to() {
  local name=$1
  shift
  {
    echo "# Made by 'make lock'. Do not edit."
    echo "# from: $(.venv/bin/python tools/lock_digest.py)"
    "$uv" export --project "$copy" --quiet --frozen --no-header --no-emit-index-url --no-emit-workspace --no-annotate "$@"
  } >"requirements/$name.lock"
}
export_to dev --all-packages --group dev
for service in aggregator registry trainer; do
  export_to "$service" --no-dev --package "pilot-$service"
done
export_to build --only-group build
# The personal model alone, without any service: what a serving environment installs.
export_to model --no-dev --package pilot-model
# The demo's data and base model, made while its image is built.
export_to digits --no-dev --package pilot-digits
# Environments beside .venv (`make environments`), each from the few lines of its .in file.
for wanted in requirements/environments/*.in; do
  lock=${wanted%.in}.lock
  : >"$copy/pins"
  [[ " $* " == *" --upgrade "* || ! -f $lock ]] || .venv/bin/python tools/lock_pins.py "$lock" >"$copy/pins"
  {
    echo "# Made by 'make lock'. Do not edit."
    echo "# from: $(sha256sum <"$wanted" | cut -d ' ' -f 1)"
    "$uv" pip compile --constraint "$copy/pins" --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
      --no-header "$@" "$wanted"
  } >"$lock"
done
if grep -nE 'https?://|--index-url|--find-links' requirements/*.lock requirements/environments/*.lock | grep -v '^#'; then
  echo "a lock names a host" >&2
  exit 1
fi
