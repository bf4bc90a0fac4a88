"""The runs that have not ended. Only the aggregator knows: a round that nobody has opened yet leaves no trace here."""

from fastapi import Request
from pilot_http.problems import Unavailable
from pilot_proto.run import RunPage

from pilot_registry.hindrances import Unended
from pilot_registry.ui.upstream import Aggregator

PER_PAGE = 200


def unended_runs(aggregator: Aggregator, request: Request) -> tuple[Unended, ...]:
    """As whoever asks may see them.

    Raises:
        Unavailable: the aggregator is away. What it said earlier would not do: a run may have begun since.
    """
    found: list[Unended] = []
    cursor = None
    while True:
        answer = aggregator.read(request, RunPage, "runs", active="true", limit=PER_PAGE, cursor=cursor)
        if answer.stale:
            raise Unavailable(
                "the aggregator does not answer, and only it knows which runs have not ended",
                hint="nothing was deleted; try again when it is back",
            )
        for view in answer.document.items:
            source = view.spec.start_from
            found.append(Unended(view.metadata["name"], view.status.uid, source.run if source else None))
        cursor = answer.document.next
        if cursor is None:
            return tuple(found)
