"""Real services after real digits runs, and a browser before them.

One client's pictures are unreadable: it is left out of every merge, and somebody will want to know why. Beside the run
there is one of each client alone, to compare with, and one that waits for a verdict.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from browser.driver import browser, demand_browser
from deployments import Harness, harness
from pilot_digits.federation import write_federation

BROKEN = "vqa-3"
RUN, ALONE, WAITING = "digits", "digits-local", "careful"
TRAINING_S = 1500


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
    """Three rounds of nine clients, of which eight can train; the same of each alone; and one round that is held."""
    folder = tmp_path_factory.mktemp("browser")
    federation = write_federation("digits", folder / "scenes")
    spoil(federation.parent / "data" / BROKEN)
    with harness(folder / "d", federation=federation, entry="pilot_trainer.program:run", jobs=2) as made:
        for document in documents(federation.parent):
            made.aggregator.create_run(document)
        ended = [made.eventually(lambda run=run: end_of(made, run), TRAINING_S) for run in (RUN, ALONE)]
        assert ended == ["Succeeded", "Succeeded"], made.logs()
        made.eventually(lambda: held(made), TRAINING_S)
        yield made


def documents(scenes: Path) -> list[dict[str, Any]]:
    """The demo's run and the one to compare it with, as they are; and a short one whose gate marks whoever it can."""
    run, alone, short = (
        yaml.safe_load((scenes / f"{name}.yaml").read_text()) for name in ("run", "run-local", "run-fedavg")
    )
    assert (run["metadata"]["name"], alone["metadata"]["name"]) == (RUN, ALONE)
    short["metadata"]["name"] = WAITING
    short["spec"] |= {"rounds": ["plain"], "admission": {"on_flag": "hold", "max_norm_ratio": 1.01}}
    short["spec"]["training"]["num_train_epochs"] = 1
    return [run, alone, short]


def end_of(made: Harness, run: str) -> str | None:
    phase: str = made.aggregator.run(run).status.phase
    return phase if phase in ("Succeeded", "Failed", "Cancelled") else None


def held(made: Harness) -> bool:
    return any(client.state == "Held" for client in made.aggregator.run(WAITING).status.clients)


def spoil(data: Path) -> None:
    """Let every training record name a picture that is not there."""
    file = data / "train.json"
    records = json.loads(file.read_text())
    file.write_text(json.dumps([{**record, "image": f"lost-{i}.png"} for i, record in enumerate(records)]))


def key(deployed: Harness, role: str) -> str:
    return (deployed.deployment.keys / f"{role}.key").read_text().strip()
