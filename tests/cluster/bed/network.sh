# Bridges and forwarding of the host. Sourced by cluster.sh.

# The API server and the node need an address that is not loopback (endpoints
# may not be loopback) and does not depend on the machine: a bridge of our own.
network_up() {
  ip link show tb0 >/dev/null 2>&1 || ip link add tb0 type bridge
  ip addr replace "$HOST_IP/32" dev tb0
  ip link set tb0 up
  [[ -s $STATE/ip_forward.was ]] || cat /proc/sys/net/ipv4/ip_forward >"$STATE/ip_forward.was"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  # pod -> ClusterIP -> pod on the same bridge needs bridged frames to be seen by netfilter
  [[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ]] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
}
network_down() {
  nft delete table ip kube-proxy 2>/dev/null || true
  nft delete table ip6 kube-proxy 2>/dev/null || true
  if iptables-save -t nat 2>/dev/null | grep -q CNI-HOSTPORT; then # left by the portmap plugin
    iptables-save -t nat | grep -v CNI- | iptables-restore -T nat || true
  fi
  ip link del cni0 2>/dev/null || true
  ip link del tb0 2>/dev/null || true
  [[ ! -s $STATE/ip_forward.was ]] || cat "$STATE/ip_forward.was" >/proc/sys/net/ipv4/ip_forward
}

