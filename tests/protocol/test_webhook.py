"""The webhook over real processes: told although the aggregator was killed in between, and signed."""

import json

from deployments import harness, run_document
from pilot_aggregator.webhook import signature
from unit.aggregator.listener import Listener, listening

SECRET = "a secret of at least 16 bytes"


def test_a_run_that_ended_is_told_although_the_aggregator_was_killed_before_it_was_heard(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    listener = Listener(*[503] * 1000)
    with listening(listener) as url:
        settings = {
            "PILOT_AGGREGATOR_WEBHOOK_URL": url,
            "PILOT_AGGREGATOR_WEBHOOK_SECRET_FILE": str(tmp_path / "secret"),
            "PILOT_AGGREGATOR_WEBHOOK_RETRY_S": "0.5",
        }
        with harness(tmp_path / "d", **settings) as deployed:
            run = deployed.run(run_document("told", rounds=["plain"], evaluation={"samples": 0}))
            deployed.eventually(lambda: listener.seen)
            deployed.kill("aggregator")
            listener.statuses.clear()
            heard = len(listener.seen)
            deployed.restart("aggregator")
            deployed.eventually(lambda: len(listener.seen) > heard)
    headers, body = listener.seen[-1]
    assert headers["webhook-id"] == f"{run.status.uid}-Succeeded" == listener.seen[0][0]["webhook-id"]
    expected = signature(SECRET.encode(), headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == expected
    assert body == listener.seen[0][1]
    told = json.loads(body)["data"]
    assert (told["run"], told["phase"]) == ("told", "Succeeded")
    assert told["report"] == f"{deployed.deployment.aggregator_url}/api/v1alpha1/runs/told/report"
