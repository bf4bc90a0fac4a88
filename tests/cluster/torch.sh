#!/usr/bin/env bash
# Gather torch and what only torch needs from .venv into a folder of hard links, which the cluster's node mounts for
# trainers whose image has none: an image with torch weighs more than ten times the rest, and importing torch maps
# nearly all of it. Prints the folder.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
version=$(sed -n 's/^torch==\([^ ]*\).*/\1/p' requirements/trainer.lock)
folder=${PILOT_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pilot-cluster}/torch-$version

if [ ! -d "$folder" ]; then
  [ -d "$packages/torch-$version.dist-info" ] || {
    echo "the trainer's lock wants torch $version, which .venv has not: make setup" >&2
    exit 1
  }
  rm -rf "$folder.part"
  mkdir -p "$folder.part"
  for name in torch torchgen functorch "torch-$version.dist-info" nvidia triton cuda; do
    [ ! -e "$packages/$name" ] || cp -al "$packages/$name" "$folder.part/" 2>/dev/null || cp -a "$packages/$name" "$folder.part/"
  done
  # A pod cannot keep what it compiles: each would do it again, which takes longer than the import itself. A few files
  # are for newer Pythons, and fail.
  .venv/bin/python -m compileall -q -j 0 "$folder.part"/{torch,torchgen,functorch} >/dev/null || true
  mv "$folder.part" "$folder"
fi
echo "$folder"
