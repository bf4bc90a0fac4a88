#!/bin/sh
# Build the workspace members named and install them, without their dependencies, into $VIRTUAL_ENV; then leave out
# what no program imports: the dependencies' own tests. For the images.
set -eu
for member in "$@"; do
  (cd "$member" && /tools/bin/python -m hatchling build -t wheel -d /wheels >/dev/null)
done
/tools/bin/uv pip install --no-deps --no-index --compile-bytecode /wheels/*.whl
rm -rf /wheels
cd "$VIRTUAL_ENV"/lib/python3*/site-packages
rm -rf Crypto/SelfTest sqlalchemy/testing kubernetes/docs kubernetes/test kubernetes/e2e_test
find numpy -type d -name tests -prune -exec rm -rf {} +
