#!/usr/bin/env bash
# Environments beside .venv, for tests that need other versions, or less: .envs/NAME is what its lock says.
# An environment is requirements/environments/NAME.lock (or requirements/NAME.lock, where `make lock` exports one) and,
# if it needs packages of this workspace, requirements/environments/NAME.members: one folder per line.
# Usage: tools/environments.sh [NAME...]; without a name, all of them. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
PLACE=requirements/environments

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  uv=.uv/bin/uv
  [ -x "$uv" ] || { echo "uv is not here; \`make setup\` brings it" >&2; exit 1; }
fi

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  mapfile -t names < <(find "$PLACE" \( -name '*.lock' -o -name '*.members' \) -exec basename {} \; |
    sed -E 's/\.(lock|members)$//' | sort -u)
fi

for name in "${names[@]}"; do
  lock=$PLACE/$name.lock
  [ -f "$lock" ] || lock=requirements/$name.lock
  [ -f "$lock" ] || { echo "no environment $name: neither $PLACE/$name.lock nor $lock is here" >&2; exit 1; }
  members=()
  if [ -f "$PLACE/$name.members" ]; then mapfile -t members <"$PLACE/$name.members"; fi

  sources() { for member in "${members[@]}"; do find "$member" -name '*.py' -o -name pyproject.toml; done | sort; }
  wanted() { { cat "$lock" "$0"; sources | xargs -r cat; } | sha256sum; }
  ready=.envs/$name/.ready
  if [ -f "$ready" ] && [ "$(wanted)" = "$(cat "$ready")" ]; then continue; fi

  echo "Setting up .envs/$name ..."
  [ -x ".envs/$name/bin/python" ] || "$uv" venv --quiet --python "$PYTHON" ".envs/$name"
  "$uv" pip sync --quiet --python ".envs/$name/bin/python" --require-hashes "$lock"
  if [ ${#members[@]} -gt 0 ]; then
    # Built by the pinned backend of .venv, as wheels and not editable: what is tested is what somebody would install.
    rm -rf ".envs/$name/wheels"
    for member in "${members[@]}"; do
      "$uv" build --quiet --wheel --no-build-isolation --python .venv/bin/python --out-dir ".envs/$name/wheels" "$member"
    done
    "$uv" pip install --quiet --python ".envs/$name/bin/python" --no-deps --reinstall ".envs/$name"/wheels/*.whl
  fi
  wanted >"$ready"
done
