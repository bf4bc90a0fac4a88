"""From a journal entry to rows. The live registry and the reindex use the same functions, so they cannot disagree."""

from collections.abc import Sequence
from functools import singledispatch

from pilot_proto.canonical import commit_of
from pilot_proto.grant import Grant, Publication
from pilot_proto.manifest import Manifest
from pilot_proto.names import PREPARER
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from pilot_registry import visibility
from pilot_registry.records import (
    Accepted,
    AliasMoved,
    BlobFacts,
    Deleted,
    Entry,
    Fact,
    Granted,
    HandedOut,
    Published,
    Released,
    Retired,
    Revoked,
    RoundGranted,
    Sealed,
)
from pilot_registry.tables import (
    Alias,
    AuditRow,
    Blob,
    Edge,
    GrantRow,
    Namespace,
    Participation,
    Readable,
    Round,
    Version,
    VersionFile,
)


def apply(session: Session, entry: Entry) -> None:
    """Write the rows that an entry stands for, and its line of the audit."""
    what, detail = _apply(entry.fact, session, entry)
    session.add(
        AuditRow(sequence=entry.sequence, at=entry.at, by=entry.by, action=entry.fact.type, object=what, detail=detail)
    )
    session.flush()


@singledispatch
def _apply(fact: Fact, session: Session, entry: Entry) -> tuple[str, str]:
    """Write the rows; return what was touched, and a detail, for the audit."""
    raise NotImplementedError(type(fact))


@_apply.register
def _(fact: Granted, session: Session, entry: Entry) -> tuple[str, str]:
    grant = _grant(session, [fact.grant], entry)
    return f"{grant.run}/{grant.round}/{grant.client}", ""


@_apply.register
def _(fact: RoundGranted, session: Session, entry: Entry) -> tuple[str, str]:
    grant = _grant(session, fact.grants, entry)
    return f"{grant.run}/{grant.round}", f"{len(fact.grants)} clients"


@_apply.register
def _(fact: Revoked, session: Session, entry: Entry) -> tuple[str, str]:
    open_rounds = select(Round.number).where(Round.uid == fact.uid, Round.sealed.is_(None))
    revoke = update(GrantRow).where(
        GrantRow.uid == fact.uid, GrantRow.revoked_at.is_(None), GrantRow.number.in_(open_rounds)
    )
    session.execute(revoke.values(revoked_at=entry.at))
    run = session.scalar(select(Namespace.run).where(Namespace.uid == fact.uid))
    return run or fact.uid, ""


@_apply.register
def _(fact: HandedOut, session: Session, entry: Entry) -> tuple[str, str]:
    place = {"uid": fact.uid, "number": fact.round, "client": fact.client}
    session.add_all(Readable(**place, commit=commit) for commit in fact.commits)
    run = session.get_one(Round, (fact.uid, fact.round)).run
    return f"{run}/{fact.round}/{fact.client}", f"{len(fact.commits)} versions"


@_apply.register
def _(fact: Accepted, session: Session, entry: Entry) -> tuple[str, str]:
    _note_blobs(session, fact.blobs)
    version = _add_version(session, fact.manifest, fact.uid, entry)
    if version.client != PREPARER:
        _note_answered(session, version, entry)
    return version.repo, version.commit


@_apply.register
def _(fact: Sealed, session: Session, entry: Entry) -> tuple[str, str]:
    round_ = session.get_one(Round, (fact.uid, fact.round))
    round_.sealed = fact.sealed
    return f"{round_.run}/{round_.number}", ""


@_apply.register
def _(fact: Published, session: Session, entry: Entry) -> tuple[str, str]:
    _note_blobs(session, fact.blobs)
    for manifest in fact.manifests:
        _add_version(session, manifest, fact.uid, entry)
    publication = Publication.model_validate_json(fact.publication)
    for repo, commit in sorted(publication.outputs.items()):
        for alias in ("main", f"round-{publication.round}"):
            _point(session, repo, alias, commit, entry)
    round_ = session.get_one(Round, (fact.uid, fact.round))
    round_.publication, round_.plan, round_.ledger = fact.publication, publication.plan, publication.ledger
    return f"{round_.run}/{round_.number}", f"{len(publication.outputs)} outputs"


@_apply.register
def _(fact: Retired, session: Session, entry: Entry) -> tuple[str, str]:
    raw = (Version.uid == fact.uid, Version.round == fact.round, Version.kind == "update")
    session.execute(update(Version).where(*raw, Version.deleted_at.is_(None)).values(deleted_at=entry.at))
    round_ = session.get_one(Round, (fact.uid, fact.round))
    return f"{round_.run}/{round_.number}", ""


