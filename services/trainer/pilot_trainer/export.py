"""`python -m pilot_trainer.export`: a client's personal model, written where its private state is.

The trainer's environment, with the round whose model is wanted, and PILOT_OUT (a folder; a relative one is below
PILOT_STATE_DIR), PILOT_POINT (merged or local), PILOT_MERGE_LORA (1 or 0) and, where no later round has handed it out,
what the round published for the client in PILOT_PUBLISHED (JSON: repository to commit). It reads from both services,
and sends nothing to either. A folder that already holds this very model is left as it is: the Job may run twice.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilot_client.transport import Token
from pilot_data.dataset import read_description
from pilot_model.document import PERSONAL_FILE, BaseReference, Personal
from pilot_model.errors import FolderError
from pilot_model.exporting import export as write_model
from pilot_model.fingerprint import cached_digest
from pilot_model.folder import check_free, read_folder
from pilot_model.personal import Parts
from pilot_proto.assignment import AdapterRef, Assignment, AssignmentView
from pilot_proto.canonical import Commit
from pilot_proto.names import Kind
from pilot_proto.personal_model import Point
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from pilot_trainer.environment import Environment, termination_message
from pilot_trainer.errors import BadAssignment, BadConfiguration, Exit, TrainerError
from pilot_trainer.logs import log_to_stdout
from pilot_trainer.lookup import Lookup
from pilot_trainer.points import handed_out, local_parts, merged_parts, program_of, router_tasks, tasks_of
from pilot_trainer.program import as_trainer_error
from pilot_trainer.results import Result, find_result

log = logging.getLogger(__name__)

DATASET_FILE = "dataset.yaml"


@dataclass(frozen=True)
class Order:
    """What is to be written, and where."""

    out: Path
    point: Point = "merged"
    fold: bool = False
    """Put the LoRA into the base's weights."""
    published: Mapping[str, Commit] | None = None
    """What the round published, where no later round has handed it to the client yet."""
    repeatable: bool = False
    """A folder that holds this very model is no fault."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Order":
        """Raises BadConfiguration naming the variable that is wrong."""
        point, fold = environ.get("PILOT_POINT", "merged"), environ.get("PILOT_MERGE_LORA", "0")
        if not environ.get("PILOT_OUT"):
            raise BadConfiguration("PILOT_OUT is not set; it is the folder to write, which must not exist yet")
        if point not in ("merged", "local"):
            raise BadConfiguration(f"PILOT_POINT is {point!r}; it must be merged or local")
        if fold not in ("0", "1"):
            raise BadConfiguration(f"PILOT_MERGE_LORA is {fold!r}; it must be 0 or 1")
        return cls(
            Path(environ["PILOT_STATE_DIR"], environ["PILOT_OUT"]),
            "merged" if point == "merged" else "local",
            fold == "1",
            _published(environ.get("PILOT_PUBLISHED", "")),
            repeatable=True,
        )


def export(environment: Environment, order: Order, person: Token | None = None) -> Personal:
    """Write the model of `environment.client` in `environment.round` to `order.out`; -> what was written.

    person: a credential that may read what was published, for what the client was not handed yet.

    Raises TrainerError, or an error of pilot_model; the folder is then not there.
    """
    if not order.repeatable:
        check_free(order.out)
    lookup = Lookup(environment, person)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return Export(environment, order, lookup, Path(folder)).write()
    finally:
        lookup.close()


class Export:
    """One client's model at one point."""

    def __init__(self, environment: Environment, order: Order, lookup: Lookup, folder: Path) -> None:
        self._env, self._order, self._lookup, self._folder = environment, order, lookup, folder
        self._asked = self._asked_in_round()
        self._after = lookup.assignment(environment.round + 1)

    def write(self) -> Personal:
        """Choose the parts and write them."""
        asked = self._asked.assignment
        digest = cached_digest(self._env.model_dir, self._env.state_dir / "models")
        if asked.model.digest not in (None, digest):
            raise BadConfiguration(
                f"the base model folder {self._env.model_dir} has the digest {digest}, but the run was prepared with "
                f"{asked.model.digest} ({asked.model.name}); give the same files"
            )
        if self._order.repeatable and (known := self._written_before()):
            return known
        result = self._result()
        parts = self._local(result) if self._order.point == "local" else self._merged(result)
        log.info("exporting", extra={"point": self._order.point, "program": parts.program})
        personal = Personal(
            run=asked.run,
            uid=self._asked.uid,
            round=asked.round,
            client=asked.client,
            task=asked.task,
            point=self._order.point,
            base=BaseReference(name=asked.model.name, digest=digest, path=str(self._env.model_dir.resolve())),
            program=parts.program,
            router_tasks=router_tasks(parts),
            router=parts.router,
            client_adapter=any(name.startswith("client.") for name in parts.connector),
            lora=parts.lora,
            text="folded" if self._order.fold else "adapter",
            precision=asked.training.precision,
            base_quantization=asked.training.base_quantization,
            max_new_tokens=_max_new_tokens(self._env.data_dir),
            files={},
        )
        return write_model(personal, parts, self._env.model_dir, self._order.out)

    def _written_before(self) -> Personal | None:
        """What an earlier process of this export, or an earlier export of the same model, has left."""
        if not (self._order.out / PERSONAL_FILE).is_file():
            return None
        asked = self._asked.assignment
        there, _ = read_folder(self._order.out)
        wanted = (self._asked.uid, asked.round, asked.client, self._order.point, self._order.fold)
        if (there.uid, there.round, there.client, there.point, there.text == "folded") != wanted:
            return None
        log.info("already exported", extra={"point": there.point, "program": there.program})
        return there

    def _asked_in_round(self) -> AssignmentView:
        view = self._lookup.assignment(self._env.round)
        place = f"round {self._env.round} of run {self._env.run!r}"
        if view is None:
            raise BadAssignment(f"{self._env.client!r} was not asked in {place}; name a round in which it took part")
        if view.assignment.program in ("prepare", "evaluate"):
            raise BadAssignment(f"{place} trains nothing (program {view.assignment.program!r}); name one that does")
        return view

    def _result(self) -> Result:
        """The result whose private parts belong to this round: of the last update accepted up to it."""
        asked, number = self._asked.assignment, self._env.round
        update = None
        if self._after is None:
            update = self._lookup.accepted(number)
        ref = self._after.assignment.private_state if self._after else asked.private_state
        update = update or (ref.update if ref else None)
        if update is None:
            raise BadAssignment(
                f"no update of {asked.client!r} was accepted up to round {number}, so there is nothing personal to "
                "export; 'pilot pull' fetches what was published"
            )
        try:
            return find_result(self._env.state_dir, update)
        except BadAssignment as error:
            raise BadAssignment(
                f"the private state of {asked.client!r} for round {number} is not in {self._env.state_dir}. It stays "
                "where the client trained: export there, or as a Job of that client. With 'retention: "
                "{private_states: last}' only that of the last round is kept"
            ) from error

    def _local(self, result: Result) -> Parts:
        update = result.update
        if (result.folder.parent.parent.name, update.round) != (self._asked.uid, self._env.round):
            raise BadAssignment(
                f"{update.client!r} has no accepted update of round {self._env.round}; its last is of round "
                f"{update.round} of run {update.run!r}: export that one, or --point merged"
            )
        return local_parts(result)

    def _merged(self, result: Result) -> Parts:
        assignment = (self._after or self._asked).assignment
        tasks = tasks_of(assignment.inputs, program_of(result), assignment.tasks)
        return merged_parts(
            result,
            self._handed("text", assignment.inputs.text, assignment),
            self._handed("connector", assignment.inputs.connector, assignment),
            {
                name: self._handed("connector", assignment.inputs.task_connectors.get(name), assignment, name)
                for name in tasks
            },
        )

    def _handed(
        self, kind: Kind, given: AdapterRef | None, assignment: Assignment, task: str | None = None
    ) -> Mapping[str, Tensor]:
        """An adapter that the round published: as the next round hands it out, or as it will."""
        reader = 0
        if self._after is None:
            made = self._order.published
            if made is None:
                raise BadAssignment(
                    f"round {self._env.round} of run {self._env.run!r} is the last that was begun, and nobody has been "
                    "handed what it published; export with --point local, or after the next round has begun"
                )
            client = None if task else assignment.client
            repo = handed_out(assignment.run, kind, client, task or assignment.task, made)
            if repo is not None:
                given, reader = self._lookup.published(repo, made[repo])
        if given is None:
            raise BadAssignment(f"the assignment names no {kind} adapter{f' of task {task}' if task else ''}")
        return self._lookup.tensors(given, kind, self._folder, reader)


