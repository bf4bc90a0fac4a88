"""Grants: what one client may do in one round of one run."""

from collections.abc import Iterable, Sequence

from pilot_http.problems import Conflict, Invalid, NotFound, coded
from pilot_proto.canonical import Commit, canonical_bytes
from pilot_proto.grant import Grant
from pilot_proto.names import PREPARER, check_name
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.errors import Refused, RoundClosed
from pilot_registry.records import Granted, HandedOut, Revoked, RoundGranted
from pilot_registry.tables import GrantRow, Namespace, Readable, Round

RELEASED = "released"
"""The namespace of versions that outlive their run; no run may be called so."""


def put_grant(registry: Registry, grant: Grant, by: str) -> bool:
    """Store a grant; True when it is new, False when it was there.

    Raises:
        Conflict: `grant_differs`, `name_taken`, `round_closed`.
    """
    with registry.database.writing() as session:
        fresh = _fresh(session, [grant])
        if fresh:
            registry.journal.append(session, Granted(grant=fresh[0]), by)
    registry.journal.drain()
    return bool(fresh)


def put_grants(registry: Registry, uid: str, number: int, grants: Sequence[Grant], by: str) -> None:
    """Store the grants of a round, in one transaction; those that are there already stay.

    Raises:
        Conflict: as `put_grant`, and then none of them is stored.
        Invalid: one is of another round, or a client has two.
    """
    if any((grant.uid, grant.round) != (uid, number) for grant in grants):
        raise Invalid("a grant names another run or round than the path")
    if len({grant.client for grant in grants}) < len(grants) or len({grant.run for grant in grants}) > 1:
        raise Invalid("each client of a round has one grant, and all are of one run")
    with registry.database.writing() as session:
        fresh = _fresh(session, grants)
        if fresh:
            registry.journal.append(session, RoundGranted(uid=uid, round=number, grants=tuple(fresh)), by)
    registry.journal.drain()


def _fresh(session: Session, grants: Sequence[Grant]) -> list[str]:
    """The documents of those grants of one round that are not there yet; raises as `put_grant` does."""
    if not grants:
        return []
    first, fresh = grants[0], []
    there = select(GrantRow.client, GrantRow.document)
    rows = session.execute(there.where(GrantRow.uid == first.uid, GrantRow.number == first.round))
    known = {row.client: row.document for row in rows}
    for grant in grants:
        _check_names(grant)
        document = canonical_bytes(grant).decode()
        if known.get(grant.client, document) != document:
            raise coded(Conflict, "grant_differs", f"{_place(grant)} has another grant already")
        if grant.client not in known:
            fresh.append(document)
    if fresh:
        _check_namespace(session, first)
        if sealed(session, first.uid, first.round):
            raise RoundClosed(f"round {first.round} of {first.run} is sealed; no grant can join it")
    return fresh


def hand_out(registry: Registry, uid: str, number: int, client: str, commits: Iterable[Commit], by: str) -> None:
    """Let a client read versions beside those that its grant in a published round names. The same again does nothing.

    Raises:
        NotFound: it has no grant there.
        Conflict: `not_published`.
    """
    with registry.database.writing() as session:
        if session.get(GrantRow, (uid, number, client)) is None:
            raise NotFound(f"{client!r} has no grant in round {number} of {uid!r}")
        if session.get_one(Round, (uid, number)).publication is None:
            raise coded(Conflict, "not_published", f"round {number} has not published anything to hand out")
        known = select(Readable.commit).where(Readable.uid == uid, Readable.number == number, Readable.client == client)
        more = sorted(set(commits) - set(session.scalars(known)))
        if more:
            fact = HandedOut(uid=uid, round=number, client=client, commits=tuple(more))
            registry.journal.append(session, fact, by)
    registry.journal.drain()


def revoke(registry: Registry, uid: str, by: str) -> None:
    """End every open grant of a run; nothing happens when none is open."""
    with registry.database.writing() as session:
        if session.scalar(select(Namespace.run).where(Namespace.uid == uid)) is None:
            raise NotFound(f"no run has the uid {uid!r} here")
        opened = _open_grants(session, uid)
        if opened:
            registry.journal.append(session, Revoked(uid=uid), by)
    registry.journal.drain()


def open_grant(session: Session, uid: str, round_: int, client: str) -> Grant:
    """The grant under which a client may act now.

    Raises:
        Refused: `stale_round`, there is none.
        RoundClosed: it has ended.
    """
    row = session.get(GrantRow, (uid, round_, client))
    if row is None:
        raise Refused("stale_round", f"{client} has no grant in round {round_} of this run", status=409)
    if row.revoked_at is not None:
        raise RoundClosed(f"the grant of {client} in round {round_} was revoked", hint="drop the result")
    if sealed(session, uid, round_):
        raise RoundClosed(f"round {round_} is sealed", hint="drop the result")
    return Grant.model_validate_json(row.document)


def sealed(session: Session, uid: str, round_: int) -> bool:
    """Whether a round's inputs are frozen."""
    row = session.get(Round, (uid, round_))
    return row is not None and row.sealed is not None


def _open_grants(session: Session, uid: str) -> int:
    rounds = select(Round.number).where(Round.uid == uid, Round.sealed.is_(None))
    grants = select(func.count()).where(GrantRow.uid == uid, GrantRow.revoked_at.is_(None), GrantRow.number.in_(rounds))
    return session.scalar(grants) or 0


def _check_names(grant: Grant) -> None:
    try:
        check_name(grant.run)
        if grant.client != PREPARER:
            check_name(grant.client)
    except ValueError as error:
        raise Invalid(str(error)) from error
    if grant.run == RELEASED:
        raise Invalid(f"{RELEASED!r} holds released adapters; give the run another name")


def _check_namespace(session: Session, grant: Grant) -> None:
    owner = session.get(Namespace, grant.run)
    if owner is not None and owner.uid != grant.uid:
        raise coded(
            Conflict, "name_taken", f"the name {grant.run!r} belongs to the run {owner.uid}", hint="choose another name"
        )
    other = session.scalar(select(Namespace.run).where(Namespace.uid == grant.uid))
    if other is not None and other != grant.run:
        raise coded(Conflict, "name_taken", f"the uid {grant.uid} belongs to the run {other!r}")


def _place(grant: Grant) -> str:
    return f"{grant.client} in round {grant.round} of {grant.run}"
