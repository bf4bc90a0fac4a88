"""The aggregator's permission in the registry for one client in one round, and the two transactions that end it."""

from pydantic import Field

from pilot_proto.assignment import AdapterRef, FileRef
from pilot_proto.base import SchemaVersion, Stored
from pilot_proto.canonical import Commit, Digest
from pilot_proto.manifest import Manifest
from pilot_proto.names import Kind
from pilot_proto.training import Program


class Grant(Stored):
    schema_version: SchemaVersion = "pilot/v1"
    uid: str
    run: str
    round: int
    client: str
    task: str
    program: Program
    assignment: Digest
    model_digest: Digest | None = None
    """Every upload must have been trained on this base; none in round 0."""
    kinds: tuple[Kind, ...]
    """Which adapters an update must hold: all of them, and no other."""
    schemas: dict[Kind, AdapterRef] = Field(default_factory=dict)
    """Kind to the version whose header every file must match; empty in round 0, which sets it."""
    max_bytes: dict[str, int] = Field(default_factory=dict)
    """The largest file, by kind (`update` for update.json and other small files)."""
    readable: tuple[Commit, ...] = ()
    """Versions that this client may read because the method hands them to it."""


class RoundGrants(Stored):
    """The grants of every client of a round, given at once."""

    grants: tuple[Grant, ...]


class Handed(Stored):
    """What a published round hands to a client although no later round has: it is to be read for an export."""

    commits: tuple[Commit, ...]


class AdmittedUpdate(Stored):
    client: str
    task: str
    repo: str
    commit: Commit
    files: dict[str, FileRef]
    num_examples: int
    flags: tuple[str, ...] = ()
    """`duplicate_content`: byte-equal to another client's upload, or to an earlier one."""


class Rejection(Stored):
    """An upload that admission refused; it occupies nothing."""

    client: str
    code: str
    message: str
    sequence: int
    """Grows with every rejection, so that a reader can tell new from old."""


class SealedRound(Stored):
    """A round's inputs, frozen: the same answer for ever."""

    schema_version: SchemaVersion = "pilot/v1"
    run: str
    round: int
    updates: tuple[AdmittedUpdate, ...]
    """Sorted by client."""


class Publication(Stored):
    """A round's outputs: what the publish transaction stored."""

    schema_version: SchemaVersion = "pilot/v1"
    run: str
    round: int
    outputs: dict[str, Commit]
    """Repository to commit."""
    plan: Digest
    ledger: Digest


class PublishRequest(Stored):
    publication: Publication
    manifests: tuple[Manifest, ...]
    """Of the new versions among the outputs, their files uploaded before. An output that is carried over has none."""


class RoundView(Stored):
    """What the registry knows of a round; for the aggregator."""

    admitted: tuple[AdmittedUpdate, ...] = ()
    """Sorted by client; without those that the asker said it knows."""
    total: int = 0
    """How many are admitted, those that were left out included."""
    rejections: tuple[Rejection, ...] = ()
    sealed: SealedRound | None = None
    publication: Publication | None = None
