"""A run's page as it goes, from real services: parts of it arrive, also after the aggregator was away."""

import json
import threading
from dataclasses import dataclass, field

import httpx
import pytest
from deployments import harness, run_document

SLOW = {"hang": {"1": 6.0}}


@dataclass
class Reader:
    """A browser that listens to a page's stream, in a thread of its own."""

    url: str
    key: str
    heard: list[tuple[str, str]] = field(default_factory=list)

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self._listen, daemon=True)
        thread.start()
        return thread

    def _listen(self) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.stream("GET", self.url, headers=headers, timeout=60) as answer:
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.heard.append((kind, line.removeprefix("data: ")))

    def parts(self) -> dict[str, str]:
        """Every element as it was last sent."""
        found: dict[str, str] = {}
        for kind, data in self.heard:
            if kind == "parts":
                found |= json.loads(data)
        return found


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    with harness(tmp_path_factory.mktemp("live") / "d") as made:
        yield made


def listen(deployed, name: str, role: str = "viewer") -> tuple[Reader, threading.Thread]:
    key = (deployed.deployment.keys / f"{role}.key").read_text().strip()
    reader = Reader(f"{deployed.deployment.registry_url}/ui/runs/{name}/live", key)
    return reader, reader.start()


def start(deployed, name: str) -> None:
    deployed.faults(vqa_1=SLOW)
    deployed.aggregator.create_run(run_document(name, rounds=["plain"], advance="manual", evaluation={"samples": 0}))
    deployed.eventually(lambda: deployed.aggregator.run(name).status.published == 0)
    deployed.aggregator.trigger(name, "end")
    deployed.eventually(lambda: deployed.aggregator.run(name).status.round == 1)


def test_a_page_hears_of_its_clients_and_is_loaded_again_when_the_round_ends(deployed):
    start(deployed, "heard")
    reader, thread = listen(deployed, "heard")
    deployed.eventually(lambda: "Answered" in reader.parts().get("client-cap-1", ""))
    assert reader.parts()["client-cap-1"].startswith("<tr")
    assert "Pause" not in reader.parts()["run-head"], "a viewer gets no buttons"
    deployed.eventually(lambda: reader.heard[-1][0] == "turn")
    thread.join(10)
    assert not thread.is_alive()


def test_a_page_outlives_the_aggregator(deployed):
    start(deployed, "outlived")
    reader, thread = listen(deployed, "outlived", "operator")
    deployed.eventually(lambda: "run-head" in reader.parts())
    assert "Pause" in reader.parts()["run-head"]
    deployed.kill("aggregator")
    deployed.eventually(lambda: any(kind == "away" for kind, _ in reader.heard))
    deployed.restart("aggregator")
    deployed.eventually(lambda: reader.heard[-1][0] == "turn")
    thread.join(10)
    assert not thread.is_alive()
