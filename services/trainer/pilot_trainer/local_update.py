"""What a round's assignment makes of base model, inputs, private state and data. No network, no protocol.

A training program measures what was published (`merged`), trains, measures itself (`local`), and leaves adapters to
upload and a complete private state. `prepare` leaves what every client starts from; `evaluate` only measures.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilot_data.dataset import read_description
from pilot_model.assembly import as_published
from pilot_model.connector import Connector
from pilot_model.conversation import Chat
from pilot_model.encoder import Features
from pilot_model.generate import pad_token
from pilot_model.lora import TextAdapter
from pilot_model.parts import under
from pilot_proto.run import Progress
from pilot_proto.update import EvaluationResult, Execution
from torch import Tensor

from pilot_trainer import checkpoint
from pilot_trainer.errors import BadAssignment, BadData, DidNotMove, Diverged
from pilot_trainer.evaluation import Exam
from pilot_trainer.examples import TrainingData, training_data
from pilot_trainer.features import features_for
from pilot_trainer.initial import start_of_training, started
from pilot_trainer.materials import CONNECTOR, TEXT, Materials, Outcome, Watch
from pilot_trainer.movement import excused, unmoved
from pilot_trainer.optimiser_state import OPTIMISER, keep_moments, moments
from pilot_trainer.student import Student
from pilot_trainer.train import Learner, train

log = logging.getLogger(__name__)


def prepare(materials: Materials) -> Outcome:
    """Round 0: the shared LoRA initialisation, and psi_0 as it is."""
    adapter = TextAdapter(materials.base.llava, materials.assignment.training.lora)
    start = adapter.start(materials.assignment.seed)
    return Outcome(adapters={"text": start, "connector": dict(materials.base.psi_0)})


def update(materials: Materials, watch: Watch) -> Outcome:
    """A training program, or `evaluate`.

    Raises BadAssignment, BadData, DidNotMove, or Temporary when asked to stop.
    """
    return LocalUpdate(materials, watch).run()


class LocalUpdate:
    """One client's update in one round."""

    def __init__(self, materials: Materials, watch: Watch) -> None:
        if materials.data_dir is None:
            raise BadAssignment(f"program {materials.assignment.program!r} needs data, and PILOT_DATA_DIR is not set")
        self._m, self._watch, self._a, self._base = materials, watch, materials.assignment, materials.base
        self._program, self._settings = self._a.program, self._a.training
        self._data_dir = materials.data_dir
        self._spec = read_description(materials.data_dir)
        if self._spec.task != self._a.task:
            raise BadData(f"the data are for task {self._spec.task!r}, the assignment for {self._a.task!r}")
        self._chat = Chat(self._base.processor, self._base.image_token, self._base.num_image_tokens)
        self._exam = Exam(self._a, self._base, materials.data_dir, self._spec, self._chat)
        self._adapter = TextAdapter(self._base.llava, self._settings.lora)

    def run(self) -> Outcome:
        """Measure, train, measure."""
        if self._program == "evaluate":
            return Outcome(facts={"evaluations": self._merged(), "execution": self._execution(None)})
        data = training_data(self._data_dir, self._spec, self._chat, self._settings.max_length)
        state = checkpoint.newest(self._m.work_dir.parent, self._m.assignment_digest)
        merged = self._merged() if state is None else self._merged_before(state)
        connector = start_of_training(
            self._program, self._a.task, self._m.sources, self._settings.connector, self._base.act, self._a.seed
        )
        new = started(connector, self._m.sources, self._settings.connector)
        learner = self._learn(connector, data, state, merged)
        self._watch.report(Progress(stage="evaluating", step=learner.done, total_steps=len(learner.plan)))
        evaluations = merged + self._exam.take("local", self._features(self._exam.images), self._watch.check)
        return self._outcome(learner, data, evaluations, new)

    def _merged(self) -> list[EvaluationResult]:
        """The published adapters in the architecture of the last accepted update, with its private parts."""
        self._watch.report(Progress(stage="evaluating"))
        ref = self._a.private_state
        connector = as_published(
            ref.program if ref else None, self._a.task, self._m.sources, self._settings.connector, self._base.act
        )
        self._base.use(connector.requires_grad_(False).eval())
        self._adapter.load(self._m.text)
        return self._exam.take("merged", self._features(self._exam.images), self._watch.check)

    def _merged_before(self, state: Mapping[str, Any]) -> list[EvaluationResult]:
        return [EvaluationResult.model_validate(item) for item in json.loads(state["note"])]

    def _learn(
        self,
        connector: Connector,
        data: TrainingData,
        state: Mapping[str, Any] | None,
        merged: list[EvaluationResult],
    ) -> Learner:
        self._adapter.load(self._m.text)
        self._base.use(connector)
        if self._settings.gradient_checkpointing:
            # Without reentry: with it, a batch without images would leave the text adapter without gradients.
            self._base.llava.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        features = self._features([e.image for e in data.examples if e.image is not None])
        learner = Learner(
            self._m.accelerator,
            Student(self._base.llava, self._settings.losses),
            self._program,
            self._settings,
            data.examples,
            features,
            pad_token(self._base),
            self._a.seed,
        )
        if self._settings.optimiser_state == "kept":
            keep_moments(learner, under(OPTIMISER, self._m.private))
        before = {name: p.detach().cpu().clone() for name, p in learner.trained.items()}
        if state is not None:
            checkpoint.restore(learner, state)
            log.info("resumed", extra={"step": learner.done, "of": len(learner.plan)})
        self._watch.report(Progress(stage="training", step=learner.done, total_steps=len(learner.plan)))
        note = json.dumps([result.model_dump(mode="json") for result in merged])
        train(learner, lambda learner, rate: self._after_step(learner, rate, note))
        self._assert_moved(before, learner)
        log.info("trained", extra={"steps": learner.done})
        return learner

    def _after_step(self, learner: Learner, rate: float, note: str) -> None:
        steps, last = len(learner.plan), learner.history.last
        left = sum(map(len, learner.plan[learner.done :]))
        self._watch.report(
            Progress(
                step=learner.done,
                total_steps=steps,
                stage="training",
                loss=last["total"],
                losses=last,
                samples_per_s=rate,
                eta_s=left / rate,
            )
        )
        stopping = self._watch.stopping()
        if (stopping or self._watch.checkpoint_due()) and self._m.accelerator.is_main_process:
            checkpoint.save(learner, self._m.assignment_digest, note, self._m.work_dir)
        self._watch.check()

    def _features(self, images: list[Path]) -> Features:
        limit = self._settings.feature_cache.max_bytes
        return features_for(self._base, images, self._m.features_dir, limit, self._watch.check)

    def _execution(self, micro: int | None) -> Execution:
        """Settings only: two machines that compute alike say alike."""
        return Execution(
            device="cuda" if self._m.accelerator.device.type == "cuda" else "cpu",
            precision=self._settings.precision,
            micro_batch_size=micro,
            gradient_checkpointing=self._settings.gradient_checkpointing,
            attn_implementation=self._base.attention,
            base_quantization=self._settings.base_quantization,
        )

    def _assert_moved(self, before: Mapping[str, Tensor], learner: Learner) -> None:
        still = unmoved(before, learner.trained)
        sparse = self._settings.connector.router.gating == "top-k"
        fine = excused(still, sparse, len(self._a.tasks))
        for name in fine:
            log.warning("adapter did not move", extra={"adapter": name, "reason": "the router never chose it"})
        wrong = [name for name in still if name not in fine]
        if wrong:
            raise DidNotMove(
                f"after {learner.done} steps these adapters are unchanged: {', '.join(wrong)}. A connector learns only "
                "from samples with images, and every adapter needs a learning rate that float32 can see"
            )

    def _outcome(
        self, learner: Learner, data: TrainingData, evaluations: list[EvaluationResult], new: tuple[str, ...]
    ) -> Outcome:
        connector, text = connector_tensors(learner.student.connector), self._adapter.tensors()
        _assert_finite({**connector, **text})
        private = {f"{CONNECTOR}.{name}": t for name, t in connector.items()}
        private |= {f"{TEXT}.{name}": t for name, t in text.items()}
        if self._settings.optimiser_state == "kept":
            private |= {f"{OPTIMISER}.{name}": t for name, t in moments(learner).items()}
        facts = {
            "num_examples": len(data.examples),
            "dropped": data.dropped,
            "truncated": data.truncated,
            "steps": learner.done,
            "execution": self._execution(learner.micro_size()),
            "losses": learner.history.summary(learner.done),
            "router": dict(zip(learner.student.gate_names, learner.history.mean_gates(), strict=True)),
            "evaluations": evaluations,
            "started": new,
        }
        return Outcome({"text": text, "connector": under("task", connector)}, private, facts)


def _assert_finite(tensors: Mapping[str, Tensor]) -> None:
    broken = sorted(name for name, t in tensors.items() if not t.isfinite().all())
    if broken:
        raise Diverged(
            f"training diverged: {len(broken)} tensors hold values that are not finite, first {broken[0]}; "
            "lower training.learning_rate or max_grad_norm"
        )


def connector_tensors(connector: Connector) -> dict[str, Tensor]:
    """A copy of all values, float32 on the CPU."""
    return {name: t.detach().float().cpu().clone().contiguous() for name, t in sorted(connector.state_dict().items())}
