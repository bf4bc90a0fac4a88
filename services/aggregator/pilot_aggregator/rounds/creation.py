"""From a written run to a stored one: what must hold before anything starts, and what a person should be told. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pilot_proto.assignment import ModelRef
from pilot_proto.federation import Client, Federation
from pilot_proto.problem import FieldError, InvalidDocument
from pilot_proto.run import Run, RunSpec

from pilot_aggregator.federation import chosen
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.plan import check_rule
from pilot_aggregator.rounds.participation import warnings as quorum_warnings
from pilot_aggregator.store.records import RoundRecord, RunRecord


@dataclass(frozen=True)
class Source:
    """The published round of another run that a run starts from."""

    run: RunRecord
    round: RoundRecord


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
        faults += _client_faults(run.spec.clients, sorted(client.name for client in federation.spec.clients))
    for kind, rule in (("connector", run.spec.merge.connector), ("text", run.spec.merge.text)):
        try:
            check_rule(rule)
        except MergeRefused as error:
            faults.append(FieldError(pointer=f"/spec/merge/{kind}/rule", message=str(error)))
    if faults:
        raise InvalidDocument("run", faults)
    return chosen(federation, run.spec.clients)


def _client_faults(names: Sequence[str], known: Sequence[str]) -> list[FieldError]:
    hint = f"the federation has: {', '.join(known)}"
    if not names:
        return [FieldError(pointer="/spec/clients", message="a run needs at least one client", hint=hint)]
    faults = []
    for index, name in enumerate(names):
        pointer = f"/spec/clients/{index}"
        if name not in known:
            faults.append(FieldError(pointer=pointer, message=f"unknown client {name!r}", hint=hint))
        elif name in names[:index]:
            faults.append(FieldError(pointer=pointer, message=f"client {name!r} is named twice", hint="leave one out"))
    return faults


def warnings(spec: RunSpec, clients: Sequence[Client]) -> list[str]:
    """What the rules and quorums degenerate to with these clients."""
    found = quorum_warnings(spec.participation, {client.name: client.task for client in clients})
    tasks = Counter(client.task for client in clients)
    if spec.merge.connector.rule == "per-task-mean":
        for task, count in sorted(tasks.items()):
            if count == 1:
                found.append(
                    f"task {task!r} has one client: its task adapter is that client's own, as it is, for everybody"
                )
    text = spec.merge.text
    if text.rule == "nearest" and text.neighbours is not None and text.neighbours >= len(clients) - 1:
        found.append(
            f"neighbours {text.neighbours} of {len(clients) - 1} others: everybody is a neighbour of everybody"
        )
    if text.rule == "nearest" and text.neighbours == 0:
        found.append("neighbours 0: the text adapters are not merged at all")
    adapter = spec.training.connector.client_adapter
    if "stage-1" in spec.rounds and adapter.init == "copy" and adapter.jitter == 0:
        found.append(
            "client_adapter: an exact copy receives the same gradients as the task adapter and never separates "
            "from it; give jitter, or another init"
        )
    return found


def new_run(
    run: Run, uid: str, clients: tuple[Client, ...], now: datetime, source: Source | None
) -> tuple[RunRecord, RoundRecord | None]:
    """The records of a run that starts. One that starts from another has its round 0 behind it."""
    spec = run.spec
    record = RunRecord(
        uid=uid,
        name=run.metadata.name,
        spec=spec,
        clients=clients,
        model=source.run.model if source else ModelRef(name=spec.model),
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
    return record, replace(source.round, uid=uid, number=0, program="prepare") if source else None
