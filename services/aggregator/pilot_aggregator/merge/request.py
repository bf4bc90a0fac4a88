"""What a merge process is asked to do, and what it answers: plain documents in files."""

from typing import Annotated, Literal

from pilot_proto.base import Request, Seq, Stored
from pilot_proto.canonical import Digest, document_digest
from pydantic import Field, TypeAdapter

RESULT_FILE = "done.json"
DISTANCES_FILE = "distances.json"


class InputFile(Request):
    """A file on this machine, and what it must hold."""

    path: str
    digest: Digest


class OutputRow(Request):
    """One output: where it goes, relative to the directory, and its coefficients, one per input sorted by name."""

    file: str
    coefficients: Seq[float]


class MergeRequest(Request):
    """Write `outputs` into `directory`, and `done.json` last."""

    action: Literal["merge"] = "merge"
    inputs: dict[str, InputFile] = Field(min_length=1)
    outputs: dict[str, OutputRow] = Field(min_length=1)
    directory: str
    """Belongs to this request; made if it is missing."""
    reference: str | None = None
    """The input whose tensor order and metadata the outputs take; by default the first by name."""


class DistanceRequest(Request):
    """Write `distances.json` into `directory`."""

    action: Literal["measure"] = "measure"
    inputs: dict[str, InputFile] = Field(min_length=1)
    metric: Literal["euclidean", "euclidean-delta", "product"] = "euclidean"
    base: InputFile | None = None
    """What every input started from, for `euclidean-delta`."""
    given: dict[str, InputFile] | None = None
    """For each input what its client was given: adds the norm of each change."""
    tasks: dict[str, str] | None = None
    """For each input its task: adds its mean distance to the others of it."""
    pairs: bool = True
    """Whether to tell the distance of each pair, which is a million numbers for a thousand inputs."""
    scaling: float = 1.0
    directory: str


AnyRequest = TypeAdapter[MergeRequest | DistanceRequest](
    Annotated[MergeRequest | DistanceRequest, Field(discriminator="action")]
)


class OutputFile(Stored):
    file: str
    digest: Digest
    size: int


class MergeResult(Stored):
    """`done.json`: all outputs are in place and durable."""

    request: Digest
    """Of the request that this answers."""
    outputs: dict[str, OutputFile]


class DistanceResult(Stored):
    """`distances.json`."""

    request: Digest
    metric: str
    names: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """Empty where no pairs were asked for."""
    to_peers: dict[str, float] | None = None
    change_norms: dict[str, float] | None = None


def request_digest(request: MergeRequest | DistanceRequest) -> Digest:
    """What a stored result is recognised by."""
    return document_digest(request)
