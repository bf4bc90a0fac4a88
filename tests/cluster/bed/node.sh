# containerd, kubelet, kube-proxy. Sourced by cluster.sh.

tbctr() { ctr --address "$CTR_SOCK" -n k8s.io "$@"; }

# program_image PROGRAM TAG: an image of one static program, loaded
program_image() {
  local archive=$CACHE/$1.tar
  if [[ -n $(tbctr images ls -q "name==$2") ]]; then return 0; fi
  [[ $archive -nt $BIN/$1 ]] || python3 "$BED/bed/scratch_image.py" "$BIN/$1" "$2" "$archive"
  load_image "$archive"
}

# The network namespaces of our pods.
sandbox_namespaces() {
  local container
  tbctr containers ls -q | while read -r container; do tbctr containers info "$container"; done 2>/dev/null |
    grep -o '/var/run/netns/cni-[0-9a-f-]*' | sort -u
}

remove_containers() {
  local id
  for id in $(tbctr tasks ls -q); do tbctr tasks rm -f "$id" >/dev/null 2>&1 || true; done
  for id in $(tbctr containers ls -q); do tbctr containers rm "$id" >/dev/null 2>&1 || true; done
}

# Shims may outlive their tasks; only those of our containerd's socket are ended.
end_shims() {
  local process
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -q "containerd-shim.* -address $CTR_SOCK"; then
      kill -KILL "${process#/proc/}" 2>/dev/null || true
    fi
  done
}

runtime_up() {
  mkdir -p "$STATE/cni.d"
  cat >"$CFG/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "$STATE/containerd-state"
[grpc]
  address = "$CTR_SOCK"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  enable_unprivileged_ports = true # as containerd 2 does: CoreDNS binds :53 without root
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true # where CAP_SYS_RESOURCE is missing, a negative oom_score_adj is refused
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
TOML
  cat >"$STATE/cni.d/10-tb.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "tb", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni-ipam", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
  start containerd containerd -c "$CFG/containerd.toml"
  wait_for 30 containerd tbctr version
  program_image pause "$PAUSE_IMAGE"
  program_image coredns "$COREDNS_IMAGE"
}

kubelet_up() {
  cat >"$CFG/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $HOST_IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-server.crt
tlsPrivateKeyFile: $PKI/kubelet-server.key
clusterDomain: $CLUSTER_DOMAIN
clusterDNS: [$DNS_IP]
containerRuntimeEndpoint: unix://$CTR_SOCK
cgroupDriver: cgroupfs
cgroupsPerQOS: true
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: true
evictionHard: {memory.available: "0%", nodefs.available: "0%", imagefs.available: "0%", nodefs.inodesFree: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
podLogsDir: $STATE/pod-logs
volumePluginDir: $STATE/volume-plugins
resolvConf: $CFG/resolv.conf
healthzBindAddress: 127.0.0.1
serializeImagePulls: false
registerWithTaints: []
nodeStatusUpdateFrequency: 5s
makeIPTablesUtilChains: false
YAML
  : >"$CFG/resolv.conf"
  start kubelet "$BIN/kubelet" --config "$CFG/kubelet.yaml" --kubeconfig "$CFG/kubelet.kubeconfig" \
    --root-dir "$STATE/kubelet" --hostname-override "$NODE" --node-ip "$HOST_IP" --cert-dir "$STATE/kubelet-pki"
}

kube_proxy_up() {
  # It exits when its configuration file is touched.
  if alive kube-proxy; then return 0; fi
  cat >"$CFG/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $CFG/kube-proxy.kubeconfig}
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
nodePortAddresses: ["$HOST_IP/32"]
bindAddress: $HOST_IP
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
conntrack: {maxPerCore: 0}
YAML
  start kube-proxy "$BIN/kube-proxy" --config "$CFG/kube-proxy.yaml"
}

