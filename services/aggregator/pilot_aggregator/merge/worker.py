"""One merge in a process of its own, so that health, lease and API stay live while it computes.

    python -m pilot_aggregator.merge.worker REQUEST.json...

Verifies the inputs' digests, does the work, and writes the result document last, by rename: a directory that has it is
complete. Running the same request again returns the stored result; a run that was killed leaves nothing that counts.
Exit codes: 0 done; 65 the inputs cannot be merged; 75 this machine failed (disk full, ...), try again. The reason is
the last line on stderr.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pilot_disk.files import write_atomically
from pilot_proto.base import Stored
from pilot_proto.canonical import canonical_bytes, file_digest
from pydantic import ValidationError

from pilot_aggregator.merge.engine import mix
from pilot_aggregator.merge.errors import MergeRefused
from pilot_aggregator.merge.measure import as_rows, change_norms, distances_of, mean_to_peers
from pilot_aggregator.merge.mixture import Mixture
from pilot_aggregator.merge.request import (
    DISTANCES_FILE,
    RESULT_FILE,
    AnyRequest,
    DistanceRequest,
    DistanceResult,
    InputFile,
    MergeRequest,
    MergeResult,
    OutputFile,
    request_digest,
)
from pilot_aggregator.merge.threads import in_order, threads_for
from pilot_aggregator.merge.writer import Written

REFUSED = 65
TEMPORARY = 75
USAGE = 64

R = TypeVar("R", MergeResult, DistanceResult)


def run(request: MergeRequest) -> MergeResult:
    """Do a merge, or return what an earlier process did for the same request.

    Raises:
        MergeRefused: an input is not what its digest says, does not match the others, or is not finite.
        OSError: the outputs cannot be written.
    """
    directory = Path(request.directory)
    done = read_result(directory, MergeResult, RESULT_FILE)
    if done and done.request == request_digest(request) and _intact(directory, done):
        return done
    inputs = verified(request.inputs)
    outputs = {name: _inside(directory, row.file) for name, row in request.outputs.items()}
    for path in outputs.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    written = mix(inputs, outputs, _mixture(request), reference=request.reference)
    result = MergeResult(request=request_digest(request), outputs=_described(request, written))
    write_atomically(directory / RESULT_FILE, canonical_bytes(result))
    return result


def run_distances(request: DistanceRequest) -> DistanceResult:
    """Measure distances, or return what an earlier process measured for the same request.

    Raises:
        MergeRefused: an input is not what its digest says, does not match the others, or is not finite.
        OSError: the result cannot be written.
    """
    directory = Path(request.directory)
    done = read_result(directory, DistanceResult, DISTANCES_FILE)
    if done and done.request == request_digest(request):
        return done
    inputs = verified(request.inputs)
    base = verified({"base": request.base})["base"] if request.base else None
    names, distance_KK = distances_of(inputs, request.metric, base=base, scaling=request.scaling)
    result = DistanceResult(
        request=request_digest(request),
        metric=request.metric,
        names=names,
        matrix=as_rows(distance_KK) if request.pairs else (),
        to_peers=mean_to_peers(names, distance_KK, request.tasks) if request.tasks else None,
        change_norms=change_norms(inputs, verified(request.given)) if request.given else None,
    )
    directory.mkdir(parents=True, exist_ok=True)
    # Read here and nowhere else, and maybe a million numbers: canonical bytes take ten times as long.
    write_atomically(directory / DISTANCES_FILE, result.model_dump_json(exclude_none=True).encode())
    return result


def read_result(directory: Path, kind: type[R], file: str) -> R | None:
    """A stored result, if there is one that can be read."""
    try:
        return kind.model_validate_json((directory / file).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def verified(inputs: Mapping[str, InputFile]) -> dict[str, Path]:
    """The inputs' paths, once every file has been hashed.

    Raises:
        MergeRefused: naming the input that is missing or is not what its digest says.
    """
    # Many clients may have been given one and the same file.
    files = {given.path: (name, given) for name, given in inputs.items()}
    threads = threads_for(map(Path, files))
    digests = dict(zip(files, in_order(_digest_of_input, list(files.values()), threads), strict=True))
    for name in sorted(inputs):
        if (found := digests[inputs[name].path]) != inputs[name].digest:
            raise MergeRefused(f"input {name!r} is {found}, but {inputs[name].digest} was promised; fetch it again")
    return {name: Path(given.path) for name, given in inputs.items()}


def main(arguments: list[str]) -> int:
    """The program; returns its exit code."""
    if not arguments:
        return _fail(USAGE, "usage: python -m pilot_aggregator.merge.worker REQUEST.json...")
    try:
        for request in [AnyRequest.validate_json(Path(file).read_bytes()) for file in arguments]:
            answer(request)
    except ValidationError as error:
        return _fail(USAGE, f"{' '.join(arguments)}: no merge request: {error}")
    except MergeRefused as error:
        return _fail(REFUSED, str(error))
    except OSError as error:
        return _fail(TEMPORARY, str(error))
    return 0


def answer(request: MergeRequest | DistanceRequest) -> Stored:
    """Whatever is asked; raises as `run` and `run_distances` do."""
    return run(request) if isinstance(request, MergeRequest) else run_distances(request)


def _digest_of_input(named: tuple[str, InputFile]) -> str:
    name, given = named
    try:
        return file_digest(Path(given.path))
    except FileNotFoundError as error:
        raise MergeRefused(f"input {name!r} is missing: {given.path}; fetch it again") from error


def _intact(directory: Path, done: MergeResult) -> bool:
    paths = [(directory / output.file, output) for output in done.outputs.values()]
    return all(path.is_file() and file_digest(path) == output.digest for path, output in paths)


def _mixture(request: MergeRequest) -> Mixture:
    names, inputs = tuple(sorted(request.outputs)), tuple(sorted(request.inputs))
    rows = tuple(request.outputs[name].coefficients for name in names)
    if any(len(row) != len(inputs) for row in rows):
        raise MergeRefused(f"every output needs {len(inputs)} coefficients, one per input")
    return Mixture(inputs, names, rows, row_sums_to_one=False)


def _inside(directory: Path, file: str) -> Path:
    path = directory / file
    if not path.resolve().is_relative_to(directory.resolve()) or file in (RESULT_FILE, ""):
        raise MergeRefused(f"output file {file!r} is outside the output directory")
    return path


def _described(request: MergeRequest, written: Mapping[str, Written]) -> dict[str, OutputFile]:
    return {
        name: OutputFile(file=request.outputs[name].file, digest=one.digest, size=one.size)
        for name, one in written.items()
    }


def _fail(code: int, message: str) -> int:
    sys.stderr.write(message + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
