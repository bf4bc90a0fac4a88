"""The services' routes as methods."""

import json

import httpx
import pytest
from pilot_client.aggregator import AggregatorClient
from pilot_client.registry import RegistryClient
from pilot_client.transport import Token, Transport
from pilot_proto.canonical import canonical_bytes, digest_of
from pilot_proto.grant import Grant, Handed, Publication, PublishRequest, SealedRound
from pilot_proto.run import Progress, StageTime

API = "/api/v1alpha1"
GRANT = Grant(
    uid="u", run="t", round=1, client="vqa-1", task="vqa", program="plain", assignment=digest_of(b"a"), kinds=()
)
PUBLICATION = Publication(run="t", round=1, outputs={}, plan=digest_of(b""), ledger=digest_of(b""))


class Recorder:
    """Remembers requests; answers with one body."""

    def __init__(self, body=b"{}"):
        self.body = body
        self.requests = []

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        return httpx.Response(200, content=self.body)

    @property
    def said(self):
        (request,) = self.requests
        return request.method, request.url.raw_path.decode(), request.content


def over(kind, recorder):
    return kind(Transport("http://s", Token("key"), transport=httpx.MockTransport(recorder)))


@pytest.mark.parametrize(
    ("act", "method", "path", "body"),
    [
        (
            lambda c: c.send_progress("t", 1, "vqa-1", Progress(step=3)),
            "POST",
            "/runs/t/rounds/1/clients/vqa-1/progress",
            {"step": 3, "total_steps": 0, "stage": "", "losses": {}},
        ),
        (
            lambda c: c.send_report("t", 1, "vqa-1", "0" * 40),
            "POST",
            "/runs/t/rounds/1/clients/vqa-1/report",
            {"commit": "0" * 40, "timings": []},
        ),
        (
            lambda c: c.send_report("t", 1, "vqa-1", "0" * 40, [StageTime(stage="training", seconds=2.5)]),
            "POST",
            "/runs/t/rounds/1/clients/vqa-1/report",
            {"commit": "0" * 40, "timings": [{"stage": "training", "seconds": 2.5}]},
        ),
        (
            lambda c: c.send_failure("t", 1, "vqa-1", "bad_data", "none"),
            "POST",
            "/runs/t/rounds/1/clients/vqa-1/failure",
            {"code": "bad_data", "message": "none"},
        ),
        (lambda c: c.create_run({"a": 1}, dry_run=True), "POST", "/runs?dry_run=true", {"a": 1}),
        (lambda c: c.report("t", scores=True), "GET", "/runs/t/report?scores=true", None),
        (lambda c: c.federation(), "GET", "/federation", None),
        (lambda c: c.logs("t", 1, "vqa-1"), "GET", "/runs/t/rounds/1/clients/vqa-1/logs", None),
    ],
)
def test_a_method_of_the_aggregator_is_one_request(act, method, path, body):
    recorder = Recorder()
    act(over(AggregatorClient, recorder))
    assert recorder.said[:2] == (method, API + path)
    assert (json.loads(recorder.said[2]) if recorder.said[2] else None) == body


def test_a_run_is_created_under_its_key():
    recorder = Recorder()
    over(AggregatorClient, recorder).create_run({}, key="k1")
    assert recorder.requests[0].headers["idempotency-key"] == "k1"


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, "limit=50"),
        ({"phase": "Failed", "limit": 2, "cursor": "abc"}, "phase=Failed&limit=2&cursor=abc"),
    ],
)
def test_a_list_sends_only_what_was_asked(options, query):
    recorder = Recorder(b'{"items": []}')
    assert over(AggregatorClient, recorder).runs(**options).items == ()
    assert recorder.said[1] == f"{API}/runs?{query}"


def test_documents_go_to_the_registry_as_canonical_bytes():
    request = PublishRequest(publication=PUBLICATION, manifests=())
    for act, body, answer in (
        (lambda c: c.put_grant(GRANT), canonical_bytes(GRANT), b"{}"),
        (lambda c: c.publish("u", 1, request), canonical_bytes(request), canonical_bytes(PUBLICATION)),
    ):
        recorder = Recorder(answer)
        act(over(RegistryClient, recorder))
        assert recorder.said[2] == body


@pytest.mark.parametrize(
    ("act", "method", "path"),
    [
        (lambda c: c.put_grant(GRANT), "PUT", "/grants/u/1/vqa-1"),
        (lambda c: c.put_grants("u", 1, [GRANT]), "PUT", "/grants/u/1"),
        (lambda c: c.hand_out("u", 1, "vqa-1", Handed(commits=("0" * 40,))), "PUT", "/grants/u/1/vqa-1/handed"),
        (lambda c: c.revoke_grants("u"), "DELETE", "/grants/u"),
        (lambda c: c.retire("u", 1), "POST", "/rounds/u/1/retire"),
        (lambda c: c.get("compare", a="x", b="y"), "GET", "/compare?a=x&b=y"),
        (lambda c: c.round("u", 1), "GET", "/rounds/u/1?known=0"),
        (lambda c: c.round("u", 1, 7), "GET", "/rounds/u/1?known=7"),
    ],
)
def test_a_method_of_the_registry_is_one_request(act, method, path):
    recorder = Recorder()
    act(over(RegistryClient, recorder))
    assert recorder.said[:2] == (method, API + path)


def test_a_seal_is_read_back():
    sealed = SealedRound(run="t", round=1, updates=())
    assert over(RegistryClient, Recorder(canonical_bytes(sealed))).seal("u", 1) == sealed


@pytest.mark.parametrize(
    ("etag", "header", "value"), [("0" * 40, "if-match", f'"{"0" * 40}"'), (None, "if-none-match", "*")]
)
def test_an_alias_moves_only_from_where_it_is_thought_to_stand(etag, header, value):
    recorder = Recorder()
    over(RegistryClient, recorder).set_alias("t/task-vqa-connector", "best", "1" * 40, etag)
    (request,) = recorder.requests
    assert request.headers[header] == value
    assert len({"if-match", "if-none-match"} & set(request.headers)) == 1
    assert recorder.said == ("PUT", f"{API}/adapters/t/task-vqa-connector/aliases/best", request.content)
    assert json.loads(request.content) == {"commit": "1" * 40}


@pytest.mark.parametrize("client", [None, "vqa-1"])
def test_a_file_is_sent_under_a_grant_or_as_the_aggregator(tmp_path, client):
    (tmp_path / "f").write_bytes(b"abc")
    recorder = Recorder()
    digest = digest_of(b"abc")
    over(RegistryClient, recorder).put_file(tmp_path / "f", digest, uid="u", round=1, kind="text", client=client)
    query = dict(recorder.requests[0].url.params)
    expected = {"digest": digest, "uid": "u", "round": "1", "kind": "text"}
    assert query == (expected | {"client": client} if client else expected)
