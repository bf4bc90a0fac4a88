#!/usr/bin/env bash
# `make cluster-up` (tests/cluster/run.sh up) and `make cluster-test` (tests/cluster/run.sh test [PYTEST ARGUMENTS]):
# the cluster, the images in it, the tests on it, and how the time divides. With PILOT_TEST_KUBECONFIG, only the tests,
# on that cluster: its nodes must have the images then (docs/kubernetes.md).
set -euo pipefail
cd "$(dirname "$0")/../.."

BED=tests/cluster/cluster.sh
IMAGES="registry aggregator trainer-bare digits minio"
TAG=$(awk '/^appVersion:/ {gsub(/"/, "", $2); print $2}' charts/pilot/Chart.yaml)

declare -a spent=()
step() {
  local name=$1 began=$SECONDS
  shift
  echo "== cluster: $name"
  "$@"
  spent+=("$(printf '  %-10s %4d s' "$name" $((SECONDS - began)))")
}

packages() {
  local program
  for program in containerd runc nft openssl etcd buildah debootstrap; do
    command -v "$program" >/dev/null || { "$BED" deps; return; }
  done
}

images() {
  "$BED" base-image
  BUILDER=bed TAG=$TAG IMAGES=$IMAGES tools/images.sh
  "$BED" build-image "localhost/pilot/standin:$TAG" tests -q -f tests/cluster/standin/Dockerfile \
    --build-arg "TRAINER=localhost/pilot/trainer-bare:$TAG" >/dev/null
  "$BED" build-image "localhost/pilot/postgres:$TAG" tests/cluster/postgres -q >/dev/null
}

load() {
  local name
  for name in $IMAGES standin postgres; do "$BED" load-built "localhost/pilot/$name:$TAG"; done
}

bring_up() {
  step packages packages
  step programs "$BED" build kubernetes helm3
  step images images
  step start "$BED" up
  step load load
}

run_tests() {
  # Two at a time: most of them wait for the kubelet.
  OMP_NUM_THREADS=1 PILOT_REQUIRE=cluster \
    .venv/bin/pytest tests/cluster -m cluster -n 2 --no-loadscope-reorder --durations 25 "$@"
}

# What fails is told at the end, when how the time divided is.
note() { "$@" || failed=$?; }

command=$1
shift
failed=0
if [ -z "${PILOT_TEST_KUBECONFIG:-}" ]; then
  bring_up
  eval "$("$BED" env)"
  export PILOT_TEST_KUBECONFIG=$KUBECONFIG
  PILOT_TEST_TORCH=$(tests/cluster/torch.sh)
  export PILOT_TEST_TORCH
fi
[ "$command" = up ] || step tests note run_tests "$@"
echo "== cluster: how the time divided"
printf '%s\n' "${spent[@]}"
exit "$failed"
