"""A version of a repository in the registry. Its canonical bytes are stored; their hash is the commit id."""

from typing import Literal

from pilot_proto.assignment import FileRef
from pilot_proto.base import SchemaVersion, Stored
from pilot_proto.canonical import Commit, Digest
from pilot_proto.names import Kind
from pilot_proto.training import Program


class Parent(Stored):
    """An input of a merge, or what an update started from."""

    repo: str
    commit: Commit
    coefficient: float | None = None


class Manifest(Stored):
    schema_version: SchemaVersion = "pilot/v1"
    repo: str
    kind: Kind | Literal["update"]
    run: str
    round: int
    client: str | None = None
    """Whose update it is, or for whom it was merged."""
    task: str | None = None
    program: Program
    model: str
    """The base model's name."""
    model_digest: Digest
    model_license: str | None = None
    """The base model's, as the federation states it; none where it does not."""
    files: dict[str, FileRef]
    num_examples: int | None = None
    """n_k of an update; the sum over the contributors of a merge."""
    contributors: tuple[str, ...] = ()
    """The clients whose updates went in, sorted. A single one makes the version as private as its update."""
    parents: tuple[Parent, ...] = ()
    plan: Digest | None = None
    """Of the merge plan that made it."""


class Committed(Stored):
    """The answer to a commit."""

    repo: str
    commit: Commit
