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

from pilot_cli import contexts
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
    ca_file: Path | None = None

    @contextmanager
    def aggregator(self) -> Iterator[AggregatorClient]:
        transport = Transport(self.aggregator_url, self.token, ca_file=self.ca_file)
        try:
            yield AggregatorClient(transport)
        finally:
            transport.close()

    @contextmanager
    def registry(self) -> Iterator[RegistryClient]:
        transport = Transport(self.registry_url, self.token, ca_file=self.ca_file)
        try:
            yield RegistryClient(transport)
        finally:
            transport.close()


def server(role: str = "operator") -> Server:
    """From `PILOT_URL`, `PILOT_REGISTRY_URL` and a token in the environment, or else from the context in force, or
    from the deployment of this folder.

    Raises:
        CommandError: nothing says where a deployment is.
    """
    if url := os.environ.get("PILOT_URL"):
        registry = os.environ.get("PILOT_REGISTRY_URL")
        if not registry:
            raise CommandError("PILOT_URL is set but PILOT_REGISTRY_URL is not", hint="set both, or neither")
        return Server(url, registry, Token.of_environment())
    if name := elsewhere():
        return _server_of(contexts.find(contexts.load(), name))
    file = find_endpoint()
    known = json.loads(file.read_text())
    key = Path(known["keys"], f"{role}.key")
    if not os.access(key, os.R_OK):
        raise CommandError(f"{key} cannot be read", hint="use the account that started it", exit_code=AUTH)
    return Server(known["aggregator"], known["registry"], Token(file=key))


def elsewhere() -> str | None:
    """What says that the deployment is not the one of this folder: `PILOT_URL`, or a context's name.

    `PILOT_CONTEXT` names one. Otherwise what was done last counts: choosing a context, or starting this folder's
    services. A state folder that is named is a choice too.
    """
    if os.environ.get("PILOT_URL"):
        return "PILOT_URL"
    if named := os.environ.get("PILOT_CONTEXT"):
        return named
    known = contexts.load()
    if not known.current or os.environ.get("PILOT_STATE_DIR"):
        return None
    try:
        started = find_endpoint().stat().st_mtime
    except CommandError:
        return known.current
    return known.current if known.chosen_at > started else None


def _server_of(context: contexts.Context) -> Server:
    # A token in the environment stands for somebody else at the same deployment.
    given = Token.of_environment()
    token = given if given.file or given.value else Token(context.key)
    return Server(context.url, context.registry_url, token, Path(context.ca_file) if context.ca_file else None)


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
            why="neither PILOT_URL nor a context nor a .pilot folder of this directory or one above says where one is",
            hint="start one with 'pilot up' or 'pilot demo', log in to one with 'pilot login URL', "
            "or set PILOT_URL, PILOT_REGISTRY_URL, PILOT_TOKEN_FILE",
        )
    return max(found, key=lambda file: file.stat().st_mtime)
