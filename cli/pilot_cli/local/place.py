"""Where a client of a run works on this machine: its private state, its key, its data and its base model."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pilot_client.transport import Token
from pilot_proto.federation import FederationView
from pilot_proto.report import ClientReport
from pilot_proto.run import RunView

from pilot_cli import results
from pilot_cli.context import elsewhere, find_endpoint, server
from pilot_cli.errors import AUTH, MISSING, CommandError


@dataclass(frozen=True)
class Place:
    """What a client's own programs need."""

    run: RunView
    client: str
    aggregator_url: str
    registry_url: str
    model_dir: Path
    data_dir: Path
    state_dir: Path
    key: Path
    person: Token
    """The operator's, who may read what nobody was handed yet."""

    @property
    def results(self) -> Path:
        """This run's results in the private state."""
        return self.state_dir / self.run.status.uid / "results"

    def report(self) -> ClientReport | None:
        """What was measured of this client so far."""
        with server().aggregator() as aggregator:
            return results.of_client(aggregator, self.run.metadata["name"], self.client)


def place_of(run: str, client: str) -> Place:
    """Where a client works on this machine.

    Raises:
        CommandError: the deployment is elsewhere, or has no such client.
    """
    if named := elsewhere():
        raise CommandError(
            f"the private state of {client!r} is not on this machine",
            why=f"{named} names a deployment elsewhere, and private state stays where a client trains",
            hint=f"do it there; 'pilot export {run} --client {client}' makes the model a folder that can be copied out",
            exit_code=MISSING,
        )
    known = json.loads(find_endpoint().read_text())
    deployment = server()
    with deployment.aggregator() as aggregator:
        view = aggregator.run(run)
        federation = FederationView.model_validate(aggregator.federation()).spec
    found = next((each for each in federation.clients if each.name == client), None)
    if found is None:
        names = ", ".join(each.name for each in federation.clients)
        raise CommandError(f"the federation has no client {client!r}", hint=f"clients: {names}", exit_code=MISSING)
    key = Path(known["keys"], "clients", f"{client}.key")
    if not os.access(key, os.R_OK):
        raise CommandError(f"{key} cannot be read", hint="use the account that started the services", exit_code=AUTH)
    return Place(
        run=view,
        client=client,
        aggregator_url=deployment.aggregator_url,
        registry_url=deployment.registry_url,
        model_dir=Path(next(model.path for model in federation.models if model.name == view.spec.model)),
        data_dir=Path(found.data),
        state_dir=Path(known["state"], "aggregator", "clients", client),
        key=key,
        person=deployment.token,
    )
