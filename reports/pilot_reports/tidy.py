"""A run as tidy tables: one observation per line, one variable per column. Pure."""

from collections.abc import Iterator, Sequence

from pilot_proto.plan import KindPlan

from pilot_reports.history import History
from pilot_reports.transfer import Transfer

Value = str | int | float | None
Line = tuple[Value, ...]

METRICS = ("run", "method", "seed", "client", "task", "metric", "split", "round", "point", "value", "samples")
GAINS = ("run", "baseline", "client", "task", "metric", "point", "gain")
MERGE = ("run", "round", "kind", "receiver", "contributor", "coefficient", "distance")
PARTICIPATION = (
    *("run", "round", "program", "client", "task", "asked", "answered", "counted", "reason", "flags", "num_examples"),
    *("text_change_norm", "connector_change_norm", "loss_first", "loss_last", "loss_mean", "steps"),
    *("uploaded_bytes", "downloaded_bytes"),
)


def metrics(histories: Sequence[History]) -> Iterator[Line]:
    """Every value that a client measured; `before` is `merged` of round 0."""
    for history in histories:
        tasks = {client.client: client.task for client in history.report.clients}
        found = {
            (client, str(result["point"]), int(str(result["round"]))): result
            for round in history.rounds
            for client, results in round.evaluations.items()
            for result in results
        }
        for (client, point, number), result in sorted(found.items()):
            yield (
                *(history.name, history.method, history.seed, client, tasks.get(client, ""), str(result["metric"])),
                *(str(result["split"]), number, point, float(str(result["value"])), int(str(result["samples"]))),
            )


def gains(found: Sequence[Transfer]) -> Iterator[Line]:
    """Every gain over training alone, `merged` over `merged` and `local` over `local`, after the last round."""
    for transfer in found:
        for task in transfer.tasks:
            for client in task.clients:
                for point, value in (("merged", client.merged), ("local", client.local)):
                    yield transfer.run, transfer.baseline, client.client, task.task, task.metric, point, value


def merge(histories: Sequence[History]) -> Iterator[Line]:
    """Every coefficient of every merge; the distance is between the receiver's own upload and the contributor's."""
    for history in histories:
        for round, kind in history.merges():
            yield from merge_of(history.name, round.round, (kind,))


def merge_of(run: str, round: int, kinds: Sequence[KindPlan]) -> Iterator[Line]:
    """The same for one round."""
    for kind in kinds:
        names = [each.client for each in kind.inputs]
        places = {name: i for i, name in enumerate(names)}
        for output in kind.outputs:
            receiver = output.client or output.task or output.repo.partition("/")[2]
            line = kind.distances.matrix[places[receiver]] if kind.distances and receiver in places else None
            for number, weight in enumerate(output.coefficients):
                yield run, round, kind.kind, receiver, names[number], weight, line[number] if line else None


def participation(histories: Sequence[History]) -> Iterator[Line]:
    """Every client in every round: whether it counted, and what its update was."""
    for history in histories:
        updates = {(update.round, update.client): update for update in history.updates or ()}
        for round in (each for each in history.rounds if each.program != "prepare"):
            for entry in round.ledger.entries if round.ledger else ():
                update = updates.get((round.round, entry.client))
                total = update.losses.get("total") if update else None
                yield (
                    *(history.name, round.round, round.program, entry.client, entry.task),
                    *(str(flag).lower() for flag in (entry.asked, entry.answered, entry.counted)),
                    *(entry.reason, " ".join(entry.flags), entry.num_examples),
                    *(entry.change_norm.get("text"), entry.change_norm.get("connector")),
                    *((total.first, total.last, total.mean) if total else (None, None, None)),
                    *((update.steps, update.uploaded_bytes, update.downloaded_bytes) if update else (None, None, None)),
                )
