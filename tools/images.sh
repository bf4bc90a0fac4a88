#!/usr/bin/env bash
# Build Pilot's images from the Dockerfile; `make images` runs it.
#
#   REGISTRY=localhost   what stands before pilot/NAME; `make images REGISTRY=ghcr.io/you PUSH=1`
#   TAG                  by default the chart's appVersion, so that the chart finds them
#   PUSH=1               push each image after it is built
#   IMAGES="..."         these only; by default registry aggregator trainer digits minio
#   BUILDER              docker, podman or buildah (the first that works), or bed: the builder of tests/cluster
set -euo pipefail
cd "$(dirname "$0")/.."

REGISTRY=${REGISTRY:-localhost}
TAG=${TAG:-$(awk '/^appVersion:/ {gsub(/"/, "", $2); print $2}' charts/pilot/Chart.yaml)}
IMAGES=${IMAGES:-registry aggregator trainer digits minio}

find_builder() {
  local name
  for name in docker podman buildah; do
    if command -v "$name" >/dev/null && "$name" info >/dev/null 2>&1; then
      echo "$name"
      return 0
    fi
  done
  echo "Images are built by docker, podman or buildah, and none of them works here." >&2
  exit 1
}

# build TARGET IMAGE
build() {
  case $BUILDER in
    bed) tests/cluster/cluster.sh build-image "$2" . -q --target "$1" ;;
    buildah) buildah bud -q --layers --target "$1" -t "$2" . ;;
    *) "$BUILDER" build -q --target "$1" -t "$2" . ;;
  esac
}

push() {
  if [ "$BUILDER" = bed ]; then
    echo "The test bed's builder pushes nothing; set BUILDER to docker, podman or buildah." >&2
    exit 1
  fi
  "$BUILDER" push "$1"
}

BUILDER=${BUILDER:-$(find_builder)}
for target in $IMAGES; do
  image=$REGISTRY/pilot/$target:$TAG
  began=$SECONDS
  [ "$target" != minio ] || tools/minio.sh
  build "$target" "$image" >/dev/null
  [ -z "${PUSH:-}" ] || push "$image"
  printf '%-44s %4d s\n' "$image" $((SECONDS - began))
done
