"""Samples: a scene with an instruction and its answer, drawn for a client or for all clients of a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pilot_digits.boxes import box_text, grounding_prompt
from pilot_digits.captions import CAPTION_PROMPTS, captions
from pilot_digits.handwriting import Pool, pools
from pilot_digits.profiles import CLIENTS_PER_TASK, TASKS, FederationName, Profile, profiles
from pilot_digits.questions import ask
from pilot_digits.scenes import Scene, draw_scene

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
SIZE_VARIATION = 0.25

_SIZES_STREAM, _SAMPLES_STREAM = 2, 3


@dataclass(frozen=True, eq=False)
class Sample:
    """One instruction. `references` are all right answers, where there are several (captions)."""

    scene: Scene
    instruction: str
    answer: str
    references: tuple[str, ...] = ()


ClientData = Mapping[SplitName, Sequence[Sample]]


@dataclass(frozen=True)
class Sizes:
    """Samples per client. `train` is a mean: clients have up to a quarter more or fewer."""

    train: int = 120
    val: int = 60
    test: int = 100

    def __post_init__(self) -> None:
        if min(self.train, self.val, self.test) < 1:
            raise ValueError(f"sizes {self} ask for an empty split; every split needs at least 1 sample per client")


def draw_sample(rng: np.random.Generator, pool: Pool, profile: Profile) -> Sample:
    """A sample of the client's task with handwriting from `pool`."""
    scene = draw_scene(rng, pool, profile.look)
    if profile.task == "vqa":
        return Sample(scene, *ask(rng, scene.digits, profile.mix))
    if profile.task == "caption":
        references = captions(scene.digits)
        weights = np.asarray(profile.mix, float)
        answer = references[rng.choice(len(references), p=weights / weights.sum())]
        return Sample(scene, CAPTION_PROMPTS[profile.wording], answer, references)
    digit = scene.digits[int(rng.integers(len(scene.digits)))]
    return Sample(scene, grounding_prompt(digit, profile.wording), box_text(digit))


def draw_federation(federation: FederationName, *, seed: int, sizes: Sizes) -> dict[str, ClientData]:
    """All samples of all clients, by client and split. A split draws from the pool of its name only.

    What `digits-3` holds is drawn as a part of `digits`, so that a client alone does equally well in both.
    """
    clients = profiles(federation, seed)
    if federation == "digits-3":
        whole = draw_federation("digits", seed=seed, sizes=sizes)
        return {profile.client: whole[profile.client] for profile in clients}
    data: dict[str, dict[SplitName, Sequence[Sample]]] = {profile.client: {} for profile in clients}
    counts = _train_counts(seed, sizes.train, len(clients))
    for position, split in enumerate(SPLITS):
        rng = np.random.default_rng((seed, _SAMPLES_STREAM, position))
        for index in range(len(TASKS)):
            here = slice(index * CLIENTS_PER_TASK, (index + 1) * CLIENTS_PER_TASK)
            wanted = counts[here] if split == "train" else [getattr(sizes, split)] * CLIENTS_PER_TASK
            parts = _draw_task(rng, pools()[split], clients[here], wanted, shared=federation == "digits")
            for profile, part in zip(clients[here], parts, strict=True):
                data[profile.client][split] = part
    return dict(data)


def _train_counts(seed: int, mean: int, num_clients: int) -> list[int]:
    rng = np.random.default_rng((seed, _SIZES_STREAM))
    least, most = round((1 - SIZE_VARIATION) * mean), round((1 + SIZE_VARIATION) * mean)
    return [max(1, int(n)) for n in rng.integers(least, most + 1, num_clients)]


def _draw_task(
    rng: np.random.Generator, pool: Pool, clients: Sequence[Profile], counts: Sequence[int], *, shared: bool
) -> list[list[Sample]]:
    """Shared: one data set, split at random. Otherwise each client draws its own."""
    if not shared:
        return [
            [draw_sample(rng, pool, profile) for _ in range(count)]
            for profile, count in zip(clients, counts, strict=True)
        ]
    samples = [draw_sample(rng, pool, clients[0]) for _ in range(sum(counts))]
    parts = np.split(rng.permutation(len(samples)), np.cumsum(counts)[:-1])
    return [[samples[i] for i in part] for part in parts]
