"""Pod Security `restricted`, as far as a pod's own text tells: a sentence for each thing that it forbids."""

from chart.rendering import Object, containers

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod: Object) -> list[str]:
    """What an API server that enforces `restricted` would refuse. NFS volumes are among it."""
    found = []
    whole = pod.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            found.append(f"{name} is set")
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= VOLUMES:
            found.append(f"volume {volume['name']} is of a forbidden kind")
    for container in containers(pod):
        own = container.get("securityContext", {})
        found += [f"container {container['name']}: {fault}" for fault in _of_container(whole, own)]
    return found


def _of_container(whole: Object, own: Object) -> list[str]:
    both = {**whole, **own}
    found = []
    if both.get("runAsNonRoot") is not True:
        found.append("may run as root")
    if both.get("runAsUser") == 0:
        found.append("runs as root")
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        found.append("has no seccomp profile")
    if own.get("allowPrivilegeEscalation") is not False:
        found.append("may gain privileges")
    if own.get("privileged"):
        found.append("is privileged")
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append("keeps capabilities")
    return found
