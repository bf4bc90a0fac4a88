"""What the registry itself knows of a round: who may take part, who has answered and when, and what was published."""

import json

from pilot_http.auth import Principal
from pilot_http.problems import NotFound
from pilot_proto.base import Stored
from pilot_proto.canonical import Commit, Digest
from pilot_proto.grant import Publication
from pilot_proto.training import Program
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry.context import Registry
from pilot_registry.tables import AuditRow, GrantRow, Namespace, Round, Version
from pilot_registry.visibility import visible_to


class Granted(Stored):
    """A client that may take part."""

    client: str
    task: str


class Accepted(Stored):
    """An update that came in."""

    client: str
    commit: Commit
    at: str
    deleted_at: str | None = None
    """When retention removed its bytes."""


class Output(Stored):
    """A version that stands after the round."""

    repo: str
    commit: Commit
    visible: bool
    """Whether the reader may open it."""


class RoundAccount(Stored):
    """A round, as the index has it."""

    run: str
    round: int
    program: Program | None = None
    """As its grants say; none for a round that came from another run."""
    granted: tuple[Granted, ...] = ()
    """Sorted by client."""
    granted_at: str | None = None
    """The first grant."""
    accepted: tuple[Accepted, ...] = ()
    """Sorted by client."""
    sealed: bool
    sealed_at: str | None = None
    published_at: str | None = None
    plan: Digest | None = None
    ledger: Digest | None = None
    outputs: tuple[Output, ...] = ()
    """Sorted by repository."""
    rounds: tuple[int, ...]
    """All rounds of the run that are known here, in order."""

    @property
    def published(self) -> bool:
        return self.plan is not None


def account(registry: Registry, principal: Principal, run: str, number: int) -> RoundAccount:
    """A round for somebody.

    Raises:
        NotFound: the registry has never heard of it.
    """
    with registry.database.reading() as session:
        uid = session.scalar(select(Namespace.uid).where(Namespace.run == run))
        round_ = session.get(Round, (uid, number)) if uid else None
        if uid is None or round_ is None:
            raise NotFound(f"the registry knows no round {number} of run {run!r}")
        granted, program = _granted(session, uid, number)
        times = _times(session, run, number)
        return RoundAccount(
            run=run,
            round=number,
            program=program,
            granted=granted,
            granted_at=times.get("granted"),
            accepted=_accepted(session, uid, number),
            sealed=round_.sealed is not None,
            sealed_at=times.get("sealed"),
            published_at=times.get("published"),
            plan=round_.plan,
            ledger=round_.ledger,
            outputs=_outputs(session, principal, round_),
            rounds=tuple(session.scalars(select(Round.number).where(Round.uid == uid).order_by(Round.number))),
        )


def _granted(session: Session, uid: str, number: int) -> tuple[tuple[Granted, ...], Program | None]:
    query = select(GrantRow.client, GrantRow.document).where(GrantRow.uid == uid, GrantRow.number == number)
    # Of a grant two words are wanted; to parse all of it, for every client, would cost more than the page.
    rows = [(client, json.loads(document)) for client, document in session.execute(query.order_by(GrantRow.client))]
    program = rows[0][1].get("program") if rows else None
    return tuple(Granted(client=client, task=document.get("task", "")) for client, document in rows), program


def _accepted(session: Session, uid: str, number: int) -> tuple[Accepted, ...]:
    query = select(Version.client, Version.commit, Version.created_at, Version.deleted_at)
    updates = query.where(Version.uid == uid, Version.round == number, Version.kind == "update")
    rows = session.execute(updates.order_by(Version.client)).all()
    return tuple(Accepted(client=row[0], commit=row[1], at=row[2], deleted_at=row[3]) for row in rows)


def _times(session: Session, run: str, number: int) -> dict[str, str]:
    """Action of the audit to when it was first done in the round."""
    place = f"{run}/{number}"
    # The grants of a round, one for each client, stand behind its name and a slash; a zero follows the slash.
    of_clients = (AuditRow.object > f"{place}/", AuditRow.object < f"{place}0")
    first = select(AuditRow.at).where(*of_clients).order_by(AuditRow.sequence).limit(1)
    found = {row.action: row.at for row in session.scalars(select(AuditRow).where(AuditRow.object == place))}
    granted = session.scalar(first)
    return found | ({"granted": granted} if granted else {})


def _outputs(session: Session, principal: Principal, round_: Round) -> tuple[Output, ...]:
    if round_.publication is None:
        return ()
    made = Publication.model_validate_json(round_.publication).outputs
    query = select(Version.commit).where(Version.repo.in_(made.keys()), Version.commit.in_(made.values()))
    seen = set(session.scalars(query.where(visible_to(principal))))
    return tuple(Output(repo=repo, commit=commit, visible=commit in seen) for repo, commit in sorted(made.items()))
