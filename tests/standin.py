"""A trainer without torch: the same protocol, deterministic bytes, and faults on demand.

Its adapters depend on its inputs, its seed and its private state, so a test that compares digests notices when any of
them was lost, taken twice or mixed up. `PILOT_STANDIN` names a JSON file of faults by client (see `Faults`).
"""

import hashlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pilot_client.aggregator import AggregatorClient
from pilot_client.errors import ApiError, Unreachable
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_proto.assignment import AdapterRef, Assignment, AssignmentView, FileRef
from pilot_proto.boundaries import Boundary, reached
from pilot_proto.canonical import canonical_bytes, digest_of, document_digest
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.names import ADAPTER_FILE, CONFIG_FILE, update_path, update_repo
from pilot_proto.run import Progress, StageTime
from pilot_proto.update import (
    STATE_FILE,
    UPDATE_FILE,
    EvaluationResult,
    PreparedModel,
    Update,
    UploadedAdapter,
)
from safetensors.numpy import load_file, save_file

PART_BYTES = 200
"""So that every adapter is an upload in parts."""
MODEL_DIGEST = digest_of(b"the stand-in's base model")
SHAPES = {
    "text": {"layer.lora_A.weight": (2, 8), "layer.lora_B.weight": (8, 2)},
    "connector": {"linear_1.weight": (6, 4), "linear_1.bias": (6,)},
}

TIMINGS = (StageTime(stage="fetching", seconds=0.25), StageTime(stage="training", seconds=0.5))
"""What it says that its work took."""


@dataclass(frozen=True)
class Faults:
    """What a client does wrong, by round (as a string, or `*`)."""

    exit: dict[str, int] = field(default_factory=dict)
    """End with this code instead of training."""
    hang: dict[str, float] = field(default_factory=dict)
    """Seconds to sleep before uploading."""
    poison: dict[str, str] = field(default_factory=dict)
    """`nan`, `shape`, `extra`, `dtype`, `huge`, `copy`: what is wrong with the text adapter."""

    @classmethod
    def of(cls, client: str) -> "Faults":
        file = os.environ.get("PILOT_STANDIN")
        known = json.loads(Path(file).read_text()) if file and Path(file).exists() else {}
        return cls(**known.get(client, {}))


def pick(faults, number):
    return faults.get(str(number), faults.get("*"))


def run(environ) -> int:
    """The entry of a local job."""
    client = environ["PILOT_CLIENT"]
    token = Token(file=Path(environ["PILOT_TOKEN_FILE"]))
    patience = float(environ.get("PILOT_PATIENCE_S", "60"))
    aggregator = AggregatorClient(Transport(environ["PILOT_AGGREGATOR_URL"], token, patience_s=patience))
    registry = RegistryClient(Transport(environ["PILOT_REGISTRY_URL"], token, patience_s=patience))
    view = aggregator.assignment(environ["PILOT_RUN"], int(environ["PILOT_ROUND"]), client)
    assert view.digest == document_digest(view.assignment)
    job = Attempt(view, registry, aggregator, Path(environ["PILOT_STATE_DIR"]), environ["PILOT_INCARNATION"])
    try:
        return job.run()
    except ApiError as error:
        if error.code in ("already_answered", "round_closed"):
            return 0
        complain(error.code, str(error))
        aggregator.send_failure(job.a.run, job.a.round, client, error.code, str(error))
        return 65
    except Unreachable as error:
        complain("unreachable", str(error))
        return 75


def complain(code: str, message: str) -> None:
    Path(os.environ["PILOT_TERMINATION_MESSAGE"]).write_text(f"{code}: {message}")
    sys.stdout.write(f"{code}: {message}\n")


