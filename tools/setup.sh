#!/usr/bin/env bash
# Make .venv what requirements/dev.lock says, with the workspace's own packages editable in it. Safe to repeat.
# Needs Python 3.11 or newer (PYTHON=... names another than python3). uv is installed into .uv if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
READY=.venv/.ready
MEMBERS=(proto disk http client data model digits reports services/aggregator services/registry services/trainer cli)

wanted() { cat requirements/dev.lock pyproject.toml "${MEMBERS[@]/%//pyproject.toml}" | sha256sum; }

if [ -f "$READY" ] && [ "$(wanted)" = "$(cat "$READY")" ]; then
  exit 0
fi

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Pilot needs Python 3.11 or newer; $PYTHON is $("$PYTHON" --version 2>&1). Set PYTHON to another." >&2
  exit 1
}

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
  if [ ! -x .uv/bin/uv ]; then
    echo "Installing uv into .uv ..."
    # A virtual environment works with externally managed Pythons; without ensurepip, a plain folder does.
    { "$PYTHON" -m venv .uv 2>/dev/null && .uv/bin/python -m pip install --quiet uv; } ||
      "$PYTHON" -m pip install --quiet --target .uv uv
  fi
  uv=.uv/bin/uv
fi

echo "Setting up .venv: about 5.5 GB installed, because torch's default build carries CUDA. Minutes, the first time."
[ -x .venv/bin/python ] || "$uv" venv --quiet --python "$PYTHON" .venv
export VIRTUAL_ENV=$PWD/.venv
"$uv" pip sync --quiet --require-hashes requirements/dev.lock
# Built with the pinned build backend that the line above installed, so nothing unpinned is fetched.
"$uv" pip install --quiet --no-deps --no-build-isolation "${MEMBERS[@]/#/--editable=./}"
wanted >"$READY"
