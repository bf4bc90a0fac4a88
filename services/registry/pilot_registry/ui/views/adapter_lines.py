"""A version of an adapter on one line of a list."""

from pilot_proto.base import Stored
from pilot_proto.registry import VersionView

OWN = ("main", "round-")
"""How aliases begin that publishing moves."""


class AdapterLine(Stored):
    repo: str
    commit: str
    kind: str
    run: str
    round: int
    whose: str
    """The client or task that it is for, or of; empty for everybody's."""
    size: int
    aliases: tuple[str, ...]
    """People's first."""
    private: bool
    state: str
    created_at: str

    @property
    def reference(self) -> str:
        """As comparisons name it."""
        return f"{self.repo}@{self.commit}"

    @property
    def comparable(self) -> bool:
        """Whether a person may read its bytes."""
        return not self.private and self.state == "live"


def adapter_line(view: VersionView) -> AdapterLine:
    """From the API's view."""
    return AdapterLine(
        repo=view.repo,
        commit=view.commit,
        kind=view.kind,
        run=view.run,
        round=view.round,
        whose=view.client or view.task or "",
        size=sum(file.size for file in view.files.values()),
        aliases=tuple(sorted(view.aliases, key=lambda name: (name.startswith(OWN), name))),
        private=view.private,
        state=view.state,
        created_at=view.created_at,
    )
