"""Documents of runs that never were, as large as real ones: for measuring what it takes to show them."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pilot_aggregator.rounds.gate import Measurement
from pilot_aggregator.store import tables as t
from pilot_aggregator.store.documents import dump
from pilot_aggregator.store.rounds import ROUND_DOCUMENTS
from pilot_proto.assignment import Assignment, ModelRef
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.federation import Client
from pilot_proto.grant import AdmittedUpdate, Publication, SealedRound
from pilot_proto.names import client_repo, task_repo, update_repo
from pilot_proto.plan import Distances, KindPlan, Ledger, LedgerEntry, MergePlan, PlanInput, PlanOutput
from pilot_proto.presets import expand
from pilot_proto.run import Condition, Rule, RunSpec
from pilot_proto.update import EvaluationResult, Execution, LossSummary, PreparedModel, Update, UploadedAdapter
from sqlalchemy import Connection, insert

DIGEST = digest_of(b"made up")
COMMIT = DIGEST[7:47]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = ModelRef(name="llava-1.5-7b", digest=DIGEST)
SAMPLES = 50
NEIGHBOURS = 6


def plan(run: str, number: int, clients: Mapping[str, str]) -> MergePlan:
    """A merge of everybody's LoRA with its nearest, and of connectors by task. Clients by name to task, sorted."""
    chance, names = random.Random(f"{run}/{number}"), list(clients)
    inputs = tuple(
        PlanInput(client=c, task=task, repo=update_repo(run, c), commit=COMMIT, digest=DIGEST, num_examples=100)
        for c, task in clients.items()
    )
    places = [(chance.random(), chance.random()) for _ in names]
    matrix = tuple(tuple(((a - c) ** 2 + (b - d) ** 2) ** 0.5 for c, d in places) for a, b in places)
    text = KindPlan(
        kind="text",
        rule=Rule(rule="nearest", neighbours=NEIGHBOURS, metric="euclidean", combine="convex", weight_cap=1.0),
        inputs=inputs,
        outputs=tuple(
            PlanOutput(repo=client_repo(run, name, "text"), client=name, coefficients=_nearest(matrix[i], i))
            for i, name in enumerate(names)
        ),
        distances=Distances(metric="euclidean", matrix=matrix),
    )
    tasks = sorted(set(clients.values()))
    connector = KindPlan(
        kind="connector",
        rule=Rule(rule="per-task-mean"),
        inputs=inputs,
        outputs=tuple(
            PlanOutput(repo=task_repo(run, task, "connector"), task=task, coefficients=_mean(clients, task))
            for task in tasks
        ),
    )
    return MergePlan(run=run, round=number, program="stage-2", kinds=(connector, text))


def _nearest(apart: Sequence[float], own: int) -> tuple[float, ...]:
    chosen = set(sorted(range(len(apart)), key=lambda i: (apart[i], i))[: NEIGHBOURS + 1]) | {own}
    return tuple(1 / len(chosen) if i in chosen else 0.0 for i in range(len(apart)))


def _mean(clients: Mapping[str, str], task: str) -> tuple[float, ...]:
    members = sum(of == task for of in clients.values())
    return tuple(1 / members if of == task else 0.0 for of in clients.values())


def ledger(run: str, number: int, clients: Mapping[str, str]) -> Ledger:
    """Everybody counted."""
    entries = tuple(
        LedgerEntry(
            client=client,
            task=task,
            answered=True,
            counted=True,
            commit=COMMIT,
            num_examples=100,
            change_norm={"text": 1.5, "connector": 0.5},
            shares={"text": 1 / len(clients), "connector": 1 / len(clients)},
        )
        for client, task in clients.items()
    )
    return Ledger(run=run, round=number, program="stage-2", entries=entries)


def update(run: str, number: int, client: str, task: str) -> Update:
    """What a client said, with a score for each sample at both points."""
    chance = random.Random(f"{run}/{number}/{client}")
    results = [_result(point, round_, chance) for point, round_ in (("merged", number - 1), ("local", number))]
    return Update(
        run=run,
        round=number,
        client=client,
        task=task,
        program="stage-2",
        assignment=DIGEST,
        model=PreparedModel(digest=DIGEST, name="llava-1.5-7b"),
        num_examples=100,
        steps=12,
        execution=Execution(
            device="cpu",
            precision="fp32",
            gradient_checkpointing=False,
            attn_implementation="sdpa",
            base_quantization="none",
        ),
        losses={"total": LossSummary(first=1.0, last=0.5, mean=0.7)},
        adapters={kind: UploadedAdapter(digest=DIGEST, num_parameters=1000) for kind in ("text", "connector")},
        evaluations=tuple(results),
    )


