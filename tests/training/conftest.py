"""Digit data, one client, and services to work against."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from pilot_digits.federation import write_federation
from pilot_digits.models import DIGITS_TINY
from pilot_digits.samples import Sizes
from pilot_proto.assignment import (
    AdapterRef,
    Assignment,
    EvaluationPlan,
    EvaluationPoint,
    Inputs,
    ModelRef,
    PrivateStateRef,
)
from pilot_proto.manifest import Manifest
from pilot_proto.training import Training
from pilot_proto.update import Update
from pilot_trainer.program import run
from safetensors.torch import load
from training.services import Services, serving

torch.set_num_threads(1)

TASKS = ("caption", "grounding", "vqa")
RATE = {"connector": 1e-3, "text": 3e-3}
SETTINGS = {
    "num_train_epochs": 2,
    "effective_batch_size": 8,
    "max_length": 128,
    "learning_rate": {"plain": RATE, "stage-1": RATE, "stage-2": RATE},
    "warmup_ratio": 0.0,
    "lora": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.1},
    "precision": "fp32",
}


@pytest.fixture(scope="session")
def federation(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("federation")
    write_federation("digits", folder, sizes=Sizes(train=40, val=2, test=12))
    return folder


@dataclass
class Site:
    """One client's place: its data, its volume, and what the server has published so far."""

    services: Services
    data: Path
    state: Path
    client: str = "vqa-1"
    settings: dict = field(default_factory=lambda: dict(SETTINGS))
    private: PrivateStateRef | None = None
    text: AdapterRef | None = None
    connector: AdapterRef | None = None

    @property
    def task(self) -> str:
        return self.client.rsplit("-", 1)[0]

    @property
    def results(self) -> Path:
        return self.state / self.services.uid / "results"

    def environ(self, incarnation: str = "one", **changes: str) -> dict[str, str]:
        self.state.mkdir(exist_ok=True)
        (self.state / "token").write_text("secret")
        assignment = self.services.assignment
        variables = {
            "AGGREGATOR_URL": self.services.url,
            "REGISTRY_URL": self.services.url,
            "RUN": "digits",
            "ROUND": str(assignment.round),
            "CLIENT": assignment.client,
            "INCARNATION": incarnation,
            "MODEL_DIR": str(DIGITS_TINY),
            "DATA_DIR": str(self.data / self.client),
            "STATE_DIR": str(self.state),
            "TOKEN_FILE": str(self.state / "token"),
            "TERMINATION_MESSAGE": str(self.state / "last-words"),
            **changes,
        }
        return {f"PILOT_{name}": value for name, value in variables.items()} | {"OMP_NUM_THREADS": "1"}

    def assign(self, number: int, program: str, points: tuple[tuple[str, int], ...] = (), **changes) -> Assignment:
        preparing = program == "prepare"
        tasks = dict.fromkeys(TASKS, self.connector) if program in ("stage-2", "evaluate") else {}
        assignment = Assignment(
            run="digits",
            round=number,
            client="base" if preparing else self.client,
            task="" if preparing else self.task,
            program=program,
            model=ModelRef(name="digits-tiny"),
            tasks=TASKS,
            inputs=Inputs() if preparing else Inputs(text=self.text, connector=self.connector, task_connectors=tasks),
            private_state=self.private,
            training=Training.model_validate(self.settings),
            seed=10 * number + 7,
            evaluation=EvaluationPlan(
                split="test", samples=12, points=tuple(EvaluationPoint(point=p, round=r) for p, r in points)
            ),
        )
        self.services.assignment = assignment.model_copy(update=changes)
        self.services.assignments[number] = self.services.assignment
        return self.services.assignment

    def go(self, number: int, program: str, points=(), **changes) -> Update:
        """Do a round and take its answer for the merge of all."""
        self.assign(number, program, points, **changes)
        assert run(self.environ()) == 0
        update = self.update()
        self.accept(update)
        return update

    def update(self) -> Update:
        manifest = self.services.last()
        return Update.read_strictly(self.services.blobs[manifest.files["update.json"].digest])

    def accept(self, update: Update) -> None:
        manifest: Manifest = self.services.last()
        if update.adapters:
            self.text = self.services.published("digits/client-vqa-1-text", manifest, "text")
            self.connector = self.services.published("digits/task-vqa-connector", manifest, "connector")
        if update.private_state:
            digest = manifest.files["update.json"].digest
            self.private = PrivateStateRef(update=digest, round=update.round, program=update.program)

    def uploaded(self, path: str) -> dict[str, torch.Tensor]:
        return load(self.services.blobs[self.services.last().files[path].digest])

    def fresh(self, state: Path) -> "Site":
        """The same client with an empty volume, at the same place in the run."""
        return Site(self.services, self.data, state, self.client, self.settings, None, self.text, self.connector)


@pytest.fixture
def site(federation, tmp_path):
    with serving(Services()) as services:
        yield Site(services, federation / "data", tmp_path / "state")


@pytest.fixture
def prepared(site) -> Site:
    site.go(0, "prepare")
    return site
