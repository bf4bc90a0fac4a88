#!/bin/sh
# Build the workspace members named and install them, without their dependencies, into $VIRTUAL_ENV; then leave out
# what no program imports. For the images.
set -eu
for member in "$@"; do
  (cd "$member" && /tools/bin/python -m hatchling build -t wheel -d /wheels >/dev/null)
done
/tools/bin/uv pip install --no-deps --no-index --compile-bytecode /wheels/*.whl
rm -rf /wheels
cd "$VIRTUAL_ENV"/lib/python3*/site-packages
# The dependencies' own tests.
rm -rf Crypto/SelfTest sqlalchemy/testing
find numpy -type d -name tests -prune -exec rm -rf {} +
# A class for each of Kubernetes' 700 types and 60 interfaces, in two copies: 120 MB, each loaded when it is named.
# The aggregator makes raw calls, and names none.
for generated in kubernetes/client kubernetes/aio/client; do
  [ ! -d "$generated" ] || find "$generated/models" "$generated/api" -name '*.py*' ! -name '__init__.*' -delete
done
# Symbols for debuggers. Not of bundled libraries (*.libs) nor of torch: they were edited in place, and strip may break
# such files.
find . -name '*.so' -not -path '*.libs/*' -not -path './torch/*' -not -path './triton/*' -exec strip --strip-debug {} +