def _published(text: str) -> Mapping[str, Commit] | None:
    if not text:
        return None
    try:
        return TypeAdapter(dict[str, Commit]).validate_json(text)
    except ValidationError as error:
        raise BadConfiguration(f"PILOT_PUBLISHED is {text[:200]!r}; it must map repositories to commits") from error


def _max_new_tokens(data_dir: Path | None) -> int | None:
    if data_dir is None or not (data_dir / DATASET_FILE).is_file():
        return None
    return read_description(data_dir).max_new_tokens


def run(environ: Mapping[str, str]) -> int:
    """One export. Returns the exit code; never raises."""
    log_to_stdout()
    try:
        personal = export(Environment.read(environ), Order.read(environ))
    except Exception as problem:
        reason = BadConfiguration(str(problem)) if isinstance(problem, FolderError) else as_trainer_error(problem)
        return _failed(reason, termination_message(environ))
    log.info("exported", extra={"files": len(personal.files), "bytes": sum(f.size for f in personal.files.values())})
    return Exit.DONE


def _failed(error: TrainerError, message: Path | None) -> int:
    log.error("failed", extra={"code": error.code, "reason": str(error), "exit_code": int(error.exit_code)})
    if message is not None:
        message.write_text(f"{error.code}: {error}")
    return error.exit_code


if __name__ == "__main__":
    sys.exit(run(os.environ))
