"""The two transactions of a round, and what retention does afterwards."""

from collections import defaultdict
from collections.abc import Sequence

from pilot_http.problems import Conflict, NotFound, coded
from pilot_proto.canonical import canonical_bytes, document_digest
from pilot_proto.grant import AdmittedUpdate, Publication, PublishRequest, RoundView, SealedRound
from pilot_proto.manifest import Manifest
from pilot_proto.registry import RetireReport
from pilot_proto.update import UPDATE_FILE
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from pilot_registry import publication as outputs
from pilot_registry.context import Registry
from pilot_registry.records import Published, Retired, Sealed
from pilot_registry.rejections import rejections_of
from pilot_registry.tables import GrantRow, Round, Version, VersionFile

DUPLICATE = "duplicate_content"


def view(registry: Registry, uid: str, number: int, known: int = 0) -> RoundView:
    """What is known of a round; of its updates only those after the first `known`."""
    with registry.database.reading() as session:
        round_ = _round(session, uid, number)
        return RoundView(
            admitted=admitted(session, uid, number, known),
            total=session.scalar(select(func.count()).where(*_raw(uid, number))) or 0,
            rejections=rejections_of(session, uid, number),
            sealed=SealedRound.model_validate_json(round_.sealed) if round_.sealed else None,
            publication=Publication.model_validate_json(round_.publication) if round_.publication else None,
        )


def seal(registry: Registry, uid: str, number: int, by: str) -> str:
    """Freeze a round's inputs; the canonical bytes of the `SealedRound`, the same for ever."""
    with registry.database.writing() as session:
        round_ = _round(session, uid, number, lock=True)
        if round_.sealed is not None:
            return round_.sealed
        document = SealedRound(run=round_.run, round=number, updates=admitted(session, uid, number))
        raw = canonical_bytes(document).decode()
        registry.journal.append(session, Sealed(uid=uid, round=number, sealed=raw), by)
    registry.journal.drain()
    return raw


def publish(registry: Registry, uid: str, number: int, request: PublishRequest, by: str) -> tuple[str, bool]:
    """Commit a round's outputs; the canonical bytes of the publication, and whether it is new.

    Raises:
        Conflict: `not_sealed`, `already_published`.
        Invalid: the request contradicts itself or names what is not here.
    """
    raw = canonical_bytes(request.publication).decode()
    with registry.database.writing() as session:
        round_ = _round(session, uid, number, lock=True)
        if round_.publication is not None:
            return _published_before(round_.publication, raw), False
        if round_.sealed is None:
            raise coded(Conflict, "not_sealed", f"round {number} is not sealed", hint="seal it first")
        outputs.check(session, registry.store, round_, request)
        fact = Published(
            uid=uid,
            round=number,
            publication=raw,
            manifests=tuple(canonical_bytes(manifest).decode() for manifest in request.manifests),
            blobs=outputs.facts(session, request),
        )
        registry.journal.append(session, fact, by)
    registry.journal.drain()
    return raw, True


def retire(registry: Registry, uid: str, number: int, by: str) -> RetireReport:
    """Turn a round's raw updates into tombstones; their bytes become garbage unless something else uses them."""
    with registry.database.writing() as session:
        round_ = _round(session, uid, number, lock=True)
        if round_.sealed is None and _has_open_grants(session, uid, number):
            raise coded(Conflict, "round_open", f"round {number} still takes updates", hint="seal or revoke it first")
        raw = _raw(uid, number)
        if session.scalar(select(func.count()).where(*raw, Version.deleted_at.is_(None))):
            registry.journal.append(session, Retired(uid=uid, round=number), by)
        tombstones = session.scalar(select(func.count()).where(*raw, Version.deleted_at.is_not(None))) or 0
    registry.journal.drain()
    return RetireReport(tombstones=tombstones)


def admitted(session: Session, uid: str, number: int, known: int = 0) -> tuple[AdmittedUpdate, ...]:
    """A round's updates after the first `known` that were admitted, sorted by client."""
    query = select(Version).where(*_raw(uid, number)).order_by(Version.id).offset(known)
    versions = sorted(session.scalars(query), key=lambda version: version.client or "")
    copied = _copied(session, uid, number, versions)
    return tuple(_admitted(version, version.id in copied) for version in versions)


def _raw(uid: str, number: int) -> tuple[ColumnElement[bool], ...]:
    return (Version.uid == uid, Version.round == number, Version.kind == "update")


def _admitted(version: Version, duplicate: bool) -> AdmittedUpdate:
    manifest = Manifest.model_validate_json(version.manifest)
    return AdmittedUpdate(
        client=manifest.client or "",
        task=manifest.task or "",
        repo=version.repo,
        commit=version.commit,
        files=manifest.files,
        num_examples=manifest.num_examples or 0,
        flags=(DUPLICATE,) if duplicate else (),
    )


def _copied(session: Session, uid: str, number: int, versions: Sequence[Version]) -> set[int]:
    """Those of a round's updates that share an adapter's bytes with another update of it or an earlier one.

    Both sides of a pair are named: who came first is chance, and a sealed round must not depend on it.
    """
    query = (
        select(VersionFile.digest, VersionFile.version_id)
        .join(Version, Version.id == VersionFile.version_id)
        .where(Version.uid == uid, Version.round <= number, Version.kind == "update")
        .where(VersionFile.path.like("%.safetensors"))
        .where(VersionFile.digest.in_(_digests(versions)))
    )
    holders: dict[str, set[int]] = defaultdict(set)
    for digest, version in session.execute(query):
        holders[digest].add(version)
    return {version for group in holders.values() if len(group) > 1 for version in group}


def _digests(versions: Sequence[Version]) -> set[str]:
    manifests = (Manifest.model_validate_json(version.manifest) for version in versions)
    return {file.digest for manifest in manifests for path, file in manifest.files.items() if path != UPDATE_FILE}


def _published_before(stored: str, raw: str) -> str:
    if stored != raw:
        digest = document_digest(Publication.model_validate_json(stored))
        raise coded(
            Conflict,
            "already_published",
            f"this round is published as {digest}; the request says otherwise",
            hint="the published round stands; find out why a second merge differs",
        )
    return stored


def _has_open_grants(session: Session, uid: str, number: int) -> bool:
    grants = select(func.count()).where(GrantRow.uid == uid, GrantRow.number == number, GrantRow.revoked_at.is_(None))
    return bool(session.scalar(grants))


def _round(session: Session, uid: str, number: int, *, lock: bool = False) -> Round:
    query = select(Round).where(Round.uid == uid, Round.number == number)
    round_ = session.scalar(query.with_for_update() if lock else query)
    if round_ is None:
        raise NotFound(f"round {number} of {uid!r} is not known", hint="its first grant makes it known")
    return round_
