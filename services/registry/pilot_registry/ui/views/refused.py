"""Uploads that admission did not let in."""

from collections.abc import Sequence

from pilot_proto.base import Stored
from pilot_proto.registry import RejectionView

from pilot_registry.ui.views.meanings import Meaning, meaning


class Refused(Stored):
    """One of them, with what its code means."""

    run: str
    round: int
    client: str
    code: str
    message: str
    at: str
    meaning: Meaning | None = None


def refused(rejections: Sequence[RejectionView]) -> tuple[Refused, ...]:
    """In the given order."""
    return tuple(
        Refused(
            run=each.run,
            round=each.round,
            client=each.client,
            code=each.code,
            message=each.message,
            at=each.at,
            meaning=meaning(each.code),
        )
        for each in rejections
    )
