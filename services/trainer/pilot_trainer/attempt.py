"""One attempt at an assignment: fetch, work, make durable, upload (docs/rounds.md, steps 3 and 4).

Every step can be repeated. A result that reached the volume is uploaded and never made again.
"""

import logging
import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from accelerate import Accelerator
from pilot_model.fingerprint import cached_digest
from pilot_model.lora import adapter_config
from pilot_model.model import Base, load_base
from pilot_model.parts import Sources, under
from pilot_proto.assignment import AdapterRef, Assignment, AssignmentView
from pilot_proto.boundaries import Boundary, reached
from pilot_proto.names import ADAPTER_FILE, Kind
from pilot_proto.run import Progress
from pilot_proto.training import Training
from pilot_proto.update import STATE_FILE, PreparedModel, Update
from safetensors.torch import load_file
from torch import Tensor

from pilot_trainer.environment import Environment
from pilot_trainer.errors import BadAssignment, BadConfiguration, Refused
from pilot_trainer.exchange import Exchange, NotNeeded
from pilot_trainer.local_update import prepare, update
from pilot_trainer.materials import CONNECTOR, Materials, Outcome, Watch
from pilot_trainer.results import (
    Result,
    claim_work,
    find_answer,
    find_result,
    seal_result,
    tidy_results,
    tidy_work,
    write_adapter,
    write_tensors,
)
from pilot_trainer.stages import Stages

log = logging.getLogger(__name__)


class Attempt:
    """What stands where, for one incarnation."""

    def __init__(
        self,
        environment: Environment,
        exchange: Exchange,
        stages: Stages,
        stopping: Callable[[], bool],
    ) -> None:
        self._env, self._exchange, self._stages, self._stopping = environment, exchange, stages, stopping
        self._report = stages.report
        # Gradients meet only where several processes were started together.
        self._accelerator = Accelerator()

    def run(self) -> None:
        """Everything, or as much as is not done yet. Raises TrainerError or Unreachable."""
        try:
            view = self._exchange.assignment()
            result = self._result(view)
            if result is not None:
                self._hand_in(result, view.uid)
        except NotNeeded as reason:
            log.info("not needed", extra={"reason": str(reason)})

    def _result(self, view: AssignmentView) -> Result | None:
        """The answer, found or made; None in a process that only helped another on its GPU."""
        folder = self._env.state_dir / view.uid
        made = find_answer(folder / "results", view.digest)
        if made is not None:
            log.info("result found", extra={"folder": made.folder.name})
            return made if self._accelerator.is_main_process else None
        tidy_work(folder / "work", view.digest)
        tidy_results(folder / "results", view.assignment)
        work = claim_work(folder / "work", self._env.incarnation, view.digest)
        self._report(Progress(stage="loading"))
        base = self._base(view.assignment.training)
        _check_model(view.assignment, base)
        self._report(Progress(stage="fetching"))
        materials = self._materials(view, base, work)
        reached(Boundary.INPUTS_FETCHED)
        self._report(Progress(stage="preparing" if view.assignment.program == "prepare" else "loading"))
        log.info("working", extra={"program": view.assignment.program, "round": view.assignment.round})
        outcome = prepare(materials) if view.assignment.program == "prepare" else update(materials, self._watch(view))
        if not self._accelerator.is_main_process:
            return None
        self._report(Progress(stage="saving"))
        result = _durable(view, base, outcome, work / "draft", folder / "results")
        reached(Boundary.RESULT_RENAMED)
        shutil.rmtree(work, ignore_errors=True)
        return result

    def _base(self, training: Training) -> Base:
        return load_base(
            self._env.model_dir,
            training.precision,
            self._accelerator.device,
            attention=training.attn_implementation,
            quantization=training.base_quantization,
            digest=cached_digest(self._env.model_dir, self._env.state_dir / "models"),
        )

    def _hand_in(self, result: Result, uid: str) -> None:
        self._report(Progress(stage="uploading"))
        try:
            commit = self._exchange.upload(result, uid)
        except NotNeeded as reason:
            if reason.code == "already_answered":
                # Another incarnation's update was accepted: this one is nobody's private state.
                shutil.rmtree(result.folder, ignore_errors=True)
            raise
        except Refused:
            # Should a person ask for another try, it must train again and not find what was refused.
            shutil.rmtree(result.folder, ignore_errors=True)
            raise
        reached(Boundary.COMMITTED)
        self._exchange.report(commit, self._stages.spent())
        reached(Boundary.REPORTED)
        log.info("committed", extra={"commit": commit})

    def _materials(self, view: AssignmentView, base: Base, work: Path) -> Materials:
        assignment = view.assignment
        private = self._private(assignment)
        text = self._fetched(assignment.inputs.text, "text", work / "text")
        wanted = assignment.inputs.connector
        own = self._fetched(wanted, "connector", work / "connector")
        # The own connector is that of the own task: 84 MB at 7B that need not come twice.
        tasks = {
            task: own if ref == wanted else self._fetched(ref, "connector", work / "tasks" / task)
            for task, ref in sorted(assignment.inputs.task_connectors.items())
        }
        if assignment.program != "prepare" and not (text and own):
            raise BadAssignment("the assignment names no text or no connector adapter to start from")
        if tasks and (unnamed := sorted(set(assignment.tasks) - tasks.keys())):
            raise BadAssignment(f"the inputs hold no connector of task {', '.join(unnamed)}, which the run has")
        return Materials(
            assignment=assignment,
            assignment_digest=view.digest,
            base=base,
            accelerator=self._accelerator,
            text=text,
            sources=Sources(base.psi_0, own, tasks, under(CONNECTOR, private)),
            private=private,
            data_dir=self._env.data_dir,
            features_dir=self._env.state_dir / "features",
            work_dir=work,
        )

    def _private(self, assignment: Assignment) -> dict[str, Tensor]:
        if assignment.private_state is None:
            return {}
        result = find_result(self._env.state_dir, assignment.private_state.update)
        if result.update.task != assignment.task:
            raise BadAssignment(
                f"the private state is of task {result.update.task!r}, the assignment of {assignment.task!r}; "
                "give the client of another task another name"
            )
        return result.private()

    def _fetched(self, ref: AdapterRef | None, kind: Kind, folder: Path) -> dict[str, Tensor]:
        if ref is None:
            return {}
        self._exchange.fetch(ref, folder)
        return dict(load_file(folder / ADAPTER_FILE[kind]))

    def _watch(self, view: AssignmentView) -> Watch:
        # The first step is due at once: it keeps the measurement of `merged` that came before it.
        every, last = view.assignment.training.checkpoint_every_s, -math.inf

        def due() -> bool:
            nonlocal last
            if time.monotonic() - last < every:
                return False
            last = time.monotonic()
            return True

        return Watch(self._report, self._stopping, due)


