"""From a run to its cards: what the services do together, with the stand-in trainer."""

import re

import httpx
import pytest
import yaml
from deployments import harness, run_document, write_federation

CLIENTS = {"vqa-1": "vqa", "vqa-2": "vqa", "cap-1": "caption"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of one round whose base has a licence; its raw updates are deleted at its end."""
    folder = tmp_path_factory.mktemp("finished")
    federation = write_federation(folder, CLIENTS)
    document = yaml.safe_load(federation.read_text())
    document["spec"]["models"][0]["license"] = "llama2"
    federation.write_text(yaml.safe_dump(document))
    with harness(folder, federation=federation) as made:
        retention = {"raw_updates": "until-run-ends"}
        assert made.run(run_document(rounds=["plain"], method="pilot", retention=retention)).status.phase == "Succeeded"
        yield made


def read(finished, path: str, who: str = "viewer") -> httpx.Response:
    key = (finished.deployment.keys / f"{who}.key").read_text().strip()
    return httpx.get(f"{finished.deployment.registry_url}{path}", headers={"Authorization": f"Bearer {key}"})


def test_a_runs_card_has_the_licence_the_rule_and_means_that_outlive_the_updates(finished):
    report = finished.aggregator.report("t")
    merged = [client["merged"][0] for client in report["clients"] if client["task"] == "vqa"]
    text = read(finished, "/t/client-vqa-1-text/resolve/main/README.md", "aggregator").text
    assert "license: llama2" in text
    assert "| Merge rule | `nearest`" in text
    (value,) = re.findall(r"^\| `vqa` \| .* \| merged\(1\) \| (\S+) \| 2 \|", text, re.MULTILINE)
    assert float(value) == pytest.approx(sum(merged) / 2, rel=1e-3)


def test_a_task_of_one_client_has_no_mean_on_any_card(finished):
    for repo in ("t/task-caption-connector", "t/client-cap-1-text", "t/client-vqa-1-text"):
        text = read(finished, f"/{repo}/resolve/round-1/README.md", "aggregator").text
        assert "| Merge plan | `sha256:" in text
        assert "`caption` | `" not in text
