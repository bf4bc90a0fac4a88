"""Telling the deployment's webhook that a run has ended."""

import base64
import json
from datetime import timedelta

import pytest
from pilot_aggregator.settings import Settings
from pilot_aggregator.store.runs import StaleStatus
from pilot_aggregator.webhook import Receiver, Webhook, read_secret, signature, wait_after
from pilot_proto.run import Condition
from pilot_proto.webhook import RunEnded
from pydantic import ValidationError
from unit.aggregator.listener import Listener, listening
from unit.aggregator.world import NOW, FrozenClock, run_record, store_in

SECRET = b"a secret of at least 16 bytes"
PARTIAL = (Condition(type="Partial", reason="ClientLost", message="round 1: vqa-1 (Late)"),)


@pytest.fixture
def clock():
    return FrozenClock()


@pytest.fixture
def store(tmp_path):
    return store_in(tmp_path)


def webhook_at(url, store, clock, folder, attempts=3):
    (folder / "secret").write_bytes(SECRET)
    return Webhook(store, Receiver(url, folder / "secret", attempts, 5.0, "http://here"), clock)


def end_a_run(store, webhook, phase="Succeeded", conditions=PARTIAL):
    run = run_record(phase="Merging", published=3)
    store.create_run(run, None, None)
    told = webhook.delivery(run, phase, conditions, NOW)
    store.write_status(run, phase=phase, conditions=conditions, round=3, ended_at=NOW, delivery=told)
    return run


def test_an_ended_run_is_told_once_signed_and_with_the_way_to_its_report(store, clock, tmp_path):
    listener = Listener()
    with listening(listener) as url:
        webhook = webhook_at(url, store, clock, tmp_path)
        run = end_a_run(store, webhook)
        webhook.tell_due()
        webhook.tell_due()
        webhook.close()
    ((headers, body),) = listener.seen
    assert headers["webhook-id"] == f"{run.uid}-Succeeded"
    timestamp = int(headers["webhook-timestamp"])
    assert timestamp == int(NOW.timestamp())
    assert headers["webhook-signature"] == signature(SECRET, headers["webhook-id"], timestamp, body)
    told = RunEnded.model_validate_json(body)
    assert (told.type, told.timestamp, told.data.run, told.data.phase) == ("run.ended", NOW, "t", "Succeeded")
    assert told.data.conditions == PARTIAL
    assert told.data.report == "http://here/api/v1alpha1/runs/t/report"
    assert store.count_deliveries() == {"delivered": 1}


def test_the_signature_is_that_of_standard_webhooks():
    # The example of the specification's reference implementations.
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [302, 400, 500])
def test_what_is_not_taken_is_sent_again_later_with_the_same_id_and_body(store, clock, tmp_path, status):
    listener = Listener(status)
    with listening(listener) as url:
        webhook = webhook_at(url, store, clock, tmp_path)
        end_a_run(store, webhook)
        webhook.tell_due()
        webhook.tell_due()
        assert len(listener.seen) == 1
        clock.advance(6)
        webhook.tell_due()
        webhook.close()
    (first, body), (second, again) = listener.seen
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert first["webhook-signature"] != second["webhook-signature"]
    assert store.count_deliveries() == {"delivered": 1}


def test_after_the_last_attempt_it_is_given_up_and_people_are_told(store, clock, tmp_path):
    listener = Listener(*[500] * 9)
    with listening(listener) as url:
        webhook = webhook_at(url, store, clock, tmp_path, attempts=3)
        run = end_a_run(store, webhook)
        for _ in range(5):
            webhook.tell_due()
            clock.advance(3600)
        webhook.close()
    assert len(listener.seen) == 3
    assert store.count_deliveries() == {"given_up": 1}
    last = store.events_after(run.uid, 0)[-1]
    assert (last.type, last.message) == ("WebhookGivenUp", "HTTP 500")


def test_a_receiver_that_is_gone_is_left_alone_at_once(store, clock, tmp_path):
    listener = Listener(410)
    with listening(listener) as url:
        webhook = webhook_at(url, store, clock, tmp_path)
        end_a_run(store, webhook)
        webhook.tell_due()
        webhook.close()
    assert store.count_deliveries() == {"given_up": 1}


def test_nobody_there_is_no_error_but_another_attempt(store, clock, tmp_path):
    webhook = webhook_at("http://127.0.0.1:9/hook", store, clock, tmp_path)
    end_a_run(store, webhook)
    webhook.tell_due()
    assert store.count_deliveries() == {"pending": 1}
    assert store.next_delivery() == NOW + timedelta(seconds=5)
    webhook.close()


def test_waits_double_and_end_at_an_hour():
    waits = [wait_after(n, 5.0).total_seconds() for n in (1, 2, 3, 11, 100)]
    assert waits == [5, 10, 20, 3600, 3600]


def test_a_status_that_is_stale_leaves_nothing_to_tell(store, clock, tmp_path):
    webhook = webhook_at("http://127.0.0.1:9/hook", store, clock, tmp_path)
    run = run_record(phase="Merging")
    store.create_run(run, None, None)
    store.request(run.uid, paused=True)
    told = webhook.delivery(run, "Failed", (), NOW)
    with pytest.raises(StaleStatus):
        store.write_status(run, phase="Failed", conditions=(), round=1, ended_at=NOW, delivery=told)
    assert store.count_deliveries() == {}
    webhook.close()


def test_a_secret_may_be_written_as_standard_webhooks_does_and_a_short_one_is_refused(tmp_path):
    file = tmp_path / "secret"
    file.write_text("whsec_" + base64.b64encode(SECRET).decode() + "\n")
    assert read_secret(file) == SECRET
    file.write_text("short")
    with pytest.raises(ValueError, match="5 bytes; a secret has at least 16"):
        read_secret(file)
    file.write_text("whsec_!!!")
    with pytest.raises(ValueError, match="base64"):
        read_secret(file)


def test_a_webhook_without_a_secret_is_refused_at_the_start(tmp_path):
    given = dict.fromkeys(("state_dir", "federation", "keys", "key_dir"), tmp_path)
    with pytest.raises(ValidationError, match="a webhook is signed"):
        Settings(**given, registry_url="http://r", webhook_url="http://127.0.0.1/x")
    with pytest.raises(ValidationError, match="webhook_url"):
        Settings(**given, registry_url="http://r", webhook_url="ftp://x", webhook_secret_file=tmp_path)


def test_the_body_holds_nothing_private(store, clock, tmp_path):
    webhook = webhook_at("http://127.0.0.1:9/hook", store, clock, tmp_path)
    end_a_run(store, webhook)
    (due,) = store.due_deliveries(NOW)
    assert set(json.loads(due.body)["data"]) == {"run", "uid", "phase", "conditions", "published", "report"}
    webhook.close()