@_apply.register
def _(fact: AliasMoved, session: Session, entry: Entry) -> tuple[str, str]:
    _point(session, fact.repo, fact.alias, fact.commit, entry)
    return f"{fact.repo}@{fact.alias}", fact.commit


@_apply.register
def _(fact: Released, session: Session, entry: Entry) -> tuple[str, str]:
    version = _add_version(session, fact.manifest, None, entry)
    _point(session, version.repo, "main", version.commit, entry)
    return version.repo, version.commit


@_apply.register
def _(fact: Deleted, session: Session, entry: Entry) -> tuple[str, str]:
    version = (Version.repo == fact.repo, Version.commit == fact.commit)
    session.execute(update(Version).where(*version, Version.deleted_at.is_(None)).values(deleted_at=entry.at))
    return fact.repo, fact.commit


def _note_asked(session: Session, grants: Sequence[Grant], entry: Entry) -> None:
    uid = grants[0].uid
    known = {row.client: row for row in session.scalars(select(Participation).where(Participation.uid == uid))}
    for grant in grants:
        if grant.client == PREPARER:
            continue
        found = known.get(grant.client)
        if found is None:
            whose = {"client": grant.client, "uid": uid, "run": grant.run, "task": grant.task}
            found = Participation(**whose, sequence=entry.sequence, asked=0, answered=0, sent=0)
            session.add(found)
        found.asked += 1


def _note_answered(session: Session, version: Version, entry: Entry) -> None:
    """An update is only accepted under a grant, so its client has been asked."""
    found = session.get_one(Participation, (version.client, version.uid))
    files = Manifest.model_validate_json(version.manifest).files
    found.answered += 1
    found.sent += sum(file.size for file in files.values())
    found.answered_at = entry.at


def _grant(session: Session, documents: Sequence[str], entry: Entry) -> Grant:
    """Write the grants of one round; the first of them."""
    grants = [Grant.model_validate_json(document) for document in documents]
    first = grants[0]
    if session.get(Namespace, first.run) is None:
        session.add(Namespace(run=first.run, uid=first.uid))
    if session.get(Round, (first.uid, first.round)) is None:
        session.add(Round(uid=first.uid, number=first.round, run=first.run))
    session.flush()
    places = [{"uid": grant.uid, "number": grant.round, "client": grant.client} for grant in grants]
    rows = [{**place, "document": document} for place, document in zip(places, documents, strict=True)]
    session.execute(insert(GrantRow), rows)
    readable = [
        {**place, "commit": commit}
        for place, grant in zip(places, grants, strict=True)
        for commit in sorted(set(grant.readable))
    ]
    if readable:
        session.execute(insert(Readable), readable)
    _note_asked(session, grants, entry)
    return first


def _note_blobs(session: Session, blobs: tuple[BlobFacts, ...]) -> None:
    for blob in blobs:
        if session.get(Blob, blob.digest) is None:
            session.add(Blob(digest=blob.digest, size=blob.size, norm=blob.norm))


def _add_version(session: Session, raw: str, uid: str | None, entry: Entry) -> Version:
    manifest, commit = Manifest.model_validate_json(raw), commit_of(raw.encode())
    found = session.scalar(select(Version).where(Version.repo == manifest.repo, Version.commit == commit))
    if found is not None:
        return found
    version = Version(
        repo=manifest.repo,
        commit=commit,
        uid=uid,
        run=manifest.run,
        kind=manifest.kind,
        round=manifest.round,
        client=manifest.client,
        task=manifest.task,
        private_to=visibility.private_to(manifest),
        manifest=raw,
        created_at=entry.at,
    )
    session.add(version)
    session.flush()
    session.add_all(
        VersionFile(version_id=version.id, path=path, digest=file.digest, size=file.size)
        for path, file in sorted(manifest.files.items())
    )
    session.add_all(
        Edge(
            version_id=version.id,
            position=position,
            parent_repo=parent.repo,
            parent_commit=parent.commit,
            coefficient=parent.coefficient,
        )
        for position, parent in enumerate(manifest.parents)
    )
    return version


def _point(session: Session, repo: str, alias: str, commit: str, entry: Entry) -> None:
    found = session.get(Alias, (repo, alias))
    if found is None:
        session.add(Alias(repo=repo, alias=alias, commit=commit, moved_at=entry.at, moved_by=entry.by))
    else:
        found.commit, found.moved_at, found.moved_by = commit, entry.at, entry.by
