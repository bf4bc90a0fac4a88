"""A planned round of many clients."""

import random

from pilot_proto.canonical import digest_of
from pilot_proto.plan import (
    Distances,
    KindPlan,
    Ledger,
    LedgerEntry,
    MergePlan,
    PlanInput,
    PlanOutput,
    RoundDocument,
)
from pilot_proto.run import Rule

NEIGHBOURS = 6


def large_round(clients: dict[str, str], run: str = "digits", number: int = 1) -> RoundDocument:
    """Everybody counts; distances are drawn at random, always the same."""
    drawn = random.Random(7)
    names, size = sorted(clients), len(clients)
    apart = [[0.0] * size for _ in names]
    for i in range(size):
        for j in range(i):
            apart[i][j] = apart[j][i] = drawn.uniform(1, 9)
    inputs = tuple(
        PlanInput(
            client=name,
            task=clients[name],
            repo=f"{run}/client-{name}-update",
            commit=f"{i:040x}",
            digest=digest_of(name.encode()),
            num_examples=drawn.randrange(50, 500),
        )
        for i, name in enumerate(names)
    )
    text = KindPlan(
        kind="text",
        rule=Rule(rule="nearest", neighbours=NEIGHBOURS, metric="euclidean"),
        inputs=inputs,
        outputs=tuple(
            PlanOutput(repo=f"{run}/client-{n}-text", client=n, coefficients=_row(apart[i], i))
            for i, n in enumerate(names)
        ),
        distances=Distances(metric="euclidean", matrix=tuple(map(tuple, apart))),
    )
    entries = tuple(
        LedgerEntry(
            client=name,
            task=clients[name],
            answered=True,
            counted=True,
            num_examples=100,
            change_norm={"text": drawn.uniform(1, 2)},
            shares={"text": 1 / size},
        )
        for name in names
    )
    program = "stage-2"
    return RoundDocument(
        run=run,
        round=number,
        program=program,
        state="Planned",
        ledger=Ledger(run=run, round=number, program=program, entries=entries),
        plan=MergePlan(run=run, round=number, program=program, kinds=(text,)),
    )


def _row(line: list[float], own: int) -> tuple[float, ...]:
    near = sorted(range(len(line)), key=lambda j: (j == own, line[j]))[:NEIGHBOURS]
    return tuple(0.4 if j == own else 0.1 if j in near else 0.0 for j in range(len(line)))
