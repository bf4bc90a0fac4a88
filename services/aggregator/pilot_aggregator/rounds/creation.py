"""From a written run to a stored one, and what must hold before anything starts. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pilot_proto.assignment import ModelRef
from pilot_proto.federation import Client, Federation
from pilot_proto.problem import FieldError, InvalidDocument
from pilot_proto.run import Run

from pilot_aggregator.federation import chosen
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.plan import check_rule
from pilot_aggregator.rounds.continuation import Source
from pilot_aggregator.store.records import RoundRecord, RunRecord


def check(run: Run, federation: Federation) -> tuple[Client, ...]:
    """The clients of the run.

    Raises:
        InvalidDocument: an unknown model or client, or a rule that cannot be used this way; names the known ones.
    """
    faults = []
    models = sorted(model.name for model in federation.spec.models)
    if run.spec.model not in models:
        hint = f"the federation offers: {', '.join(models)}"
        faults.append(FieldError(pointer="/spec/model", message=f"unknown model {run.spec.model!r}", hint=hint))
    if run.spec.clients != "all":
        faults += _client_faults(run.spec.clients, federation.spec.clients)
    elif all(client.disabled for client in federation.spec.clients):
        hint = "'pilot clients enable NAME' lets one take part"
        message = "a run needs at least one client, and all are disabled"
        faults.append(FieldError(pointer="/spec/clients", message=message, hint=hint))
    for kind, rule in (("connector", run.spec.merge.connector), ("text", run.spec.merge.text)):
        try:
            check_rule(rule)
        except MergeRefused as error:
            faults.append(FieldError(pointer=f"/spec/merge/{kind}/rule", message=str(error)))
    if faults:
        raise InvalidDocument("run", faults)
    return chosen(federation, run.spec.clients)


def _client_faults(names: Sequence[str], clients: Sequence[Client]) -> list[FieldError]:
    known = {client.name: client for client in clients}
    hint = f"the federation has: {', '.join(sorted(name for name in known if not known[name].disabled))}"
    if not names:
        return [FieldError(pointer="/spec/clients", message="a run needs at least one client", hint=hint)]
    faults = []
    for index, name in enumerate(names):
        pointer = f"/spec/clients/{index}"
        if name not in known:
            faults.append(FieldError(pointer=pointer, message=f"unknown client {name!r}", hint=hint))
        elif known[name].disabled:
            way = f"leave it out, or let it take part again: 'pilot clients enable {name}'"
            faults.append(FieldError(pointer=pointer, message=f"client {name!r} is disabled", hint=way))
        elif name in names[:index]:
            faults.append(FieldError(pointer=pointer, message=f"client {name!r} is named twice", hint="leave one out"))
    return faults


def license_of(run: Run, federation: Federation) -> str | None:
    """What the federation says about the licence of a run's base model."""
    return next((model.license for model in federation.spec.models if model.name == run.spec.model), None)


def new_run(
    run: Run,
    uid: str,
    clients: tuple[Client, ...],
    now: datetime,
    source: Source | None,
    model_license: str | None = None,
) -> tuple[RunRecord, RoundRecord | None]:
    """The records of a run that starts, `model_license` being that of its base. One that starts from another has its
    round 0 behind it."""
    spec = run.spec
    record = RunRecord(
        uid=uid,
        name=run.metadata.name,
        spec=spec,
        clients=clients,
        model=source.run.model if source else ModelRef(name=spec.model, license=model_license),
        slots={},
        accepted={},
        phase="Preparing",
        conditions=(),
        round=0,
        published=0 if source else -1,
        through=0 if spec.advance == "manual" else len(spec.rounds) + 1,
        paused=False,
        cancelling=False,
        created_at=now,
        ended_at=None,
        revision=0,
    )
    return record, _behind(source.round, uid) if source else None


def _behind(round: RoundRecord, uid: str) -> RoundRecord:
    """The source's round as the round 0 of another run: what it left. How that came about is the source's own story."""
    return replace(
        round,
        uid=uid,
        number=0,
        program="prepare",
        quorum_at=None,
        sealed=None,
        measured=None,
        updates=None,
        plan=None,
        ledger=None,
        merged=None,
    )
