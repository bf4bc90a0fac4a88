"""What the registry answers: versions, aliases, comparisons, lineage and the reports of its housekeeping."""

from typing import Literal

from pydantic import Field

from pilot_proto.assignment import FileRef
from pilot_proto.base import Request, Stored
from pilot_proto.canonical import Commit, Digest
from pilot_proto.grant import Rejection
from pilot_proto.manifest import Parent
from pilot_proto.names import Kind, Name
from pilot_proto.training import Program

FileKind = Kind | Literal["update"]
"""What an uploaded file is: an adapter's tensors, or `update` for update.json and other small JSON."""


class FileReceipt(Stored):
    """The answer to an uploaded file."""

    digest: Digest
    size: int


class UploadView(Stored):
    """How far a file has come that is sent in parts."""

    id: str
    """The same for the same file of the same sender in the same round."""
    offset: int = Field(ge=0)
    """Bytes that are safe here; the next part begins with this one."""
    size: int = Field(ge=0)
    admitted: bool = False
    """Everything came and was checked before: nothing is left to do."""


class VersionFileView(FileRef):
    norm: float | None = None
    """The L2 norm of all its tensors, float64; none for a file without tensors."""


class VersionView(Stored):
    """A version of a repository as the API shows it."""

    repo: str
    commit: Commit
    kind: Kind | Literal["update"]
    run: str
    round: int
    client: str | None = None
    task: str | None = None
    program: Program
    model: str
    model_digest: Digest
    files: dict[str, VersionFileView]
    num_examples: int | None = None
    contributors: tuple[str, ...] = ()
    parents: tuple[Parent, ...] = ()
    plan: Digest | None = None
    aliases: tuple[str, ...] = ()
    """Aliases that point here now, sorted."""
    private: bool
    """Readable only by its owner and the aggregator; clients may receive it through a grant."""
    state: Literal["live", "deleted"]
    """`deleted`: by retention or by an admin; the bytes go with the next garbage collection, this record stays."""
    created_at: str
    """RFC 3339, UTC."""


class VersionPage(Stored):
    items: tuple[VersionView, ...]
    """Newest first."""
    next: str | None = None


class AliasView(Stored):
    """A name that points to a version; its ETag is the commit."""

    repo: str
    alias: str
    commit: Commit
    moved_at: str
    moved_by: str


class AliasPage(Stored):
    items: tuple[AliasView, ...]


class AliasMove(Request):
    """Point an alias to a version of the same repository."""

    commit: Commit


class Release(Request):
    """Keep a version beyond its run, as `released/{name}`."""

    name: Name


class VersionRef(Stored):
    repo: str
    commit: Commit


class Dependants(Stored):
    """What stands on a version, and what keeps it from being deleted now."""

    version: VersionRef
    aliases: tuple[str, ...]
    """Aliases that point to it, sorted. `main` and `round-N` would lead to a tombstone."""
    children: tuple[VersionRef, ...]
    """Versions that were made of it, newest first: as many as fit on a page."""
    children_count: int
    released: tuple[str, ...]
    """Released versions that are copies of it."""
    hindrances: tuple[str, ...]
    """Why it cannot be deleted now, in whole sentences; empty where it can."""


class TensorView(Stored):
    """One tensor of a version. Figures in float64, over its finite values."""

    file: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    """In bytes."""
    norm: float
    largest: float
    """The largest absolute value."""
    non_finite: int
    """How many values are NaN or infinite."""


class TensorPage(Stored):
    items: tuple[TensorView, ...]
    """In the order of the files and of their bytes."""
    total: int
    """Of the version, as far as their names match."""
    next: str | None = None


class TensorComparison(Stored):
    """One tensor of two versions. In float64."""

    file: str
    name: str
    shape: tuple[int, ...]
    norm_a: float
    norm_b: float
    l2: float
    """||b - a||"""
    cosine: float | None = None
    """<a, b> / (||a|| ||b||); none when one of them is zero."""
    relative: float | None = None
    """||b - a|| / ||a||; none when a is zero."""


class CompareReport(Stored):
    a: VersionRef
    b: VersionRef
    tensors: tuple[TensorComparison, ...]
    """Largest change first."""
    only_in_a: tuple[str, ...] = ()
    only_in_b: tuple[str, ...] = ()
    different_shape: tuple[str, ...] = ()
    l2: float
    """Over all shared tensors."""
    cosine: float | None = None
    relative: float | None = None


class LineageNode(Stored):
    repo: str
    commit: Commit
    kind: str | None = None
    round: int | None = None
    client: str | None = None
    task: str | None = None
    visible: bool
    """Whether the caller may open it; of others only the name stands here."""


class LineageEdge(Stored):
    child: VersionRef
    parent: VersionRef
    coefficient: float | None = None
    """The parent's weight in the child; none where the child is an update, which began with its parents."""
    distance: float | None = None
    """Between the parent and the update of the client for whom the child was merged, where the rule measured it."""


class LineageView(Stored):
    run: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]


class AuditEntry(Stored):
    sequence: int
    at: str
    by: str
    """The principal."""
    action: str
    object: str
    """What it was done to."""
    detail: str = ""


class AuditPage(Stored):
    items: tuple[AuditEntry, ...]
    """Newest first."""
    next: str | None = None


class RejectionView(Rejection):
    """A rejection with the place where it happened."""

    run: str
    round: int
    at: str


class RejectionPage(Stored):
    items: tuple[RejectionView, ...]
    """Newest first."""
    next: str | None = None


class RetireReport(Stored):
    """What retention did to a round's raw updates."""

    tombstones: int = Field(ge=0)
    """Versions whose bytes are now garbage, this call's and earlier ones'."""


class GcReport(Stored):
    """What the garbage collection removed, or would remove."""

    dry_run: bool
    blobs: int
    bytes: int
    kept: int
    """Blobs that something refers to, or that are younger than the grace."""
    uploads: int = 0
    """Unfinished uploads in parts that nobody went on with."""


class ReindexReport(Stored):
    records: int
    """Index records replayed."""
    versions: int


class CheckFault(Stored):
    """Something that is not as it should be."""

    code: Literal["missing", "wrong_size", "wrong_content", "outbox", "journal_incomplete", "index_behind"]
    object: str
    """A blob's digest, or `journal`."""
    detail: str


class CheckReport(Stored):
    """What a check of store, index and journal found."""

    ok: bool
    deep: bool
    """Whether every blob that is needed was hashed."""
    blobs: int
    """In the store."""
    bytes: int
    orphans: int
    """Blobs that no version, plan or ledger names: on their way in, or garbage."""
    records: int
    """Of the journal, in the store."""
    faults: tuple[CheckFault, ...] = ()
