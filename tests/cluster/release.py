"""Pilot in a namespace of a cluster: installed by helm, reached through port-forwards, as its keys' holders."""

import base64
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.kubectl import Cluster, eventually
from deployments import free_ports, run_document
from pilot_aggregator.jobs.kubernetes.labels import LEADS
from pilot_client.aggregator import AggregatorClient
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_proto.boundaries import Boundary

HERE = Path(__file__).parent
CHART = HERE.parents[1] / "charts" / "pilot"
VALUES = HERE / "values"
NAME = "pilot"
SERVICES = ("aggregator", "registry")
INSTALL_S = 300
PATIENCE_S = 90
"""A service whose pod was deleted is away for a while."""

PARTICIPATION = {"grace_s": 1, "start_deadline_s": 120, "stall_s": 120, "deadline_s": 240}


def brief_run(name: str, **spec: Any) -> dict[str, Any]:
    """A run of stand-ins without an evaluation round, for who asks what a run survives."""
    participation = {**PARTICIPATION, **spec.pop("participation", {})}
    return run_document(name, **{"evaluation": {"samples": 0}, **spec}, participation=participation)


# A forward ends when its pod does; the next one finds the pod's successor.
FORWARD = 'while true; do kubectl -n "$1" port-forward "service/$2" "$3:http" >/dev/null 2>&1; sleep 0.3; done'


@dataclass
class Release:
    """A release of the chart."""

    cluster: Cluster
    namespace: str
    folder: Path
    name: str = NAME
    """Of the release."""
    full_name: str = NAME
    """What the names of its objects begin with."""
    ca_file: Path | None = None
    """Of the authority that vouches for its services, if they speak HTTPS."""
    ports: dict[str, int] = field(default_factory=dict)
    forwards: list[subprocess.Popen[bytes]] = field(default_factory=list)
    connections: dict[str, Transport] = field(default_factory=dict)

    def helm(self, *words: str, limit_s: float = INSTALL_S) -> str:
        return self.cluster.helm(*words, namespace=self.namespace, limit_s=limit_s)

    def kubectl(self, *words: str, text: str | None = None) -> str:
        return self.cluster.kubectl(*words, namespace=self.namespace, text=text)

    def install(self, *values: str, **more: str) -> None:
        """Install, or upgrade, with files of tests/cluster/values; `more` are single values (`_` for a dot)."""
        words = [word for name in values for word in ("--values", str(VALUES / f"{name}.yaml"))]
        words += [word for name, value in more.items() for word in ("--set", f"{name.replace('_', '.')}={value}")]
        self.helm("upgrade", "--install", self.name, str(CHART), "--wait", "--timeout", "4m", *words)

    # -- as somebody

    def forward(self) -> None:
        """Reach both services from here."""
        port = free_ports()
        for number, service in enumerate(SERVICES):
            self.ports[service] = port + number
            name, here = f"{self.full_name}-{service}", str(port + number)
            command = ["bash", "-c", FORWARD, "-", self.namespace, name, here]
            self.forwards.append(subprocess.Popen(command, env=self.cluster.environment, start_new_session=True))

    def unforward(self) -> None:
        for connection in self.connections.values():
            connection.close()
        self.connections.clear()
        for process in self.forwards:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        self.forwards.clear()

    def key(self, role: str) -> str:
        """A role's key out of the Secret that the chart made."""
        secret = json.loads(self.kubectl("get", "secret", f"{self.full_name}-keys", "-o", "json"))
        return base64.b64decode(secret["data"][f"{role}.key"]).decode()

    def url(self, service: str) -> str:
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.ports[service]}"

    @property
    def aggregator(self) -> AggregatorClient:
        return AggregatorClient(self._connection("aggregator"))

    @property
    def registry(self) -> RegistryClient:
        return RegistryClient(self._connection("registry"))

    def _connection(self, service: str) -> Transport:
        if service not in self.connections:
            file = self.folder / "operator.key"
            file.write_text(self.key("operator"))
            token = Token(file=file)
            made = Transport(self.url(service), token, patience_s=PATIENCE_S, ca_file=self.ca_file)
            self.connections[service] = made
        return self.connections[service]

    # -- what happens

    def run(self, document: dict[str, Any], within_s: float = 240) -> Any:
        """Start a run and wait for its end."""
        self.aggregator.create_run(document)
        return self.wait(document["metadata"]["name"], within_s)

    def wait(
        self, name: str, within_s: float = 240, until: tuple[str, ...] = ("Succeeded", "Failed", "Cancelled")
    ) -> Any:
        return self.eventually(lambda: (run := self.aggregator.run(name)).status.phase in until and run, within_s)

    def eventually(self, look: Any, within_s: float = 120) -> Any:
        return eventually(look, within_s, self.explain)

    def faults(self, **by_client: dict[str, Any]) -> None:
        """What the stand-ins of pods that start from now on do wrong."""
        names = {name.replace("_", "-"): faults for name, faults in by_client.items()}
        data = {"faults.json": json.dumps(names)}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "faults"}, "data": data}
        self.cluster.apply(document, namespace=self.namespace)

    def trainers(self, run: str, client: str = "") -> list[dict[str, Any]]:
        """Pods of a run's trainers that are at work."""
        selector = f"pilot.federated/run={run}" + (f",pilot.federated/client={client}" if client else "")
        pods = self.cluster.items("pods", selector, namespace=self.namespace)
        return [pod for pod in pods if pod["status"].get("phase") == "Running"]

    def pod(self, component: str) -> str:
        """The name of a service's pod; where there are several, of the one that leads."""
        pods = self.pods(component)
        (pod,) = [pod for pod in pods if LEADS in pod["metadata"]["labels"]] or pods
        return str(pod["metadata"]["name"])

    def pods(self, component: str) -> list[dict[str, Any]]:
        """A service's pods."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return self.cluster.items("pods", selector, namespace=self.namespace)

    def ready(self, component: str) -> set[str]:
        """The names of a service's pods that are ready."""
        states = {
            pod["metadata"]["name"]: {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
            for pod in self.pods(component)
        }
        return {name for name, conditions in states.items() if conditions.get("Ready") == "True"}

    def arm(self, boundary: Boundary) -> None:
        """Let the aggregator stop when it comes to a boundary."""
        script = f"mkdir -p /tmp/boundaries && touch /tmp/boundaries/{boundary}"
        self.kubectl("exec", self.pod("aggregator"), "--", "sh", "-c", script)

    def stopped_at(self, boundary: Boundary) -> bool:
        found = self.kubectl("exec", self.pod("aggregator"), "--", "ls", "/tmp/boundaries")
        return f"{boundary}.reached" in found.split()

    def explain(self) -> str:
        """What one would look at."""
        parts = [self.kubectl("get", "pods,jobs", "-o", "wide"), self.kubectl("get", "events")[-4000:]]
        for component in SERVICES:
            parts.append(self.kubectl("logs", f"statefulset/{self.full_name}-{component}", "--tail", "40"))
        return "\n".join(parts)


@contextmanager
def release(cluster: Cluster, namespace: str, folder: Path, **labels: str) -> Iterator[Release]:
    """A namespace to install into."""
    with fresh_namespace(cluster, namespace, **labels):
        made = Release(cluster, namespace, folder)
        try:
            yield made
        finally:
            made.unforward()


@contextmanager
def fresh_namespace(cluster: Cluster, name: str, **labels: str) -> Iterator[str]:
    """It goes with everything in it, also what an earlier session left."""
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout", "90s")
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    cluster.apply(document, namespace=name)
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")
