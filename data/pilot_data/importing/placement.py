"""Sound cases into splits: boxes as text, no image in two splits, no question with two right boxes. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pilot_data.boxes import Box, Frame
from pilot_data.dataset import SplitName
from pilot_data.importing.cases import Case, CaseFault, Dropped
from pilot_data.importing.images import Picture
from pilot_data.importing.instructions import BoxUnits, Pictured, box_text
from pilot_data.importing.splits import Shares, split_of


@dataclass(frozen=True)
class BoxReading:
    """How the boxes of a source are meant, and in which frame they are written."""

    units: BoxUnits
    frame: Frame


@dataclass
class Placed:
    """Cases by split, and the ones left out on the way."""

    splits: dict[SplitName, list[Pictured]]
    groups: dict[SplitName, set[str]]
    dropped: list[Dropped] = field(default_factory=list)


def sound_cases(
    cases: Iterable[Case],
    images: Path,
    pictures: Mapping[Path, Picture | CaseFault],
    boxes: BoxReading | None,
) -> tuple[list[tuple[Case, Picture]], list[Dropped]]:
    """Cases with a sound image and, where there are boxes, one on it as the answer; and the others with the reason."""
    sound: list[tuple[Case, Picture]] = []
    dropped = []
    for case in cases:
        try:
            picture = pictures[images / case.image]
            if isinstance(picture, CaseFault):
                raise picture
            sound.append((_with_box(case, picture, boxes) if boxes else case, picture))
        except CaseFault as fault:
            dropped.append(Dropped(case.place, fault.reason, fault.detail))
    return sound, dropped


def _with_box(case: Case, picture: Picture, boxes: BoxReading) -> Case:
    size = (picture.width, picture.height)
    if case.declared_size not in (None, size):
        raise CaseFault(
            "image has another size than the source says", f"{case.image}: {size}, not {case.declared_size}"
        )
    if case.box is None:
        raise CaseFault("no box")
    return replace(case, answers=(box_text(case.box, size, boxes.units, boxes.frame),))


def place(sound: Sequence[tuple[Case, Picture]], shares: Shares, seed: int) -> Placed:
    """Every case in the split of its group; without groups, the image's bytes are the group.

    An image that another group took to another split is left out: it would be seen in training and asked in the test.
    """
    placed = Placed({name: [] for name in shares}, {name: set() for name in shares})
    contradicted = _contradicted(sound)
    first: dict[str, tuple[SplitName, str]] = {}
    for case, picture in sound:
        group = case.group if case.group is not None else picture.digest
        split = split_of(group, seed, shares)
        there, other = first.setdefault(picture.digest, (split, group))
        if (picture.digest, case.question) in contradicted:
            placed.dropped.append(
                Dropped(case.place, "expression with several boxes", f"{case.question!r} in {case.image}")
            )
        elif there != split:
            detail = f"{case.image} of group {group!r} ({split}) is in {there} with group {other!r}"
            placed.dropped.append(Dropped(case.place, "image is in another split", detail))
        else:
            placed.splits[split].append(Pictured(case, picture.name))
            placed.groups[split].add(group)
    return placed


def _contradicted(sound: Sequence[tuple[Case, Picture]]) -> set[tuple[str, str]]:
    """Questions about an image that have several boxes: no answer to them is right."""
    boxes: dict[tuple[str, str], Box | None] = {}
    several = set()
    for case, picture in sound:
        key = (picture.digest, case.question)
        if boxes.setdefault(key, case.box) != case.box:
            several.add(key)
    return several
