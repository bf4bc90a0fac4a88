"""Recomputing a published round from its stored plan, on request."""

import tempfile
from pathlib import Path

from pilot_client.errors import ApiError
from pilot_client.registry import RegistryClient
from pilot_proto.grant import SealedRound
from pilot_proto.names import ADAPTER_FILE
from pilot_proto.plan import KindPlan, VerifyReport

from pilot_aggregator.merge.measure import Measured
from pilot_aggregator.merge.plan import mixture_of
from pilot_aggregator.merge.verify import Claim, Report, verify
from pilot_aggregator.rounds import slots
from pilot_aggregator.rounds.spool import Fetched
from pilot_aggregator.store.records import RoundRecord, RunRecord
from pilot_aggregator.store.store import Store

TOLERANCE = 1e-12


def verify_round(
    run: RunRecord, round: RoundRecord, store: Store, registry: RegistryClient, folder: Path
) -> VerifyReport:
    """Fetch a round's inputs into a folder of their own, recompute, compare."""
    if round.plan is None or round.sealed is None or round.merged is None or round.publication is None:
        return _report(run, round, "nothing_merged", f"round {round.number} is not published")
    if not any(kind.outputs for kind in round.plan.kinds):
        return _report(run, round, "nothing_merged", f"round {round.number} merges nothing ({round.program})")
    published = {repo: file.digest for repo, file in round.merged.items()}
    identical: dict[str, bool] = {}
    error = 0.0
    with tempfile.TemporaryDirectory(dir=folder) as place:
        fetched = Fetched(Path(place), registry)
        for kind in round.plan.kinds:
            try:
                found = _recompute(run, kind, round.sealed, published, fetched)
            except ApiError as refused:
                if refused.code != "deleted":
                    raise
                return _report(run, round, "inputs_deleted", str(refused))
            identical |= found.identical or {}
            error = max(error, found.distance_error or 0.0)
    verdict = "identical" if all(identical.values()) and error <= TOLERANCE else "different"
    return VerifyReport(run=run.name, round=round.number, verdict=verdict, outputs=identical, max_distance_error=error)


def _recompute(
    run: RunRecord, kind: KindPlan, sealed: SealedRound, published: dict[str, str], fetched: Fetched
) -> Report:
    counted = {item.client for item in kind.inputs}
    part = sealed.model_copy(update={"updates": tuple(u for u in sealed.updates if u.client in counted)})
    inputs = {name: Path(given.path) for name, given in fetched.updates(part, kind.kind).items()}
    lora = run.spec.training.lora
    distances = None
    base = None
    if kind.distances is not None:
        names = tuple(item.client for item in kind.inputs)
        distances = Measured(kind.distances.metric, names, kind.distances.matrix)
        base = fetched.fetch(run.slots[slots.base_slot(kind.kind)], ADAPTER_FILE[kind.kind])
    return verify(inputs, mixture_of(kind), Claim(published, distances), base=base, scaling=lora.lora_alpha / lora.r)


def _report(run: RunRecord, round: RoundRecord, verdict: str, message: str) -> VerifyReport:
    return VerifyReport(run=run.name, round=round.number, verdict=verdict, message=message)
