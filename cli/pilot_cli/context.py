"""Which deployment a command talks to, and as whom."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilot_client.aggregator import AggregatorClient
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport

from pilot_cli.errors import AUTH, CommandError

STATE_DIR = Path(".pilot")
"""Where `pilot up` and `pilot demo` keep everything, below the folder they are started in."""
ENDPOINT = "endpoint.json"
"""In a state folder: where its services answer, and where its keys are."""


@dataclass(frozen=True)
class Server:
    """The two services, as somebody."""

    aggregator_url: str
    registry_url: str
    token: Token

    @contextmanager
    def aggregator(self) -> Iterator[AggregatorClient]:
        transport = Transport(self.aggregator_url, self.token)
        try:
            yield AggregatorClient(transport)
        finally:
            transport.close()

    @contextmanager
    def registry(self) -> Iterator[RegistryClient]:
        transport = Transport(self.registry_url, self.token)
        try:
            yield RegistryClient(transport)
        finally:
            transport.close()


def server(role: str = "operator") -> Server:
    """From `PILOT_URL`, `PILOT_REGISTRY_URL` and a token in the environment, or from the deployment of this folder.

    Raises:
        CommandError: nothing says where a deployment is.
    """
    if url := os.environ.get("PILOT_URL"):
        registry = os.environ.get("PILOT_REGISTRY_URL")
        if not registry:
            raise CommandError("PILOT_URL is set but PILOT_REGISTRY_URL is not", hint="set both, or neither")
        return Server(url, registry, Token.of_environment())
    file = find_endpoint()
    known = json.loads(file.read_text())
    key = Path(known["keys"], f"{role}.key")
    if not os.access(key, os.R_OK):
        raise CommandError(f"{key} cannot be read", hint="use the account that started it", exit_code=AUTH)
    return Server(known["aggregator"], known["registry"], Token(file=key))


def find_endpoint() -> Path:
    """The endpoint file of the nearest deployment: of `PILOT_STATE_DIR`, or of this folder or one above.

    Raises:
        CommandError: there is none.
    """
    if named := os.environ.get("PILOT_STATE_DIR"):
        places = [Path(named)]
    else:
        here = Path.cwd()
        states = [folder / STATE_DIR for folder in (here, *here.parents)]
        places = [place for state in states for place in (state, *sorted(state.glob("*")))]
    found = [place / ENDPOINT for place in places if (place / ENDPOINT).is_file()]
    if not found:
        raise CommandError(
            "no deployment is known here",
            why="neither PILOT_URL nor a .pilot folder of this directory or one above says where one is",
            hint="start one with 'pilot up' or 'pilot demo', or set PILOT_URL, PILOT_REGISTRY_URL, PILOT_TOKEN_FILE",
        )
    return max(found, key=lambda file: file.stat().st_mtime)
