#!/usr/bin/env bash
# Build the MinIO server that the tests of the bucket run against into .minio/bin. Needs Go; minutes, the first time.
set -euo pipefail
cd "$(dirname "$0")/.."

VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
MINIO=.minio/bin/minio

if [ -x "$MINIO" ] && { ! command -v go >/dev/null || go version -m "$MINIO" | grep -q "$VERSION"; }; then
  exit 0
fi

command -v go >/dev/null || {
  echo "MinIO is built from source, and there is no Go here; install Go 1.24 or newer, or leave these tests out." >&2
  exit 1
}
echo "Building MinIO $VERSION into .minio/bin ..."
GOBIN=$PWD/.minio/bin CGO_ENABLED=0 go install -trimpath -ldflags "-s -w" "github.com/minio/minio@$VERSION"
