"""May a version be deleted? Values in, reasons out."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Unended:
    """A run that has not ended, as the aggregator tells."""

    name: str
    uid: str
    source: str | None = None
    """The run that it starts from."""


@dataclass(frozen=True)
class Handout:
    """A client may read the version in a round that still takes updates."""

    run: str
    round: int
    client: str


@dataclass(frozen=True)
class Standing:
    """What needs a version."""

    aliases: tuple[str, ...] = ()
    """Those that people moved there."""
    grants: tuple[Handout, ...] = ()
    released: tuple[str, ...] = ()
    """Repositories of copies under `released/`."""
    handed_out: tuple[str, ...] = ()
    """Runs that have not ended and give it to their clients."""
    unmerged: str = ""
    """The run that has not ended and may still merge it."""


def hindrances(standing: Standing) -> tuple[str, ...]:
    """Why the version cannot be deleted now: nothing, if it can."""
    return tuple(_hindrances(standing))


def _hindrances(s: Standing) -> Iterator[str]:
    for alias in s.aliases:
        yield f"the alias {alias} points to it"
    for run, number in sorted({(grant.run, grant.round) for grant in s.grants}):
        clients = ", ".join(sorted(grant.client for grant in s.grants if (grant.run, grant.round) == (run, number)))
        yield f"round {number} of run {run} is open and lets {clients} read it"
    for repo in s.released:
        yield f"{repo} was released from it"
    for run in s.handed_out:
        yield f"run {run} has not ended and hands it out"
    if s.unmerged:
        yield f"run {s.unmerged} has not ended and has not published the round that it is an update of"
