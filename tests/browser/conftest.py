"""Real services after a real digits run, and a browser before them.

One client's pictures are unreadable: it is left out of every merge, and somebody will want to know why.
"""

import json
from pathlib import Path

import pytest
import yaml
from browser.driver import browser, demand_browser
from deployments import Harness, harness
from pilot_digits.federation import write_federation

BROKEN = "vqa-3"
RUN = "digits"
TRAINING_S = 900


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(1200))
            item.add_marker(pytest.mark.enable_socket)


@pytest.fixture(scope="session")
def chromium():
    demand_browser()
    with browser() as made:
        yield made


@pytest.fixture(scope="session")
def deployed(chromium, tmp_path_factory):
    """Three rounds of nine clients, of which eight can train."""
    folder = tmp_path_factory.mktemp("browser")
    federation = write_federation("digits", folder / "scenes")
    spoil(federation.parent / "data" / BROKEN)
    document = yaml.safe_load((federation.parent / "run.yaml").read_text())
    assert document["metadata"]["name"] == RUN
    with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=2) as made:
        made.aggregator.create_run(document)
        made.eventually(lambda: made.aggregator.run(RUN).status.phase in ("Succeeded", "Failed"), TRAINING_S)
        assert made.aggregator.run(RUN).status.phase == "Succeeded", made.logs()
        yield made


def spoil(data: Path) -> None:
    """Let every training record name a picture that is not there."""
    file = data / "train.json"
    records = json.loads(file.read_text())
    file.write_text(json.dumps([{**record, "image": f"lost-{i}.png"} for i, record in enumerate(records)]))


def key(deployed: Harness, role: str) -> str:
    return (deployed.deployment.keys / f"{role}.key").read_text().strip()
