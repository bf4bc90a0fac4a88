"""Histories of runs by hand: small, with every part that a report shows."""

from datetime import UTC, datetime

from pilot_proto.canonical import digest_of
from pilot_proto.local_update import LocalUpdate
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
from pilot_proto.presets import expand
from pilot_proto.registry import RejectionView
from pilot_proto.report import ClientReport, RunReport, TaskReport
from pilot_proto.run import Condition, Rule, RunStatus, RunView
from pilot_proto.update import Execution, LossSummary
from pilot_reports.history import History

CLIENTS = {"cap-1": "caption", "vqa-1": "vqa", "vqa-2": "vqa"}
BEGAN, ENDED = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)
COMMIT = "ab" * 20
DISTANCE = 1.5


def view(name="pilot-run", phase="Succeeded", conditions=(), uid="u" * 32, **spec):
    document = {
        "apiVersion": "pilot/v1alpha1",
        "kind": "Run",
        "metadata": {"name": "t"},
        "spec": {"model": "tiny", "rounds": ["plain", "plain"], **spec},
    }
    status = RunStatus(
        uid=uid,
        phase=phase,
        conditions=conditions,
        round=3,
        published=2,
        total_rounds=2,
        created_at=BEGAN,
        ended_at=ENDED if phase == "Succeeded" else None,
    )
    return RunView(metadata={"name": name}, spec=expand(document).spec, status=status)


def client_report(client, task, merged, local, before=0.2, metric=None, scores=None):
    metric = metric or ("cider" if task == "caption" else "exact-match")
    values = {"before": before, "merged": merged, "local": local, "scores": scores}
    return ClientReport(client=client, task=task, metric=metric, **values)


def report(name="pilot-run", method="pilot", clients=None):
    clients = clients or tuple(client_report(c, t, (0.4, 0.6), (0.3, 0.5)) for c, t in CLIENTS.items())
    tasks = sorted({client.task for client in clients})
    return RunReport(
        run=name,
        method=method,
        rounds=2,
        clients=clients,
        tasks=tuple(_task(task, [c for c in clients if c.task == task]) for task in tasks),
        published={f"{name}/client-vqa-1-text": COMMIT},
        digests={f"{name}/client-vqa-1-text": digest_of(b"vqa-1")},
    )


def _task(task, members):
    return TaskReport(
        task=task,
        metric=members[0].metric,
        before=members[0].before,
        merged=members[0].merged[-1],
        local=members[0].local[-1],
        gain=0.4,
        interval=(0.3, 0.5),
    )


def round_document(number, name="pilot-run", program="plain", lost=(), rule="nearest"):
    entries = tuple(
        LedgerEntry(
            client=client,
            task=task,
            answered=client not in lost,
            counted=client not in lost,
            reason="Lost" if client in lost else "",
            num_examples=None if client in lost else 10,
            change_norm={"text": 2.5},
        )
        for client, task in CLIENTS.items()
    )
    ledger = Ledger(run=name, round=number, program=program, entries=entries)
    merged = program not in ("prepare", "evaluate")
    return RoundDocument(
        run=name,
        round=number,
        program=program,
        state="Published",
        ledger=ledger,
        plan=MergePlan(run=name, round=number, program=program, kinds=(_kind(name, rule),) if merged else ()),
        evaluations={client: _measured(number, task) for client, task in CLIENTS.items() if client not in lost},
    )


def _measured(number, task):
    metric = "cider" if task == "caption" else "exact-match"
    same = {"split": "test", "metric": metric, "samples": 8}
    return (
        {"point": "merged", "round": number - 1, "value": 0.25 * number, **same},
        {"point": "local", "round": number, "value": 0.2 * number, **same},
    )


def _kind(name, rule):
    inputs = tuple(
        PlanInput(client=c, task=t, repo=f"{name}/x", commit=COMMIT, digest=digest_of(b"x"), num_examples=10)
        for c, t in CLIENTS.items()
    )
    rows = {"cap-1": (1.0, 0.0, 0.0), "vqa-1": (0.0, 0.75, 0.25), "vqa-2": (0.0, 0.25, 0.75)}
    outputs = tuple(PlanOutput(repo=f"{name}/client-{c}-text", client=c, coefficients=row) for c, row in rows.items())
    matrix = ((0.0, 3.0, 4.0), (3.0, 0.0, DISTANCE), (4.0, DISTANCE, 0.0))
    options = {"neighbours": 1, "metric": "euclidean"} if rule == "nearest" else {}
    distances = Distances(metric="euclidean", matrix=matrix) if rule == "nearest" else None
    return KindPlan(kind="text", rule=Rule(rule=rule, **options), inputs=inputs, outputs=outputs, distances=distances)


def local_update(client, task, number=1):
    return LocalUpdate(
        round=number,
        client=client,
        task=task,
        program="plain",
        num_examples=10,
        dropped=0,
        truncated=0,
        steps=3,
        losses={"total": LossSummary(first=3.0, last=1.0, mean=2.0)},
        router={"caption": 0.25, "vqa": 0.75},
        execution=Execution(
            device="cuda",
            precision="bf16",
            micro_batch_size=4,
            gradient_checkpointing=True,
            attn_implementation="sdpa",
            base_quantization="nf4",
        ),
        uploaded_bytes=1500,
        downloaded_bytes=2500,
    )


def history(name="pilot-run", method="pilot", clients=None, lost=(), partial=False, seed=0, **values):
    conditions = (Condition(type="Partial", reason="ClientLost", message="vqa-2 in round 2"),) if partial else ()
    rule = "none" if method == "local" else "nearest"
    rounds = (
        round_document(1, name, rule=rule),
        round_document(2, name, lost=lost, rule=rule),
        round_document(3, name, program="evaluate"),
    )
    return History(
        view=view(name, conditions=conditions, method=method, training={"seed": seed}),
        report=report(name, method, clients),
        rounds=rounds,
        **{
            "updates": tuple(local_update(client, task) for client, task in CLIENTS.items()),
            "rejections": (),
            **values,
        },
    )


def rejection(message="a tensor holds NaN"):
    values = {"client": "vqa-2", "code": "non_finite", "message": message, "sequence": 1}
    return RejectionView(**values, run="pilot-run", round=2, at="2026-03-01T12:30:00Z")
