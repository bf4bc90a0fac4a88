#!/usr/bin/env bash
# A real single-node Kubernetes cluster from plain processes: etcd, kube-apiserver, kube-controller-manager,
# kube-scheduler, kubelet, kube-proxy, containerd and CoreDNS, running real containers. No Docker engine, no systemd, no
# container registry: programs come from Go modules and Debian packages, images are made here and imported.
# Needs root, Debian 12 (or similar) and Go; tried with cgroup v1.
#
#   cluster.sh deps                install the Debian packages
#   cluster.sh build [NAME...]     build the programs; what is built is left alone
#   cluster.sh base-image          make the local Debian + Python base image
#   cluster.sh up                  start everything, wait for node and DNS
#   cluster.sh build-image TAG DIR [BUILD ARGUMENTS]     build an image; needs no cluster that is up
#   cluster.sh load-built TAG...   import images that build-image built; what is loaded already is left alone
#   cluster.sh load-image TAR      import an OCI or docker archive
#   cluster.sh images              the images that the cluster can run
#   cluster.sh fake-nodes N        N simulated nodes (kwok) beside the real one; 0 takes them away
#   cluster.sh status              processes, nodes, pods
#   cluster.sh env                 prints `export KUBECONFIG=... PATH=...`
#   cluster.sh down [--keep]       stop everything; --keep keeps etcd, volumes and loaded images
#
# State is under $PILOT_CLUSTER_STATE (wiped by `down`), programs and image layers under $PILOT_CLUSTER_CACHE (kept).
# Elsewhere `up` makes bridges tb0 and cni0, veth pairs, network namespaces cni-*, nft table kube-proxy, cgroups
# kubepods, ip_forward=1, /run/containerd, and `down` undoes these. One cluster per machine: its ports are fixed.
set -euo pipefail
BED=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)

CACHE=${PILOT_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pilot-cluster}
STATE=${PILOT_CLUSTER_STATE:-/var/lib/pilot-cluster} # short: it holds the paths of unix sockets
BIN=$CACHE/bin

K8S_VERSION=1.34.4
COREDNS_VERSION=1.14.3
HELM_VERSION=4.2.4
HELM3_VERSION=3.21.4
KWOK_VERSION=0.8.0

NODE=tb-node
HOST_IP=10.254.0.1 # on bridge tb0: API server and node
POD_CIDR=10.244.0.0/24
SVC_CIDR=10.96.0.0/16
DNS_IP=10.96.0.10
CLUSTER_DOMAIN=cluster.local
PAUSE_IMAGE=localhost/pause:1
COREDNS_IMAGE=localhost/coredns:$COREDNS_VERSION
BASE_IMAGE=docker.io/library/python:3.11-slim
BASE_SUITE=bookworm
CA_BUNDLE=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}

PKI=$STATE/pki
CFG=$STATE/cfg
LOG=$STATE/log
PID=$STATE/pid
CTR_SOCK=$STATE/containerd.sock
export KUBECONFIG=$CFG/admin.kubeconfig

say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die() { say "error: $*"; exit 1; }
kc() { "$BIN/kubectl" "$@"; }

for part in processes programs certificates network control-plane node images addons fake-nodes; do
  # shellcheck source=/dev/null
  . "$BED/bed/$part.sh"
done

up() {
  [[ $(id -u) == 0 ]] || die "a cluster of real containers needs root"
  local program began
  for program in kube-apiserver kubelet kubectl pause provisioner coredns; do
    [[ -x $BIN/$program ]] || die "$BIN/$program is missing; run: cluster.sh build"
  done
  for program in containerd runc nft openssl etcd; do
    command -v "$program" >/dev/null || die "$program is missing; run: cluster.sh deps"
  done
  began=$(date +%s%N)
  mkdir -p "$STATE" "$PKI" "$CFG" "$LOG" "$PID" "$CACHE"
  chmod 700 "$PKI"
  make_pki
  network_up
  runtime_up
  control_plane_up
  kubelet_up
  kube_proxy_up
  wait_for 60 "node $NODE" kc wait --for=condition=Ready "node/$NODE" --timeout=1s
  addons_up
  wait_for 60 "cluster DNS" kc -n kube-system rollout status deploy/coredns --timeout=1s
  wait_for 30 "the default service account" kc get serviceaccount default
  for program in "${PROGRAMS[@]}"; do alive "$program" || die "$program is not running; see $LOG/$program.log"; done
  say "node and DNS ready after $((($(date +%s%N) - began) / 1000000)) ms"
}

down() {
  [[ -d $STATE ]] || { say "nothing to stop"; return 0; }
  local program namespace folder
  for program in kwok provisioner kubelet kube-proxy; do stop "$program"; done
  local -a namespaces=()
  if alive containerd; then
    # Before the records of our sandboxes go: afterwards nothing says which namespaces were ours.
    mapfile -t namespaces < <(sandbox_namespaces)
    remove_containers
  fi
  for program in kube-scheduler kube-controller-manager kube-apiserver etcd containerd; do stop "$program" 3; done
  end_shims
  for namespace in "${namespaces[@]}"; do ip netns del "$(basename "$namespace")" 2>/dev/null || true; done
  mounts_of_ours | sort -r | while read -r folder; do umount -l "$folder" 2>/dev/null || true; done
  for folder in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
    [[ ! -d $folder ]] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
  rm -f /var/lib/cni/results/tb-* 2>/dev/null || true
  network_down
  if [[ ${1:-} != --keep ]]; then
    [[ -z $(mounts_of_ours) ]] || die "still mounted under $STATE, which is left in place"
    rm -rf "$STATE"
  fi
  say "down"
}

mounts_of_ours() { awk -v d="$STATE/" 'index($2, d) == 1 {print $2}' /proc/mounts; }

status() {
  local program memory
  for program in "${PROGRAMS[@]}" kwok; do
    if alive "$program"; then
      memory=$(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$(pid_of "$program")/status")
      printf '%-24s pid %-7s %5d MiB\n' "$program" "$(pid_of "$program")" "$memory"
    else
      printf '%-24s -\n' "$program"
    fi
  done
  if alive kube-apiserver; then kc get nodes -o wide && kc get pods -A; fi
}

usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$BED/cluster.sh"; }

main() {
  local command=${1:-help}
  shift || true
  case $command in
    deps) deps ;;
    build) build "$@" ;;
    base-image) base_image ;;
    up) up ;;
    build-image) [[ $# -ge 2 ]] || die "build-image TAG DIR [BUILD ARGUMENTS]"; build_image "$@" ;;
    load-built) for tag in "$@"; do load_built "$tag"; done ;;
    load-image) [[ $# == 1 ]] || die "load-image TAR"; load_image "$1" ;;
    images) tbctr images ls -q | grep -v '^sha256:' ;;
    fake-nodes) fake_nodes "${1:-1}" ;;
    status) status ;;
    env) echo "export KUBECONFIG=$KUBECONFIG PATH=$BIN:\$PATH" ;;
    down) down "$@" ;;
    help) usage ;;
    *) usage; exit 2 ;;
  esac
}
main "$@"
