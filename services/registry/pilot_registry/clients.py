"""What the index knows of clients: how often they were asked and answered, and what was refused."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pilot_proto.registry import RejectionView
from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.orm import Session

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.rejections import view_of
from pilot_registry.tables import GrantRow, Participation, RejectionRow, Round, Version, VersionFile


@dataclass(frozen=True)
class Totals:
    """One client over all runs."""

    client: str
    task: str
    """Of its last run by name; clients keep their task."""
    runs: int
    asked: int
    answered: int
    sent: int
    answered_at: str | None


@dataclass(frozen=True)
class RunOfClient:
    """One run that asked a client."""

    run: str
    uid: str
    task: str
    asked: int
    answered: int
    sent: int
    answered_at: str | None
    sequence: int


@dataclass(frozen=True)
class RoundOfClient:
    """One round that asked a client."""

    round: int
    grant: str
    revoked: bool
    sealed: bool
    plan: str | None
    ledger: str | None
    """Digests; of a published round."""
    commit: str | None
    answered_at: str | None
    sent: int


def totals(registry: Registry, after: str, task: str | None, most: int) -> list[Totals]:
    """The first clients behind a name, by name."""
    query = _totals().where(Participation.client > after).order_by(Participation.client).limit(most)
    if task is not None:
        query = query.where(Participation.task == task)
    with registry.database.reading() as session:
        return [_summed(row) for row in session.execute(query).mappings()]


def totals_of(registry: Registry, client: str) -> Totals | None:
    """One client's; None for one that no run has asked."""
    with registry.database.reading() as session:
        row = session.execute(_totals().where(Participation.client == client)).mappings().one_or_none()
    return _summed(row) if row else None


def refused(registry: Registry, clients: Collection[str]) -> dict[str, int]:
    """How many uploads of each client were refused; those without one are left out."""
    query = select(RejectionRow.client, func.count()).where(RejectionRow.client.in_(clients))
    with registry.database.reading() as session:
        return {client: int(count) for client, count in session.execute(query.group_by(RejectionRow.client))}


def runs_of(registry: Registry, client: str, limit: int, cursor: str | None) -> tuple[list[RunOfClient], str | None]:
    """The runs that asked a client, the newest first, and where the next page begins."""
    query = (
        select(Participation)
        .where(Participation.client == client)
        .order_by(Participation.sequence.desc())
        .limit(limit + 1)
    )
    position = paging.below(cursor)
    if position is not None:
        query = query.where(Participation.sequence < position)
    with registry.database.reading() as session:
        found = [_run(row) for row in session.scalars(query)]
    return found[:limit], paging.after(found[limit - 1].sequence) if len(found) > limit else None


def run_of(registry: Registry, client: str, run: str) -> RunOfClient | None:
    """A client's part in one run."""
    query = select(Participation).where(Participation.client == client, Participation.run == run)
    with registry.database.reading() as session:
        row = session.scalar(query)
        return _run(row) if row else None


def rounds_of(registry: Registry, client: str, part: RunOfClient, most: int, before: int | None) -> list[RoundOfClient]:
    """The last rounds of a run that asked a client, or the last ones before a round; in order."""
    query = (
        select(GrantRow, Round)
        .join(Round, (Round.uid == GrantRow.uid) & (Round.number == GrantRow.number))
        .where(GrantRow.uid == part.uid, GrantRow.client == client)
        .order_by(GrantRow.number.desc())
        .limit(most)
    )
    if before is not None:
        query = query.where(GrantRow.number < before)
    with registry.database.reading() as session:
        rows = session.execute(query).all()
        updates = _updates(session, client, part, [round_.number for _, round_ in rows])
    return [_round(grant, round_, updates) for grant, round_ in reversed(rows)]


def rejections_of(
    registry: Registry, client: str, most: int, part: RunOfClient | None = None
) -> tuple[RejectionView, ...]:
    """What was refused of a client, newest first; in one run, or in all of them."""
    query = select(RejectionRow).where(RejectionRow.client == client).order_by(RejectionRow.sequence.desc()).limit(most)
    if part is not None:
        query = query.where(RejectionRow.uid == part.uid)
    with registry.database.reading() as session:
        return tuple(view_of(row) for row in session.scalars(query))


def names(registry: Registry) -> list[str]:
    """Every client that a run has ever asked."""
    with registry.database.reading() as session:
        return list(session.scalars(select(Participation.client).distinct()))


def _totals() -> Select[*tuple[Any, ...]]:
    part = Participation
    sums = (func.sum(column).label(column.key) for column in (part.asked, part.answered, part.sent))
    newest = (func.max(column).label(column.key) for column in (part.task, part.answered_at))
    return select(part.client, func.count().label("runs"), *sums, *newest).group_by(part.client)


def _summed(row: RowMapping) -> Totals:
    # Postgres adds large numbers up to a Decimal.
    return Totals(**{**row, "sent": int(row["sent"])})


def _run(row: Participation) -> RunOfClient:
    return RunOfClient(row.run, row.uid, row.task, row.asked, row.answered, row.sent, row.answered_at, row.sequence)


def _updates(
    session: Session, client: str, part: RunOfClient, rounds: Sequence[int]
) -> dict[int, tuple[str, str, int]]:
    """Round to commit, time and bytes of the update."""
    query = (
        select(Version.round, Version.commit, Version.created_at, func.sum(VersionFile.size))
        .join(VersionFile, VersionFile.version_id == Version.id)
        .where(Version.uid == part.uid, Version.kind == "update", Version.client == client, Version.round.in_(rounds))
        .group_by(Version.id)
    )
    return {number: (commit, at, int(size)) for number, commit, at, size in session.execute(query)}


def _round(grant: GrantRow, round_: Round, updates: dict[int, tuple[str, str, int]]) -> RoundOfClient:
    commit, at, sent = updates.get(round_.number, (None, None, 0))
    return RoundOfClient(
        round=round_.number,
        grant=grant.document,
        revoked=grant.revoked_at is not None,
        sealed=round_.sealed is not None,
        plan=round_.plan,
        ledger=round_.ledger,
        commit=commit,
        answered_at=at,
        sent=sent,
    )
