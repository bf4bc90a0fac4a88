#!/usr/bin/env bash
# Write requirements/*.lock: names, versions and hashes, no host names. uv.lock itself stays out of git, because it
# records the addresses that packages came from. Each lock starts with the digest of what it was made from.
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo .uv/bin/uv)
"$uv" lock "$@"
export_to() {
  local name=$1
  shift
  {
    echo "# Made by 'make lock'. Do not edit."
    echo "# from: $(.venv/bin/python tools/lock_digest.py)"
    "$uv" export --quiet --frozen --no-header --no-emit-index-url --no-emit-workspace --no-annotate "$@"
  } >"requirements/$name.lock"
}
export_to dev --all-packages --group dev
for service in aggregator registry trainer; do
  export_to "$service" --no-dev --package "pilot-$service"
done
# The personal model alone, without any service: what a serving environment installs.
export_to model --no-dev --package pilot-model
if grep -nE 'https?://|--index-url|--find-links' requirements/*.lock | grep -v '^#'; then
  echo "a lock names a host" >&2
  exit 1
fi
