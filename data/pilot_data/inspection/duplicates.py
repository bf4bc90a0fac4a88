"""What occurs twice: records within a split, images and questions across splits, images across clients. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

EXAMPLES = 5


class Item(NamedTuple):
    """One usable record, as far as it can be a duplicate. `image` is equal for equal bytes."""

    split: str
    record: int
    image: Hashable | None
    question: str
    answer: str


@dataclass(frozen=True)
class Repeated:
    """Records of a split that say again what an earlier one said: same image bytes, question and answer."""

    split: str
    records: int
    examples: tuple[tuple[int, int], ...]
    """Indices: the earlier record and its repetition."""


@dataclass(frozen=True)
class Leak:
    """What two splits share, so that a test asks what training has shown."""

    splits: tuple[str, str]
    images: int
    questions: int
    """Pairs of an image and a question about it."""
    examples: tuple[tuple[int, int], ...]
    """Indices of records with the same image, one of each split."""


@dataclass(frozen=True)
class Shared:
    """Images that two clients have both."""

    clients: tuple[str, str]
    images: int


def repeated(items: Iterable[Item]) -> list[Repeated]:
    """For each split that repeats itself."""
    first: dict[tuple[Hashable, ...], int] = {}
    again: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for item in items:
        earlier = first.setdefault((item.split, item.image, item.question, item.answer), item.record)
        if earlier != item.record:
            again[item.split].append((earlier, item.record))
    return [Repeated(split, len(pairs), tuple(pairs[:EXAMPLES])) for split, pairs in again.items()]


def leaks(items: Sequence[Item]) -> list[Leak]:
    """For each two splits that share an image, or a question without one."""
    images: dict[str, dict[Hashable, int]] = defaultdict(dict)
    questions: dict[str, set[Hashable]] = defaultdict(set)
    for item in items:
        # Without an image the question itself is what leaks.
        images[item.split].setdefault(item.image if item.image is not None else ("text", item.question), item.record)
        questions[item.split].add((item.image, item.question))
    found = []
    for a, b in combinations(images, 2):
        shared = [image for image in images[a] if image in images[b]]
        if shared:
            examples = tuple((images[a][image], images[b][image]) for image in shared[:EXAMPLES])
            found.append(Leak((a, b), len(shared), len(questions[a] & questions[b]), examples))
    return found


def shared_images(clients: Mapping[str, frozenset[Hashable]]) -> list[Shared]:
    """For each two clients that have images in common."""
    pairs = ((a, b, len(clients[a] & clients[b])) for a, b in combinations(clients, 2))
    return [Shared((a, b), count) for a, b, count in pairs if count]
