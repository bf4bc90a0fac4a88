"""Registry and aggregator as two processes of this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import yaml
from pilot_client.aggregator import AggregatorClient
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport

from pilot_cli.errors import CommandError
from pilot_cli.local.keys import KEY_FILE, ensure_keys

READY_TIMEOUT_S = 60
PATIENCE_S = 30
"""A service that restarts is away for a moment."""
POLL_S = 0.05
SERVICES = ("registry", "aggregator")


@dataclass
class Deployment:
    """A state folder, and the processes that work in it."""

    state: Path
    federation: Path
    port: int
    """The aggregator's; the registry takes the next one."""
    gpus: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    """More environment variables for both services."""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _connections: dict[tuple[str, str], Transport] = field(default_factory=dict)

    @property
    def aggregator_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def registry_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    @property
    def keys(self) -> Path:
        return self.state / "keys"

    def start(self) -> None:
        """Start both services and wait until they answer.

        Raises:
            CommandError: a service ended, or did not answer in time; with the end of its log.
        """
        self.make_keys()
        try:
            for name in SERVICES:
                self.start_service(name)
            for name in SERVICES:
                self.wait_ready(name)
        except BaseException:
            self.stop()
            raise

    def make_keys(self) -> None:
        """A key for every client that the federation file names; those that exist stay."""
        document = yaml.safe_load(self.federation.read_text())
        ensure_keys(self.keys, [client["name"] for client in document["spec"]["clients"]])

    def start_service(self, name: str) -> None:
        """Start one service's process."""
        with self._log(name).open("ab") as log:
            self.processes[name] = _spawn(f"pilot_{name}", self._environment(name), log)

    def wait_ready(self, name: str) -> None:
        """Wait until a service answers /readyz."""
        url = {"registry": self.registry_url, "aggregator": self.aggregator_url}[name]
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not _answers(url):
            if self.processes[name].poll() is not None or time.monotonic() > deadline:
                tail = self._log(name).read_text(errors="replace")[-2000:]
                raise CommandError(
                    f"the {name} did not start at {url}",
                    why=tail.strip(),
                    hint="another process may hold the port: give --port, or stop it",
                )
            time.sleep(POLL_S)

    def dead(self) -> list[str]:
        """The services whose processes have ended."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def stop(self) -> None:
        """Stop both; jobs that run finish their work, and are found again by the next start."""
        for name in reversed(SERVICES):
            if process := self.processes.get(name):
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    def aggregator(self, role: str = "operator") -> AggregatorClient:
        """The aggregator as a role sees it, or a client with `clients/NAME`."""
        return AggregatorClient(self._connection(self.aggregator_url, role))

    def registry(self, role: str = "operator") -> RegistryClient:
        """The registry as a role sees it."""
        return RegistryClient(self._connection(self.registry_url, role))

    def _connection(self, url: str, role: str) -> Transport:
        if (url, role) not in self._connections:
            self._connections[url, role] = Transport(url, self.token(role), patience_s=PATIENCE_S)
        return self._connections[url, role]

    def token(self, role: str) -> Token:
        """A role's key, or a client's with `clients/NAME`."""
        return Token(file=self.keys / f"{role}.key")

    def _log(self, name: str) -> Path:
        return self.state / f"{name}.log"

    def _environment(self, name: str) -> dict[str, str]:
        own = {
            "registry": {
                "PILOT_REGISTRY_STATE_DIR": self.state / "registry",
                "PILOT_REGISTRY_KEYS": self.keys / KEY_FILE,
                "PILOT_REGISTRY_PORT": self.port + 1,
                "PILOT_REGISTRY_AGGREGATOR_URL": self.aggregator_url,
            },
            "aggregator": {
                "PILOT_AGGREGATOR_STATE_DIR": self.state / "aggregator",
                "PILOT_AGGREGATOR_KEYS": self.keys / KEY_FILE,
                "PILOT_AGGREGATOR_KEY_DIR": self.keys,
                "PILOT_AGGREGATOR_FEDERATION": self.federation,
                "PILOT_AGGREGATOR_REGISTRY_URL": self.registry_url,
                "PILOT_AGGREGATOR_PORT": self.port,
                "PILOT_AGGREGATOR_GPUS": str(list(self.gpus)).replace("'", '"'),
                "PILOT_AGGREGATOR_TICK_S": 0.5,
            },
        }[name]
        return {**os.environ, **{key: str(value) for key, value in own.items()}, **self.extra}


def _spawn(module: str, environment: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", module],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        # Ctrl-C is for the command, which stops the services in order.
        start_new_session=True,
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.TransportError:
        return False
