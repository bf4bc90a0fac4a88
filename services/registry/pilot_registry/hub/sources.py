"""Where a card's facts come from: the manifest, the plan that made it, and two rounds' ledgers."""

from dataclasses import dataclass

from pilot_proto.assignment import FileRef
from pilot_proto.canonical import digest_of
from pilot_proto.manifest import Manifest
from pilot_proto.plan import Ledger, MergePlan, TaskMean
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.hub.card import CardFacts, card
from pilot_registry.tables import Namespace, Round, Version


@dataclass(frozen=True)
class Sources:
    """What to read for a card, found in the index."""

    commit: str
    manifest: Manifest
    ledgers: tuple[str, ...]
    """Digests, of its own round's and of the next one's."""


@dataclass(frozen=True)
class Generated:
    """A file that is made when it is read."""

    reference: FileRef
    body: bytes


def has_card(version: Version) -> bool:
    """Whether a card is made for a version: an adapter that was published, unlike an update, is for others to use."""
    return version.kind != "update"


def sources(session: Session, version: Version) -> Sources:
    """Where the facts about a version are."""
    manifest = Manifest.model_validate_json(version.manifest)
    query = (
        select(Round.ledger)
        .join(Namespace, Namespace.uid == Round.uid)
        .where(Namespace.run == manifest.run, Round.number.in_((manifest.round, manifest.round + 1)))
        .order_by(Round.number)
    )
    return Sources(version.commit, manifest, tuple(ledger for ledger in session.scalars(query) if ledger))


def generate(registry: Registry, found: Sources) -> Generated:
    """The card of a version. What its store has lost is left out of it."""
    m = found.manifest
    plan = registry.documents.read(MergePlan, m.plan) if m.plan else None
    rules = [made.rule for made in plan.kinds if made.kind == m.kind] if plan else []
    body = card(CardFacts(found.commit, m, next(iter(rules), None), means(registry, found)))
    return Generated(FileRef(digest=digest_of(body), size=len(body)), body)


def means(registry: Registry, found: Sources) -> tuple[TaskMean, ...]:
    """What the clients of its task, or of all, measured of its round."""
    ledgers = [registry.documents.read(Ledger, digest) for digest in found.ledgers]
    return tuple(mean for ledger in ledgers if ledger for mean in ledger.task_means if _concerns(mean, found.manifest))


def _concerns(mean: TaskMean, m: Manifest) -> bool:
    return mean.round == m.round and m.task in (None, mean.task)
