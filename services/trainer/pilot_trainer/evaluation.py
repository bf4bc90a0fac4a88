"""Measuring a model at the points of an assignment: `merged` before training, `local` after it."""

import logging
from collections.abc import Callable
from pathlib import Path

from pilot_data.scoring import check_available, score
from pilot_model.conversation import Chat
from pilot_model.encoder import Features
from pilot_model.generate import answers
from pilot_model.model import Base
from pilot_proto.assignment import Assignment
from pilot_proto.dataset import DatasetSpec
from pilot_proto.personal_model import Point
from pilot_proto.update import EvaluationResult

from pilot_trainer.examples import Questions, questions

log = logging.getLogger(__name__)


class Exam:
    """The questions of an assignment, asked as often as it has points."""

    def __init__(self, assignment: Assignment, base: Base, folder: Path, spec: DatasetSpec, chat: Chat) -> None:
        self._assignment, self._base, self._spec = assignment, base, spec
        check_available(spec.metric)
        plan = assignment.evaluation
        self._plan = plan
        self._questions: Questions | None = None
        if plan is not None and plan.points and plan.samples:
            self._questions = questions(folder, spec, chat, plan.split, plan.samples)

    @property
    def images(self) -> list[Path]:
        """The images that the questions are about."""
        return [image for image in self._questions.images if image is not None] if self._questions else []

    def take(self, point: Point, features: Features, check: Callable[[], None]) -> list[EvaluationResult]:
        """Results of the model as it stands, for each time the plan names this point."""
        wanted = [p for p in self._plan.points if p.point == point] if self._plan else []
        if not wanted or self._questions is None or self._plan is None:
            return []
        asked = self._questions
        precision = self._assignment.training.precision
        given = answers(self._base, features, asked.prompts, asked.images, self._spec.max_new_tokens, precision, check)
        scores = score(self._spec.metric, given, asked.references)
        log.info("evaluated", extra={"point": point, "metric": self._spec.metric, "value": scores.mean})
        return [
            EvaluationResult(
                point=point,
                round=p.round,
                split=self._plan.split,
                metric=self._spec.metric,
                value=scores.mean,
                samples=len(scores.each),
                scores=scores.each,
                detail=scores.detail,
            )
            for p in wanted
        ]
