"""Deployments for tests: the real services as real processes, the stand-in trainer, and a way to stop at a boundary."""

import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from pilot_aggregator.jobs.local import is_locked
from pilot_cli.local.services import Deployment
from pilot_proto.boundaries import Boundary

TESTS = Path(__file__).parent
WAIT_S = 90

CLIENTS = {"vqa-1": "vqa", "vqa-2": "vqa", "cap-1": "caption", "cap-2": "caption"}


def free_ports() -> int:
    """A port whose successor is free too."""
    for _ in range(100):
        # Below the range from which the system takes ports for connections.
        port = random.randrange(20000, 32000, 2)
        try:
            with socket.socket() as first, socket.socket() as second:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
                return port
        except OSError:
            continue
    raise AssertionError("no two free ports in a row")


def write_federation(folder: Path, clients=CLIENTS) -> Path:
    spec = {
        "models": [{"name": "standin", "path": "model"}],
        "tasks": [{"name": task} for task in sorted(set(clients.values()))],
        "clients": [{"name": name, "task": task, "data": f"data/{name}"} for name, task in clients.items()],
    }
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Federation",
        "metadata": {"name": "test"},
        "spec": spec,
    }
    file = folder / "federation.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def run_document(name="t", **spec):
    base = {
        "model": "standin",
        "method": "fedavg",
        "rounds": ["plain", "plain"],
        "participation": {"grace_s": 1, "start_deadline_s": 60, "stall_s": 60, "deadline_s": 120},
        "evaluation": {"samples": 8},
        "retention": {"raw_updates": "forever"},
    }
    return {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


@dataclass
class Harness:
    """A deployment under test."""

    folder: Path
    deployment: Deployment

    @classmethod
    def start(
        cls, folder: Path, federation: Path | None = None, entry="standin:run", jobs: int = 4, **more: str
    ) -> "Harness":
        """`more` are further environment variables of both services."""
        folder.mkdir(parents=True, exist_ok=True)
        federation = federation or write_federation(folder)
        boundaries = folder / "boundaries"
        boundaries.mkdir()
        environment = {
            "PILOT_AGGREGATOR_JOB_ENTRY": entry,
            "PILOT_AGGREGATOR_MAX_PARALLEL": str(jobs),
            "PILOT_AGGREGATOR_TICK_S": "0.1",
            "PILOT_BOUNDARY_DIR": str(boundaries),
            "PILOT_STANDIN": str(folder / "faults.json"),
            "PYTHONPATH": os.pathsep.join([str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]),
            **more,
        }
        deployment = Deployment(folder / "state", federation, free_ports(), extra=environment)
        deployment.state.mkdir()
        harness = cls(folder, deployment)
        deployment.start()
        return harness

    @property
    def aggregator(self):
        return self.deployment.aggregator()

    def faults(self, **by_client) -> None:
        names = {name.replace("_", "-"): faults for name, faults in by_client.items()}
        (self.folder / "faults.json").write_text(json.dumps(names))

    def run(self, document=None, *, until=("Succeeded", "Failed", "Cancelled")):
        document = document or run_document()
        self.aggregator.create_run(document)
        return self.wait(document["metadata"]["name"], until)

    def wait(self, name, until=("Succeeded", "Failed", "Cancelled")):
        return self.eventually(lambda: (run := self.aggregator.run(name)).status.phase in until and run)

    def eventually(self, look, within_s: float = WAIT_S):
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.05)
        raise AssertionError(f"did not happen within {within_s} s\n{self.logs()}")

    def kill(self, service: str) -> None:
        process = self.deployment.processes[service]
        process.kill()
        process.wait()

    def restart(self, service: str) -> None:
        self.deployment.start_service(service)
        self.deployment.wait_ready(service)

    def kill_a_trainer(self) -> str | None:
        """SIGKILL the process of some running job; its name, or None if there is none."""
        jobs = self.deployment.state / "aggregator" / "jobs"
        for folder in sorted(jobs.iterdir()):
            if (folder / "started").exists() and is_locked(folder / "lock"):
                os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
                return folder.name
        return None

    def arm(self, boundary: Boundary) -> None:
        (self.folder / "boundaries" / boundary).touch()

    def stopped_at(self, boundary: Boundary) -> int | None:
        """The pid of the process that waits at a boundary."""
        file = self.folder / "boundaries" / f"{boundary}.reached"
        return int(text) if file.exists() and (text := file.read_text()) else None

    def release(self, boundary: Boundary) -> None:
        (self.folder / "boundaries" / f"{boundary}.reached").unlink(missing_ok=True)

    def logs(self) -> str:
        texts = []
        for file in sorted(self.deployment.state.rglob("*.log")) + sorted(self.deployment.state.rglob("jobs/*/log")):
            texts.append(f"--- {file}\n{file.read_text(errors='replace')[-3000:]}")
        return "\n".join(texts)


@contextmanager
def harness(folder: Path, **arguments) -> Iterator[Harness]:
    made = Harness.start(folder, **arguments)
    try:
        yield made
    finally:
        made.deployment.stop()


def outcome(harness: Harness, name: str):
    """What a run published and why, without its name: what must not depend on who died when."""
    rounds = []
    for document in harness.aggregator.rounds(name):
        ledger = [(e.client, e.counted, e.reason, e.num_examples, e.shares) for e in document.ledger.entries]
        plans = [
            (k.kind, [i.client for i in k.inputs], [o.coefficients for o in k.outputs], k.distances)
            for k in document.plan.kinds
        ]
        files = {repo.partition("/")[2]: digest for repo, digest in document.digests.items()}
        rounds.append((document.round, document.state, files, ledger, plans))
    return rounds
