"""Whether a publication may be committed: its outputs belong to its run, and their bytes are here."""

from pilot_http.problems import Invalid, PilotError, coded
from pilot_proto.canonical import canonical_bytes, commit_of
from pilot_proto.grant import PublishRequest
from pilot_proto.manifest import Manifest
from pilot_proto.names import ADAPTER_FILE
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from pilot_registry.records import BlobFacts
from pilot_registry.store.port import BlobStore, blob_key
from pilot_registry.tables import Blob, Possession, Round, Version, VersionFile

AGGREGATOR = "aggregator"


def check(session: Session, store: BlobStore, round_: Round, request: PublishRequest) -> None:
    """Raises Invalid, with a code, unless everything that a publication names is right and here."""
    publication = request.publication
    if (publication.run, publication.round) != (round_.run, round_.number):
        raise _bad("wrong_round", f"the publication is of {publication.run}/{publication.round}")
    made = {manifest.repo: manifest for manifest in request.manifests}
    if len(made) != len(request.manifests) or not made.keys() <= publication.outputs.keys():
        raise _bad("outputs_differ", "manifests and outputs must name the same repositories, each once")
    for repo, commit in publication.outputs.items():
        if repo in made:
            _check_new(session, store, round_, made[repo], commit, publication.plan)
        elif session.scalar(select(Version.id).where(Version.repo == repo, Version.commit == commit)) is None:
            raise _bad("unknown_commit", f"{repo} has no version {commit}, and no manifest for it came along")
    for digest in (publication.plan, publication.ledger):
        _check_bytes(session, store, round_.uid, digest)


def facts(session: Session, request: PublishRequest) -> tuple[BlobFacts, ...]:
    """What admission noted of the new versions' files."""
    digests = {file.digest for manifest in request.manifests for file in manifest.files.values()}
    rows = [session.get_one(Blob, digest) for digest in sorted(digests)]
    return tuple(BlobFacts(digest=row.digest, size=row.size, norm=row.norm) for row in rows)


def _check_new(session: Session, store: BlobStore, round_: Round, manifest: Manifest, commit: str, plan: str) -> None:
    found = commit_of(canonical_bytes(manifest))
    if found != commit:
        raise _bad("outputs_differ", f"the manifest of {manifest.repo} is the commit {found}, not {commit}")
    namespace, _, name = manifest.repo.partition("/")
    if (
        namespace != round_.run
        or not name
        or "/" in name
        or (manifest.run, manifest.round) != (namespace, round_.number)
    ):
        raise _bad("outputs_differ", f"{manifest.repo} is not an output of round {round_.number} of {round_.run}")
    if manifest.kind == "update" or name.endswith("-update"):
        raise _bad("outputs_differ", f"{manifest.repo} holds updates, which only clients commit")
    if manifest.plan not in (None, plan):
        raise _bad("outputs_differ", f"the manifest of {manifest.repo} names the plan {manifest.plan}, not {plan}")
    if ADAPTER_FILE[manifest.kind] not in manifest.files:
        raise _bad("outputs_differ", f"{manifest.repo} lacks {ADAPTER_FILE[manifest.kind]}")
    for path, file in manifest.files.items():
        _check_bytes(session, store, round_.uid, file.digest)
        size = session.get_one(Blob, file.digest).size
        if size != file.size:
            raise _bad("outputs_differ", f"{manifest.repo}/{path} has {size} bytes, the manifest says {file.size}")


def _check_bytes(session: Session, store: BlobStore, uid: str, digest: str) -> None:
    """The aggregator sent these bytes in this run, or a living version has them."""
    sent = exists().where(Possession.principal == AGGREGATOR, Possession.uid == uid, Possession.digest == digest)
    used = (
        exists()
        .where(VersionFile.digest == digest, Version.id == VersionFile.version_id)
        .where(Version.deleted_at.is_(None))
    )
    if not session.scalar(select(sent | used)) or not store.exists(blob_key(digest)):
        raise _bad("not_uploaded", f"{digest} was not uploaded", hint="PUT every file before publishing")


def _bad(code: str, detail: str, hint: str = "") -> PilotError:
    return coded(Invalid, code, detail, hint)
