"""The journal's documents: everything that changes the index, as facts in the order of their transactions.

Documents that are committed (manifests, seals, publications) stand here as the text of their canonical bytes, because
an older reader that parsed and rewrote them would lose the fields of a newer minor version.
"""

from typing import Annotated, Literal

from pilot_proto.base import SchemaVersion, Stored
from pilot_proto.canonical import Commit, Digest
from pydantic import Field


class BlobFacts(Stored):
    """What admission measured of one file."""

    digest: Digest
    size: int
    norm: float | None = None


class Granted(Stored):
    """A client may take part in a round. The first grant of a run binds its name to its uid."""

    type: Literal["granted"] = "granted"
    grant: str


class RoundGranted(Stored):
    """All clients of a round may take part in it."""

    type: Literal["round-granted"] = "round-granted"
    uid: str
    round: int
    grants: tuple[str, ...]


class Revoked(Stored):
    """The open grants of a run have ended without a seal."""

    type: Literal["revoked"] = "revoked"
    uid: str


class HandedOut(Stored):
    """A client may read more of what its published round made than any grant has named."""

    type: Literal["handed-out"] = "handed-out"
    uid: str
    round: int
    client: str
    commits: tuple[Commit, ...]


class Accepted(Stored):
    """A client's update is in."""

    type: Literal["accepted"] = "accepted"
    uid: str
    manifest: str
    blobs: tuple[BlobFacts, ...]


class Sealed(Stored):
    """A round's inputs are frozen."""

    type: Literal["sealed"] = "sealed"
    uid: str
    round: int
    sealed: str


class Published(Stored):
    """A round's outputs are committed."""

    type: Literal["published"] = "published"
    uid: str
    round: int
    publication: str
    manifests: tuple[str, ...]
    blobs: tuple[BlobFacts, ...]


class Retired(Stored):
    """A round's raw updates are tombstones."""

    type: Literal["retired"] = "retired"
    uid: str
    round: int


class AliasMoved(Stored):
    """A person pointed an alias somewhere."""

    type: Literal["alias-moved"] = "alias-moved"
    repo: str
    alias: str
    commit: Commit


class Released(Stored):
    """A version was kept under `released/`."""

    type: Literal["released"] = "released"
    manifest: str


class Deleted(Stored):
    """An admin made a version a tombstone."""

    type: Literal["deleted"] = "deleted"
    repo: str
    commit: Commit


Fact = (
    Granted
    | RoundGranted
    | Revoked
    | HandedOut
    | Accepted
    | Sealed
    | Published
    | Retired
    | AliasMoved
    | Released
    | Deleted
)


class Entry(Stored):
    """One line of the journal, as it stands in the store."""

    schema_version: SchemaVersion = "pilot/v1"
    sequence: int
    at: str
    by: str
    fact: Annotated[Fact, Field(discriminator="type")]
