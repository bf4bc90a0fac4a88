"""From a run, its clients and the base model's shapes to everything that `pilot estimate` says. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pilot_proto.llava import Llava
from pilot_proto.run import RunSpec
from pilot_proto.training import Program

from pilot_cli.estimate import storage
from pilot_cli.estimate.memory import Memory, Sample, memory
from pilot_cli.estimate.numbers import Numbers, numbers


@dataclass(frozen=True)
class ClientData:
    """What is known of a client before the run; None where its folder is not on this machine."""

    name: str
    task: str
    samples: int | None = None
    images: int | None = None


@dataclass(frozen=True)
class Question:
    """What an estimate is made of."""

    spec: RunSpec
    llava: Llava
    clients: Sequence[ClientData]
    sample: Sample
    gpu_bytes: int | None = None
    step_seconds: Mapping[str, float] | None = None

    @property
    def tasks(self) -> int:
        return len({client.task for client in self.clients})


@dataclass(frozen=True)
class Stage:
    """One program; the same for every client of the run."""

    program: Program
    numbers: Numbers
    sent: int
    up_bytes: int
    down_bytes: int
    memory: Memory
    micro_batch: int | None
    """The largest that the GPU given holds; 0 when it holds none, None when none was given."""


@dataclass(frozen=True)
class ClientCost:
    """What the run asks of one client."""

    data: ClientData
    steps: int | None
    """Per round."""
    seconds: Mapping[Program, float | None]
    feature_bytes: int | None
    state_bytes: int


@dataclass(frozen=True)
class Estimate:
    """Everything."""

    stages: tuple[Stage, ...]
    clients: tuple[ClientCost, ...]
    feature_bytes_per_image: int
    bucket: storage.Bucket
    spool_bytes: int
    evaluation_down_bytes: int
    """Per client, in the round after the last."""


def estimate(question: Question) -> Estimate:
    """Raises BadTarget when the LoRA target matches nothing."""
    spec, clients = question.spec, len(question.clients)
    sizes = storage.files(question.llava, spec.training)
    return Estimate(
        stages=tuple(_stage(question, program, sizes) for program in dict.fromkeys(spec.rounds)),
        clients=tuple(_client(question, client) for client in question.clients),
        feature_bytes_per_image=storage.feature_bytes(question.llava, spec.training),
        bucket=storage.bucket(sizes, spec, clients, question.tasks),
        spool_bytes=storage.spool(sizes, spec, clients, question.tasks),
        evaluation_down_bytes=storage.evaluation_download(sizes, spec, question.tasks),
    )


def _stage(question: Question, program: Program, sizes: storage.Files) -> Stage:
    training = question.spec.training
    held = numbers(question.llava, training, program, question.tasks)
    need = memory(question.llava, training, program, question.tasks, question.sample)
    room, batch = question.gpu_bytes, training.effective_batch_size
    return Stage(
        program=program,
        numbers=held,
        sent=numbers(question.llava, training, "plain", question.tasks).trained,
        up_bytes=sizes.update,
        down_bytes=storage.download(sizes, program, question.tasks),
        memory=need,
        micro_batch=None if room is None else need.largest(room, batch),
    )


def _client(question: Question, client: ClientData) -> ClientCost:
    training, rounds = question.spec.training, question.spec.rounds
    steps = None
    if client.samples is not None:
        steps = training.num_train_epochs * -(-client.samples // training.effective_batch_size)
    measured = question.step_seconds or {}
    each = storage.feature_bytes(question.llava, training)
    return ClientCost(
        data=client,
        steps=steps,
        seconds={p: _seconds(steps, measured.get(p)) for p in dict.fromkeys(rounds)},
        feature_bytes=_cached(client.images, each, training.feature_cache.max_bytes),
        state_bytes=sum(storage.state_bytes(question.llava, training, p, question.tasks) for p in rounds),
    )


def _seconds(steps: int | None, step: float | None) -> float | None:
    return None if steps is None or step is None else steps * step


def _cached(images: int | None, each: int, allowed: int) -> int | None:
    """0 where they do not fit and are computed again and again."""
    if images is None:
        return None
    return images * each if images * each <= allowed else 0
