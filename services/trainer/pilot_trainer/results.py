"""Results on the state volume: written whole or not at all, found by what they are.

    {run uid}/work/{incarnation}/                       one process's checkpoints and downloads
    {run uid}/results/{hex digest of update.json}/      update.json, assignment.json, state.safetensors, adapters

A result is renamed into place after everything in it has reached the disk; its name is the digest of its update.json,
which names the digests of the rest. An accepted result is the client's private state for the rounds to come.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilot_proto.assignment import Assignment
from pilot_proto.canonical import canonical_bytes, digest_of, file_digest
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE, Kind, update_path
from pilot_proto.update import STATE_FILE, UPDATE_FILE, Update, UploadedAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor

from pilot_trainer.errors import BadAssignment

ASSIGNMENT_FILE = "assignment.json"
# peft and transformers expect this in every file that torch wrote.
_METADATA = {"format": "pt"}


@dataclass(frozen=True)
class Result:
    """A complete result folder."""

    folder: Path
    update: Update

    def uploads(self) -> dict[str, Path]:
        """What leaves the client: every adapter file and update.json, by their path in the update.

        How to use the tensors is the run's to say, once: round 0 uploads the configurations, nobody else does.
        """
        files = {}
        for kind in sorted(self.update.adapters):
            configured = self.update.program == "prepare"
            for name in (ADAPTER_FILE[kind], CONFIG_FILE[kind]) if configured else (ADAPTER_FILE[kind],):
                files[update_path(kind, name)] = self.folder / update_path(kind, name)
        return {**files, UPDATE_FILE: self.folder / UPDATE_FILE}

    def assignment(self) -> Assignment:
        """What it answers."""
        return Assignment.read((self.folder / ASSIGNMENT_FILE).read_bytes())

    def private(self) -> dict[str, Tensor]:
        """The private state. Raises BadAssignment when it is damaged or was never there."""
        file = self.folder / STATE_FILE
        if self.update.private_state is None:
            raise BadAssignment(f"{self.folder} holds no private state: program {self.update.program!r} leaves none")
        if not file.exists() or file_digest(file) != self.update.private_state:
            raise BadAssignment(f"{file} is damaged: it no longer has the digest {self.update.private_state}")
        return dict(load_file(file))


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> str:
    """A safetensors file and its digest; the same tensors always give the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: t.contiguous() for name, t in tensors.items()}, file, metadata=_METADATA)
    return file_digest(file)


def write_adapter(
    folder: Path, kind: Kind, tensors: Mapping[str, Tensor], config: Mapping[str, Any]
) -> UploadedAdapter:
    """One adapter of a draft: its tensors, and the description beside them."""
    digest = write_tensors(folder / update_path(kind, ADAPTER_FILE[kind]), tensors)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / update_path(kind, CONFIG_FILE[kind])).write_text(text)
    return UploadedAdapter(digest=digest, num_parameters=sum(t.numel() for t in tensors.values()))


def seal_result(draft: Path, update: Update, assignment: Assignment, results: Path) -> Result:
    """Finish the draft with its documents, make it durable, and rename it to its digest."""
    (draft / ASSIGNMENT_FILE).write_bytes(canonical_bytes(assignment))
    raw = canonical_bytes(update)
    (draft / UPDATE_FILE).write_bytes(raw)
    for path in sorted(draft.rglob("*"), reverse=True):
        _sync(path)
    _sync(draft)
    target = results / digest_of(raw).removeprefix("sha256:")
    results.mkdir(parents=True, exist_ok=True)
    try:
        draft.rename(target)
    except OSError:
        # Another incarnation came to the same bytes first; anything else is a real failure.
        if not (target / UPDATE_FILE).exists():
            raise
        shutil.rmtree(draft)
    _sync(results)
    return Result(target, update)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def find_answer(results: Path, assignment_digest: str) -> Result | None:
    """A complete result for this assignment."""
    found = (result for result in _all(results.glob("*")) if result.update.assignment == assignment_digest)
    return next(found, None)


def find_result(state_dir: Path, update_digest: str) -> Result:
    """The result with this digest, of any run. Raises BadAssignment when the volume does not hold it."""
    for result in _all(state_dir.glob(f"*/results/{update_digest.removeprefix('sha256:')}")):
        if file_digest(result.folder / UPDATE_FILE) == update_digest:
            return result
    raise BadAssignment(
        f"the state volume {state_dir} does not hold the client's last accepted update {update_digest}; "
        "mount the volume of the earlier rounds, or leave the client out of this run"
    )


def _all(folders: Iterator[Path]) -> Iterator[Result]:
    for folder in sorted(folders):
        file = folder / UPDATE_FILE
        if file.is_file():
            yield Result(folder, Update.model_validate_json(file.read_bytes()))


def tidy_results(results: Path, assignment: Assignment) -> None:
    """Delete what nothing can ask for any more: results of earlier rounds of the run that were not accepted, as far as
    the assignment tells, and with `keep_states: last` all but the newest accepted one."""
    accepted = assignment.private_state
    name = accepted.update.removeprefix("sha256:") if accepted else ""
    # The state may be of the run that this one started from; then its round says nothing about those here.
    number = accepted.round if accepted and (results / name).is_dir() else None
    for result in list(_all(results.glob("*"))):
        lost = result.update.round == number
        superseded = assignment.keep_states == "last" and result.update.round < assignment.round
        if result.folder.name != name and (lost or superseded):
            shutil.rmtree(result.folder, ignore_errors=True)


def tidy_work(work: Path, assignment_digest: str) -> None:
    """Delete what other assignments left behind; a live twin of this one keeps its folder."""
    for folder in work.glob("*"):
        mark = folder / ASSIGNMENT_FILE
        if not mark.is_file() or mark.read_text() != assignment_digest:
            shutil.rmtree(folder, ignore_errors=True)


def claim_work(work: Path, incarnation: str, assignment_digest: str) -> Path:
    """This incarnation's folder, marked with what it works on."""
    folder = work / incarnation
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ASSIGNMENT_FILE).write_text(assignment_digest)
    return folder
