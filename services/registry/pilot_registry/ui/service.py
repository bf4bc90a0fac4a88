"""What the pages' routes work with."""

from typing import Annotated

from fastapi import Depends, Request

from pilot_registry.housekeeping import Housekeeping
from pilot_registry.ui.health import Health
from pilot_registry.ui.upstream import Aggregator
from pilot_registry.ui.verifications import Verifications


def aggregator_of(request: Request) -> Aggregator:
    """The aggregator behind a request."""
    known: Aggregator = request.app.state.aggregator
    return known


def health_of(request: Request) -> Health:
    """The health of this deployment."""
    known: Health = request.app.state.health
    return known


def housekeeping_of(request: Request) -> Housekeeping:
    """What an admin has started."""
    known: Housekeeping = request.app.state.housekeeping
    return known


def verifications_of(request: Request) -> Verifications:
    """The merges that were recomputed lately."""
    known: Verifications = request.app.state.verifications
    return known


FromAggregator = Annotated[Aggregator, Depends(aggregator_of)]
InVerifications = Annotated[Verifications, Depends(verifications_of)]
InHealth = Annotated[Health, Depends(health_of)]
InHousekeeping = Annotated[Housekeeping, Depends(housekeeping_of)]
