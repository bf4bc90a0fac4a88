"""A client's commit: the first admitted one before the seal wins."""

from pilot_http.auth import Principal
from pilot_http.problems import Conflict, PilotError, coded
from pilot_proto.canonical import canonical_bytes, commit_of
from pilot_proto.manifest import Committed, Manifest
from pilot_proto.names import ADAPTER_FILE, update_repo
from pilot_proto.update import UPDATE_FILE, Update
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry import grants
from pilot_registry.admission.consistency import check_manifest, check_update
from pilot_registry.context import Registry
from pilot_registry.errors import Refused
from pilot_registry.records import Accepted, BlobFacts
from pilot_registry.rejections import record_rejection
from pilot_registry.store.port import BlobMissing, blob_key
from pilot_registry.tables import Blob, Possession, Round, Version


def commit(
    registry: Registry, principal: Principal, uid: str, round_: int, repo: str, manifest: Manifest
) -> tuple[Committed, bool]:
    """Admit an update; the answer, and whether it is new.

    Raises:
        Refused: the manifest does not fit its grant; recorded.
        Conflict: `already_answered`, another update was admitted before.
        RoundClosed: the seal or a cancel came first.
    """
    try:
        result = _commit(registry, principal, uid, round_, repo, manifest)
    except PilotError as error:
        registry.metrics.commits.labels(error.code).inc()
        if isinstance(error, Refused) and principal.client:
            record_rejection(registry, uid, round_, principal.client, error)
        raise
    registry.metrics.commits.labels("").inc()
    return result


def _commit(
    registry: Registry, principal: Principal, uid: str, round_: int, repo: str, manifest: Manifest
) -> tuple[Committed, bool]:
    client = _check_identity(principal, repo, manifest)
    raw = canonical_bytes(manifest)
    answer = Committed(repo=repo, commit=commit_of(raw))
    with registry.database.reading() as session:
        if _answered(session, uid, round_, client, answer):
            return answer, False
        grant = grants.open_grant(session, uid, round_, client)
        check_manifest(manifest, grant)
        _check_possession(session, principal, uid, round_, manifest)
    check_update(_read_update(registry, manifest), manifest, grant)
    with registry.database.writing() as session:
        # The round's row is the lock that puts commits and the seal in one order.
        session.execute(select(Round.number).where(Round.uid == uid, Round.number == round_).with_for_update())
        if _answered(session, uid, round_, client, answer):
            return answer, False
        grants.open_grant(session, uid, round_, client)
        blobs = _facts(session, registry, manifest)
        registry.journal.append(session, Accepted(uid=uid, manifest=raw.decode(), blobs=blobs), str(principal))
    registry.journal.drain()
    return answer, True


def _check_identity(principal: Principal, repo: str, manifest: Manifest) -> str:
    client = principal.client
    if principal.role != "client" or client is None or manifest.client != client:
        raise Refused("identity_mismatch", f"{principal} may not commit for {manifest.client}", status=403)
    expected = update_repo(manifest.run, client)
    if repo != expected or manifest.repo != expected:
        raise Refused("identity_mismatch", f"{principal} may commit to {expected} only, not to {repo}", status=403)
    return client


def _answered(session: Session, uid: str, round_: int, client: str, answer: Committed) -> bool:
    found = session.scalar(
        select(Version.commit).where(
            Version.uid == uid, Version.round == round_, Version.kind == "update", Version.client == client
        )
    )
    if found is not None and found != answer.commit:
        raise coded(
            Conflict,
            "already_answered",
            f"{client} has answered round {round_} with {found}; the first answer counts",
            hint="drop this result",
        )
    return found is not None


def _check_possession(session: Session, principal: Principal, uid: str, round_: int, manifest: Manifest) -> None:
    for path, file in manifest.files.items():
        place = (str(principal), uid, round_, file.digest, kind_of(path))
        if session.get(Possession, place) is None:
            raise Refused(
                "not_uploaded",
                f"{principal} did not upload {file.digest} as {kind_of(path)} in round {round_}",
                hint="PUT every file under this grant before the commit",
                status=409,
            )
        blob = session.get_one(Blob, file.digest)
        if blob.size != file.size:
            raise Refused("schema_mismatch", f"{path} has {blob.size} bytes, the manifest says {file.size}")


def _read_update(registry: Registry, manifest: Manifest) -> Update:
    file = manifest.files[UPDATE_FILE]
    try:
        with registry.store.open(blob_key(file.digest)) as reader:
            return Update.read_strictly(reader.read_at(0, file.size))
    except ValidationError as error:
        fault = error.errors()[0]
        where = "/".join(str(part) for part in fault["loc"])
        raise Refused("schema_mismatch", f"update.json at {where}: {fault['msg']}") from error
    except BlobMissing as error:
        raise Refused("not_uploaded", f"{UPDATE_FILE} is not here any more; send it again", status=409) from error


def _facts(session: Session, registry: Registry, manifest: Manifest) -> tuple[BlobFacts, ...]:
    """What admission noted of the files; they must still be there, or the index would point to nothing."""
    facts = []
    for digest in sorted({file.digest for file in manifest.files.values()}):
        if not registry.store.exists(blob_key(digest)):
            raise Refused("not_uploaded", f"{digest} is not here any more; send it again", status=409)
        blob = session.get_one(Blob, digest)
        facts.append(BlobFacts(digest=digest, size=blob.size, norm=blob.norm))
    return tuple(facts)


def kind_of(path: str) -> str:
    """As what a file of an update was uploaded: its tensors under their kind, everything else as small JSON."""
    kind, _, file = path.partition("/")
    return kind if ADAPTER_FILE.get(kind) == file else "update"
