"""What came of an import: counts by split, and everything that was left out with its reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pilot_data.importing.cases import Dropped


@dataclass(frozen=True)
class SplitCounts:
    """One split."""

    records: int
    images: int
    groups: int


@dataclass(frozen=True)
class ImportReport:
    """An import. Nothing in it depends on when or where it ran."""

    source: str
    task: str
    client: str
    settings: Mapping[str, Any]
    cases: int
    """Everything that the source offered, what was passed over by rule not counted."""
    splits: Mapping[str, SplitCounts]
    images: int
    image_bytes: int
    same_images: int
    """Files whose bytes are those of another: kept once."""
    dropped: Sequence[Dropped]
    skipped: Mapping[str, int]

    def reasons(self) -> list[tuple[str, int, Dropped]]:
        """Why cases were dropped: reason, count and the first of them; the most frequent first."""
        return reasons(self.dropped)

    def document(self) -> dict[str, Any]:
        """As JSON values; every dropped case is in it."""
        return {
            "source": self.source,
            "task": self.task,
            "client": self.client,
            "settings": dict(self.settings),
            "cases": self.cases,
            "splits": {name: asdict(counts) for name, counts in self.splits.items()},
            "images": {"files": self.images, "bytes": self.image_bytes, "same": self.same_images},
            "dropped": {reason: count for reason, count, _ in self.reasons()},
            "skipped": dict(self.skipped),
            "droppedCases": [asdict(each) for each in self.dropped],
        }


def reasons(dropped: Sequence[Dropped]) -> list[tuple[str, int, Dropped]]:
    """Reason, count and the first of each; the most frequent first, then by name."""
    counts = Counter(each.reason for each in dropped)
    first = {each.reason: each for each in reversed(dropped)}
    return [(reason, count, first[reason]) for reason, count in sorted(counts.items(), key=lambda c: (-c[1], c[0]))]
