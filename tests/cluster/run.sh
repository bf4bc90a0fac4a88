#!/usr/bin/env bash
# `make cluster-up` (tests/cluster/run.sh up), `make cluster-test` (... test [PYTEST ARGUMENTS]) and `make bench-cluster`
# (... bench): the cluster, the images in it, the tests or benchmarks on it, and how the time divides. With
# PILOT_TEST_KUBECONFIG, only the latter, on that cluster: its nodes must have the images then (docs/kubernetes.md).
set -euo pipefail
cd "$(dirname "$0")/../.."

BED=tests/cluster/cluster.sh
SCALE=tests/cluster/test_scale.py
SCARCE=120 # nodes of 8 GPUs, for a thousand clients
ENOUGH=125
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
    .venv/bin/pytest tests/cluster --ignore "$SCALE" -m cluster -n 2 --no-loadscope-reorder --durations 25 "$@"
}

# with_nodes COUNT COMMAND: with simulated nodes, unless the cluster is somebody else's
with_nodes() {
  local count=$1 code=0
  shift
  [ -z "$ours" ] || "$BED" fake-nodes "$count"
  "$@" || code=$?
  [ -z "$ours" ] || "$BED" fake-nodes 0
  return "$code"
}

# After the others: it has both cores to itself.
run_scale() {
  OMP_NUM_THREADS=1 PILOT_REQUIRE=cluster${ours:+,kwok} .venv/bin/pytest "$SCALE" -m cluster --durations 10 "$@"
}

run_benchmarks() {
  with_nodes "$ENOUGH" .venv/bin/python benchmarks/cluster_jobs.py
  OMP_NUM_THREADS=1 .venv/bin/python benchmarks/cluster_round.py
}

# What fails is told at the end, when how the time divided is. PYTEST ARGUMENTS may choose none of the one kind.
note() {
  local code=0
  "$@" || code=$?
  [ "$code" = 5 ] || chosen=1
  [ "$code" = 0 ] || [ "$code" = 5 ] || failed=$code
}

command=$1
shift
failed=0 chosen= ours=
if [ -z "${PILOT_TEST_KUBECONFIG:-}" ]; then
  ours=1
  bring_up
  eval "$("$BED" env)"
  export PILOT_TEST_KUBECONFIG=$KUBECONFIG
  PILOT_TEST_TORCH=$(tests/cluster/torch.sh)
  export PILOT_TEST_TORCH
fi
if [ "$command" = test ]; then
  step tests note run_tests "$@"
  step scale note with_nodes "$SCARCE" run_scale "$@"
  [ -n "$chosen" ] || failed=5
fi
[ "$command" != bench ] || step benchmarks run_benchmarks
echo "== cluster: how the time divided"
printf '%s\n' "${spent[@]}"
exit "$failed"
