"""An aggregator by hand beside the prepared registry."""

import pytest
from pilot_registry.ui.health import Health
from unit.registry.ui.fake_aggregator import FakeAggregator


@pytest.fixture
def aggregator(world):
    made = FakeAggregator()
    state = world.app.state
    state.aggregator = made.connected()
    state.health = Health(state.registry, state.aggregator)
    return made