def _check_model(assignment: Assignment, base: Base) -> None:
    wanted = assignment.model.digest
    if wanted is not None and wanted != base.digest:
        raise BadConfiguration(
            f"the base model folder has the digest {base.digest}, but the run was prepared with {wanted} "
            f"({assignment.model.name}); mount the same files"
        )


def _durable(view: AssignmentView, base: Base, outcome: Outcome, draft: Path, results: Path) -> Result:
    assignment = view.assignment
    # A predecessor under the same name may have died half way.
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    configs = {
        "text": adapter_config(assignment.training.lora, assignment.model.name),
        "connector": connector_config(base, assignment.model.name),
    }
    adapters = {
        kind: write_adapter(draft, kind, tensors, configs[kind]) for kind, tensors in sorted(outcome.adapters.items())
    }
    private = write_tensors(draft / STATE_FILE, outcome.private) if outcome.private is not None else None
    document = Update(
        run=assignment.run,
        round=assignment.round,
        client=assignment.client,
        task=assignment.task,
        program=assignment.program,
        assignment=view.digest,
        model=PreparedModel(digest=base.digest, name=assignment.model.name),
        adapters=adapters,
        private_state=private,
        **{"num_examples": 0, **outcome.facts},
    )
    return seal_result(draft, document, assignment, results)


def connector_config(base: Base, model_name: str) -> dict[str, object]:
    """`config.json` of a connector: what to put its tensors into."""
    return {
        "activation": base.llava.config.projector_hidden_act,
        "base_model_name_or_path": model_name,
        "pilot_kind": "connector",
        "visual_width": base.visual_width,
        "width": base.psi_0["linear_2.weight"].shape[0],
    }
