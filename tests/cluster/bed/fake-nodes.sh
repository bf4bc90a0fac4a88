# Simulated nodes. Sourced by cluster.sh.

# Pods get there only with nodeSelector type=kwok and a toleration of the taint. Each offers 8 GPUs. Nothing runs in
# such a pod, and nothing ends it: who plays its part does, by its status.
fake_nodes() {
  local i
  if [[ ${1:-1} == 0 ]]; then
    kc delete nodes -l type=kwok --wait=false >/dev/null
    stop kwok
    return
  fi
  awk 'BEGIN {RS = ORS = "\n---\n"} !/name: pod-complete/' "$BIN/kwok-stages.yaml" >"$CFG/kwok-stages.yaml"
  start kwok "$BIN/kwok" --kubeconfig "$CFG/admin.kubeconfig" --config "$CFG/kwok-stages.yaml" \
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

