# Simulated nodes. Sourced by cluster.sh.

# Pods get there only with nodeSelector type=kwok and a toleration of the taint. Each offers 8 GPUs.
fake_nodes() {
  local i
  start kwok "$BIN/kwok" --kubeconfig "$CFG/admin.kubeconfig" --config "$BIN/kwok-stages.yaml" \
    --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake --node-lease-duration-seconds 40 \
    --cidr 10.200.0.1/16 --node-ip "$HOST_IP" --server-address 127.0.0.1:10247
  for ((i = 0; i < ${1:-1}; i++)); do cat <<YAML
apiVersion: v1
kind: Node
metadata:
  name: fake-$i
  annotations: {kwok.x-k8s.io/node: fake}
  labels: {type: kwok, kubernetes.io/hostname: fake-$i, kubernetes.io/os: linux, kubernetes.io/arch: amd64}
spec: {taints: [{key: kwok.x-k8s.io/node, value: fake, effect: NoSchedule}]}
status:
  allocatable: {cpu: "64", memory: 512Gi, pods: "500", nvidia.com/gpu: "8"}
  capacity: {cpu: "64", memory: 512Gi, pods: "500", nvidia.com/gpu: "8"}
---
YAML
  done | kc apply -f - >/dev/null
}

