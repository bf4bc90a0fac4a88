"""kubectl and helm as a person runs them. Every call has a limit: some of their waits have none."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CALL_S = 120
POLL_S = 0.3


@dataclass(frozen=True)
class Cluster:
    """A cluster, by its kubeconfig; where kubectl and helm are is the environment's business."""

    kubeconfig: Path
    helm_home: Path
    """Of helm's own, so that nobody's repositories and plugins matter."""
    helm_program: str = "helm"

    def kubectl(self, *words: str, namespace: str = "default", text: str | None = None, limit_s: float = CALL_S) -> str:
        """What it printed.

        Raises:
            AssertionError: it failed; with what it said.
        """
        return self._call(["kubectl", "--namespace", namespace, *words], text, limit_s)

    def helm(self, *words: str, namespace: str, limit_s: float = CALL_S) -> str:
        """As `kubectl`."""
        return self._call([self.helm_program, "--namespace", namespace, *words], None, limit_s)

    def refused(self, *words: str, namespace: str, text: str | None = None, limit_s: float = CALL_S) -> str:
        """What helm said when it failed, as a person reads it.

        Raises:
            AssertionError: it succeeded.
        """
        done = self._run([self.helm_program, "--namespace", namespace, *words], text, limit_s)
        assert done.returncode != 0, f"helm {' '.join(words)} succeeded\n{done.stdout[-3000:]}"
        return done.stdout + done.stderr

    def apply(self, *documents: Mapping[str, Any], namespace: str) -> None:
        """Make objects, or change them."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        self.kubectl("apply", "-f", "-", namespace=namespace, text=text)

    def items(self, kind: str, selector: str = "", *, namespace: str) -> list[dict[str, Any]]:
        """Objects of a kind by their labels."""
        words = ["get", kind, "-o", "json", *(["-l", selector] if selector else [])]
        found: list[dict[str, Any]] = json.loads(self.kubectl(*words, namespace=namespace))["items"]
        return found

    @property
    def environment(self) -> dict[str, str]:
        """For every program that talks to the cluster."""
        helm = {f"HELM_{name}_HOME": str(self.helm_home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        return {**os.environ, **helm, "KUBECONFIG": str(self.kubeconfig)}

    def _call(self, command: list[str], text: str | None, limit_s: float) -> str:
        done = self._run(command, text, limit_s)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def _run(self, command: list[str], text: str | None, limit_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=limit_s, env=self.environment, check=False
        )


def eventually(look: Callable[[], T | None], within_s: float, explain: Callable[[], str] = lambda: "") -> T:
    """The first truth that `look` finds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(POLL_S)
    raise AssertionError(f"did not happen within {within_s} s\n{explain()}")