@dataclass
class Attempt:
    view: AssignmentView
    registry: RegistryClient
    aggregator: AggregatorClient
    state: Path
    incarnation: str
    part_bytes: int = PART_BYTES

    @property
    def a(self) -> Assignment:
        return self.view.assignment

    @property
    def results(self) -> Path:
        return self.state / self.view.uid / "results"

    def run(self) -> int:
        faults = Faults.of(self.a.client)
        result = self.finished()
        if result is None:
            code = pick(faults.exit, self.a.round)
            if code:
                complain("told_to", f"exit with {code}")
                return code
            result = self.train(faults)
        time.sleep(pick(faults.hang, self.a.round) or 0)
        self.upload(result)
        return 0

    def finished(self) -> Path | None:
        for file in sorted(self.results.glob(f"*/{UPDATE_FILE}")):
            if Update.model_validate_json(file.read_bytes()).assignment == self.view.digest:
                return file.parent
        return None

    def train(self, faults: Faults) -> Path:
        work = self.state / self.view.uid / "work" / self.incarnation
        work.mkdir(parents=True)
        inputs = {
            kind: self.fetch(ref, ADAPTER_FILE[kind], work)
            for kind in ("text", "connector")
            if (ref := getattr(self.a.inputs, kind)) is not None
        }
        for task, ref in self.a.inputs.task_connectors.items():
            inputs[f"task-{task}"] = self.fetch(ref, ADAPTER_FILE["connector"], work)
        reached(Boundary.INPUTS_FETCHED)
        self.progress(1)
        adapters, state = self.compute(inputs, faults)
        files = {}
        if self.a.program != "evaluate":
            for kind, tensors in adapters.items():
                path = work / update_path(kind, ADAPTER_FILE[kind])
                path.parent.mkdir(exist_ok=True)
                save_file(tensors, path, {"format": "pt"})
                files[kind] = path
                if self.a.program == "prepare":
                    (path.parent / CONFIG_FILE[kind]).write_text(json.dumps({"kind": kind}))
            save_file({"state": state}, work / STATE_FILE)
        update = self.update(files, digest_of((work / STATE_FILE).read_bytes()) if files else None)
        raw = canonical_bytes(update)
        (work / UPDATE_FILE).write_bytes(raw)
        target = self.results / digest_of(raw).removeprefix("sha256:")
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            shutil.rmtree(work)
        else:
            work.rename(target)
        reached(Boundary.RESULT_RENAMED)
        return target

    def fetch(self, ref: AdapterRef, path: str, work: Path):
        target = work / f"in-{ref.commit}"
        self.registry.download(ref, path, target)
        assert digest_of(target.read_bytes()) == ref.files[path].digest
        tensors = load_file(target)
        target.unlink()
        return tensors

    def compute(self, inputs, faults):
        rng = np.random.default_rng(self.a.seed)
        state = np.zeros(4, np.float32)
        if self.a.private_state is not None:
            name = self.a.private_state.update.removeprefix("sha256:")
            (file,) = self.state.glob(f"*/results/{name}/{STATE_FILE}")
            state = load_file(file)["state"]
        mixed = sum((float(t.sum()) for name in sorted(inputs) for t in inputs[name].values()), 0.0)
        state = (state + rng.normal(size=4) + 1e-3 * mixed).astype(np.float32)
        adapters = {}
        for kind, shapes in SHAPES.items():
            start = inputs.get(kind) or {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
            noise = {n: rng.normal(size=shape) * 0.1 + state.mean() * 0.01 for n, shape in shapes.items()}
            adapters[kind] = {n: (start[n] + noise[n]).astype(np.float32) for n in shapes}
        poison = pick(faults.poison, self.a.round)
        if poison:
            adapters["text"] = poisoned(adapters["text"], poison)
        return adapters, state

    def update(self, files: dict[str, Path], state: str | None) -> Update:
        seed = int.from_bytes(hashlib.sha256(self.a.client.encode()).digest()[:2], "big")
        points = self.a.evaluation.points if self.a.evaluation else ()
        scores = {p: np.random.default_rng([seed, p.round]).random(8) + 0.1 * p.round for p in points}
        return Update(
            run=self.a.run,
            round=self.a.round,
            client=self.a.client,
            task=self.a.task,
            program=self.a.program,
            assignment=self.view.digest,
            model=PreparedModel(name=self.a.model.name, digest=MODEL_DIGEST),
            num_examples=10 + seed % 20 if self.a.program not in ("prepare", "evaluate") else 0,
            steps=3,
            adapters={
                kind: UploadedAdapter(digest=digest_of(path.read_bytes()), num_parameters=64)
                for kind, path in files.items()
            },
            private_state=state,
            started=() if self.a.private_state or self.a.program in ("prepare", "evaluate") else ("client",),
            evaluations=tuple(
                EvaluationResult(
                    point=p.point,
                    round=p.round,
                    split="test",
                    metric="exact-match",
                    value=float(s.mean()),
                    samples=8,
                    scores=tuple(map(float, s)),
                )
                for p, s in scores.items()
            ),
        )

    def upload(self, result: Path) -> None:
        files = {}
        for path in sorted(result.rglob("*.json")) + sorted(result.rglob("*/*.safetensors")):
            name = str(path.relative_to(result))
            raw = path.read_bytes()
            files[name] = FileRef(digest=digest_of(raw), size=len(raw))
            kind = path.parent.name if path.suffix == ".safetensors" else "update"
            where = {"uid": self.view.uid, "round": self.a.round, "client": self.a.client}
            self.registry.put_file(path, files[name].digest, kind=kind, **where, part_bytes=self.part_bytes)
            reached(Boundary.ONE_FILE_PUT)
        manifest = self.manifest(files)
        committed = self.registry.commit(manifest, uid=self.view.uid, round=self.a.round)
        reached(Boundary.COMMITTED)
        self.aggregator.send_report(self.a.run, self.a.round, self.a.client, committed.commit, TIMINGS)
        reached(Boundary.REPORTED)

    def manifest(self, files: dict[str, FileRef]) -> Manifest:
        refs = [self.a.inputs.text, self.a.inputs.connector]
        update = Update.model_validate_json((self.finished() / UPDATE_FILE).read_bytes())
        return Manifest(
            repo=update_repo(self.a.run, self.a.client),
            kind="update",
            run=self.a.run,
            round=self.a.round,
            client=self.a.client,
            task=self.a.task,
            program=self.a.program,
            model=self.a.model.name,
            model_digest=MODEL_DIGEST,
            files=files,
            num_examples=update.num_examples,
            contributors=(self.a.client,),
            parents=tuple(Parent(repo=ref.repo, commit=ref.commit) for ref in refs if ref),
        )

    def progress(self, step: int) -> None:
        try:
            progress = Progress(step=step, total_steps=3, stage="training", loss=1.0 / step)
            self.aggregator.send_progress(self.a.run, self.a.round, self.a.client, progress)
        except (ApiError, Unreachable):
            pass


def poisoned(tensors, how: str):
    name = sorted(tensors)[0]
    changed = dict(tensors)
    if how == "nan":
        changed[name] = np.full_like(tensors[name], np.nan)
    elif how == "shape":
        changed[name] = tensors[name][:1]
    elif how == "extra":
        changed["extra"] = tensors[name]
    elif how == "dtype":
        changed[name] = tensors[name].astype(np.float16)
    elif how == "huge":
        changed[name] = tensors[name] * np.float32(1e6)
    else:
        raise ValueError(how)
    return changed
