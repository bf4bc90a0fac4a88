"""Published rounds as the registry itself has them: the plans and ledgers that their publications name."""

from collections.abc import Iterator

from pilot_proto.plan import Ledger, MergePlan, RoundDocument
from sqlalchemy import select

from pilot_registry.context import Registry
from pilot_registry.tables import Namespace, Round

MEASURED_IN = 3
"""Of so many last rounds: what a round published is measured in the next, and the last may have measured nothing."""


def last_merge(registry: Registry, run: str) -> RoundDocument | None:
    """The last round that merged something; None where there is none, or its plan is lost."""
    for number, plan, ledger in _digests(registry, run, descending=True):
        found = _document(registry, run, number, plan, ledger)
        if found and found.plan and found.plan.kinds:
            return found
    return None


def rounds(registry: Registry, run: str) -> Iterator[RoundDocument]:
    """All of a run, in order; those whose plan is lost are left out."""
    for number, plan, ledger in _digests(registry, run, descending=False):
        found = _document(registry, run, number, plan, ledger)
        if found is not None:
            yield found


def last_ledgers(registry: Registry, run: str) -> list[Ledger]:
    """Of the last rounds, as far as they can be read."""
    digests = _digests(registry, run, descending=True)[:MEASURED_IN]
    found = (registry.documents.read(Ledger, ledger) for _, _, ledger in digests)
    return [ledger for ledger in found if ledger is not None]


def _digests(registry: Registry, run: str, *, descending: bool) -> list[tuple[int, str, str]]:
    """Number, plan and ledger of every published round."""
    order = Round.number.desc() if descending else Round.number
    query = (
        select(Round.number, Round.plan, Round.ledger)
        .join(Namespace, Namespace.uid == Round.uid)
        .where(Namespace.run == run, Round.publication.is_not(None))
        .order_by(order)
    )
    with registry.database.reading() as session:
        return [(number, plan, ledger) for number, plan, ledger in session.execute(query) if plan and ledger]


def _document(registry: Registry, run: str, number: int, plan: str, ledger: str) -> RoundDocument | None:
    made = registry.documents.read(MergePlan, plan)
    if made is None:
        return None
    told = registry.documents.read(Ledger, ledger)
    return RoundDocument(run=run, round=number, program=made.program, state="Published", plan=made, ledger=told)
