"""What moves and what stays, in bytes: per round, and on each disk. Pure.

Adapters' files are counted exactly, header included; `update.json`, manifests and configurations, a few kB each, are
not counted.
"""

from dataclasses import dataclass

from pilot_proto.llava import Llava
from pilot_proto.names import Kind
from pilot_proto.run import RunSpec
from pilot_proto.training import Program, Training

from pilot_cli.estimate.numbers import F32_BYTES, file_bytes, numbers, text_tensors


@dataclass(frozen=True)
class Files:
    """The sizes of adapter files."""

    text: int
    connector: int

    @property
    def update(self) -> int:
        """What a client sends up."""
        return self.text + self.connector


def files(llava: Llava, training: Training) -> Files:
    """One text adapter and one connector, as they are uploaded and published."""
    return Files(file_bytes(text_tensors(llava, training.lora)), file_bytes(llava.connector()))


def download(sizes: Files, program: Program, tasks: int) -> int:
    """What a client fetches for a round: in stage 2 every task's connector, of which one is its own."""
    return sizes.text + sizes.connector * (tasks if program == "stage-2" else 1)


def evaluation_download(sizes: Files, spec: RunSpec, tasks: int) -> int:
    """What it fetches to measure what the last round published."""
    return download(sizes, spec.rounds[-1], tasks)


def outputs(rule: str, clients: int, tasks: int) -> int:
    """Different files that a rule makes of one kind in a round."""
    return {"mean": 1, "per-task-mean": tasks, "same-task": tasks}.get(rule, clients)


def published(sizes: Files, spec: RunSpec, clients: int, tasks: int) -> int:
    """Of one round."""
    kinds: dict[Kind, tuple[str, int]] = {
        "text": (spec.merge.text.rule, sizes.text),
        "connector": (spec.merge.connector.rule, sizes.connector),
    }
    return sum(outputs(rule, clients, tasks) * one for rule, one in kinds.values())


@dataclass(frozen=True)
class Bucket:
    """Bytes in the registry's store."""

    peak: int
    end: int


def bucket(sizes: Files, spec: RunSpec, clients: int, tasks: int) -> Bucket:
    """Round 0, every round's outputs, and raw updates as long as `retention` keeps them. Equal files count once."""
    rounds, start = len(spec.rounds), sizes.update
    one_round = published(sizes, spec, clients, tasks)
    # What rule `none` publishes is the update's own file.
    raw = clients * sum(
        size
        for rule, size in ((spec.merge.text.rule, sizes.text), (spec.merge.connector.rule, sizes.connector))
        if rule != "none"
    )
    kept = start + rounds * one_round
    if spec.retention.raw_updates == "forever":
        return Bucket(kept + rounds * raw, kept + rounds * raw)
    return Bucket(kept + (raw if spec.retention.raw_updates == "after-publish" else rounds * raw), kept)


def spool(sizes: Files, spec: RunSpec, clients: int, tasks: int) -> int:
    """The aggregator's own disk during one merge: updates, what clients were given, the base, and the outputs."""
    made = published(sizes, spec, clients, tasks)
    return clients * sizes.update + made + sizes.update + made


def feature_bytes(llava: Llava, training: Training) -> int:
    """One image's vision features in the cache."""
    return llava.num_image_tokens * llava.visual_width * (2 if training.precision == "bf16" else 4)


def state_bytes(llava: Llava, training: Training, program: Program, tasks: int) -> int:
    """One round's result on a client's volume: what was uploaded, and the private state."""
    held = numbers(llava, training, program, tasks)
    moments = 2 * held.trained if training.optimiser_state == "kept" else 0
    return F32_BYTES * (held.kept + moments) + files(llava, training).update