def _result(point: Any, number: int, chance: random.Random) -> EvaluationResult:
    scores = tuple(float(chance.random() < 0.5) for _ in range(SAMPLES))
    value = sum(scores) / SAMPLES
    return EvaluationResult(
        point=point, round=number, split="test", metric="exact-match", value=value, samples=SAMPLES, scores=scores
    )


def spec(model: str, rounds: int) -> RunSpec:
    """A run of stage-1 and stage-2 rounds."""
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": "seed"},
        "spec": {"model": model, "rounds": ["stage-1", *["stage-2"] * (rounds - 1)]},
    }
    return expand(document).spec


def store_run(sql: Connection, uid: str, run: str, clients: Mapping[str, str], rounds: int, age: int) -> None:
    """A run that ended well, `age` hours after the beginning of time, with everything that its rounds left."""
    began, asked = BEGAN + timedelta(hours=age), spec(MODEL.name, rounds)
    members = tuple(Client(name=name, task=task, data=f"/data/{name}") for name, task in clients.items())
    row = {
        "uid": uid,
        "name": run,
        "spec": dump(RunSpec, asked),
        "clients": dump(tuple[Client, ...], members),
        "model": dump(ModelRef, MODEL),
        "phase": "Succeeded",
        "conditions": dump(tuple[Condition, ...], ()),
        "round": rounds,
        "published": rounds,
        "through": rounds,
        "paused": False,
        "cancelling": False,
        "created_at": began,
        "ended_at": began + timedelta(minutes=40),
        "revision": 9,
    }
    sql.execute(insert(t.runs).values(row))
    for number in range(1, rounds + 1):
        _store_round(sql, uid, run, asked, clients, number, began + timedelta(minutes=number))


def _store_round(
    sql: Connection, uid: str, run: str, asked: RunSpec, clients: Mapping[str, str], number: int, began: datetime
) -> None:
    made, names = plan(run, number, clients), list(clients)
    text = made.kinds[-1].distances
    assert text is not None
    sealed = tuple(
        AdmittedUpdate(client=c, task=task, repo=update_repo(run, c), commit=COMMIT, files={}, num_examples=100)
        for c, task in clients.items()
    )
    documents = {
        "sealed": SealedRound(run=run, round=number, updates=sealed),
        "measured": {"text": Measurement("euclidean", tuple(names), text.matrix, (1.5,) * len(names))},
        "updates": {client: update(run, number, client, task) for client, task in clients.items()},
        "plan": made,
        "ledger": ledger(run, number, clients),
        "merged": {},
        "publication": Publication(run=run, round=number, outputs={}, plan=DIGEST, ledger=DIGEST),
        "slots": {},
        "accepted": {},
    }
    texts = {name: dump(ROUND_DOCUMENTS[name], document) for name, document in documents.items()}
    place = {"uid": uid, "number": number}
    ended = began + timedelta(seconds=50)
    sql.execute(insert(t.rounds).values(**place, program="stage-2", started_at=began, ended_at=ended, **texts))
    sql.execute(
        insert(t.assignments),
        [
            {**place, "client": made.client, "task": made.task, "digest": DIGEST, "budget_from": 0, "failure": ""}
            | {"body": canonical_bytes(made)}
            for made in _assignments(run, asked, clients, number)
        ],
    )
    steps = ("RoundOpened", "RoundSealed", "RoundMeasured", "RoundPlanned", "RoundMerged", "RoundPublished")
    rows = [
        {"uid": uid, "at": began + timedelta(seconds=9 * i), "type": step, "round": number, "client": "", "message": ""}
        for i, step in enumerate(steps)
    ]
    sql.execute(insert(t.events), rows)


def _assignments(run: str, asked: RunSpec, clients: Mapping[str, str], number: int) -> Iterator[Assignment]:
    tasks = tuple(sorted(set(clients.values())))
    for client, task in clients.items():
        whose: dict[str, Any] = {"run": run, "round": number, "client": client, "task": task, "seed": number}
        yield Assignment(**whose, program="stage-2", model=MODEL, tasks=tasks, training=asked.training)
