"""A client's own model, asked on the machine that keeps its private state."""

import json
from pathlib import Path

from pilot_aggregator.federation import read_federation
from pilot_proto.update import UPDATE_FILE, Update

from pilot_cli.context import find_endpoint, server
from pilot_cli.errors import MISSING, CommandError


def answer(run: str, client: str, image: Path, prompt: str) -> str:
    """The answer of a client's model as its last local update left it.

    Raises:
        CommandError: there is no such update on this machine.
    """
    known = json.loads(find_endpoint().read_text())
    with server().aggregator() as aggregator:
        view = aggregator.run(run)
    federation = read_federation(Path(known["federation"]))
    model = next(m.path for m in federation.spec.models if m.name == view.spec.model)
    results = Path(known["state"], "aggregator", "clients", client, view.status.uid, "results")
    result = newest(results)
    if result is None:
        names = ", ".join(c.name for c in federation.spec.clients)
        raise CommandError(
            f"{client!r} has no result of run {run!r} on this machine",
            hint=f"clients: {names}; private state stays where a client trains",
            exit_code=MISSING,
        )
    # Imported here, because torch takes seconds and every other command does without it.
    from pilot_trainer.predict import predict

    return predict(Path(model), result, image, prompt)


def newest(results: Path) -> Path | None:
    """The result of the last training round among a client's results of a run."""
    found = [
        (update.round, file.parent)
        for file in sorted(results.glob(f"*/{UPDATE_FILE}"))
        if (update := Update.model_validate_json(file.read_bytes())).program in ("plain", "stage-1", "stage-2")
    ]
    return max(found)[1] if found else None
