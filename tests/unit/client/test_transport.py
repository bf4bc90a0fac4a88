"""One HTTP connection: credentials, patience, problems turned into exceptions."""

import json

import httpx
import pytest
import stamina
from pilot_client.errors import ApiError, Unreachable
from pilot_client.transport import Token, Transport
from pilot_proto.problem import FieldError, Problem

PROBLEM = Problem(
    type="x",
    title="Conflict",
    status=409,
    code="name_taken",
    detail="a run named 't' exists",
    hint="choose another",
    errors=(FieldError(pointer="/metadata/name", message="taken"),),
)


class Service:
    """Answers in turn; the last answer for ever. An exception is raised instead."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def problem(status=409, **values):
    body = PROBLEM.model_copy(update={"status": status, **values}).model_dump_json()
    return httpx.Response(status, content=body, headers={"content-type": "application/problem+json"})


def transport(service, token=Token("key"), patience_s=0.0):
    return Transport("http://service/", token, patience_s=patience_s, transport=httpx.MockTransport(service))


@pytest.fixture
def patient():
    """A transport that tries three times and never sleeps."""
    with stamina.set_testing(True, attempts=3):
        yield lambda service, **options: transport(service, patience_s=60, **options)


AWAY = httpx.ConnectError("connection refused")
OK = httpx.Response(200, json={"fine": True})


def test_an_answer_is_returned():
    service = Service(OK)
    assert transport(service).request("GET", "/x", params={"a": 1}).json() == {"fine": True}
    (request,) = service.requests
    assert str(request.url) == "http://service/x?a=1"
    assert request.headers["authorization"] == "Bearer key"
    assert request.headers["accept-encoding"] == "identity"


# -- problems


def test_a_problem_is_an_error_with_everything_it_said():
    with pytest.raises(ApiError) as caught:
        transport(Service(problem())).request("POST", "/x")
    error = caught.value
    assert (error.status, error.code, error.problem) == (409, "name_taken", PROBLEM)
    assert str(error) == "a run named 't' exists [name_taken]; choose another"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422, 500])
def test_a_refusal_is_not_tried_again(patient, status):
    service = Service(problem(status))
    with pytest.raises(ApiError):
        patient(service).request("GET", "/x")
    assert len(service.requests) == 1


def test_an_error_that_is_no_problem_is_told_as_far_as_it_goes():
    with pytest.raises(ApiError) as caught:
        transport(Service(httpx.Response(400, text="<html>" + "x" * 1000))).request("GET", "/x")
    assert (caught.value.status, caught.value.code) == (400, "http")
    assert len(str(caught.value)) < 300


# -- patience


@pytest.mark.parametrize("answer", [AWAY, httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut off")])
def test_a_service_that_does_not_answer_is_unreachable(answer):
    service = Service(answer)
    with pytest.raises(Unreachable, match="http://service did not answer"):
        transport(service).request("GET", "/x")
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [502, 503, 504, 507])
def test_a_service_that_cannot_now_is_unreachable(status):
    with pytest.raises(Unreachable, match="a run named"):
        transport(Service(problem(status))).request("GET", "/x")


def test_a_service_that_comes_back_within_the_patience_is_heard(patient):
    service = Service(AWAY, problem(503), OK)
    assert patient(service).request("GET", "/x").json() == {"fine": True}
    assert len(service.requests) == 3


def test_patience_ends(patient):
    service = Service(AWAY)
    with pytest.raises(Unreachable):
        patient(service).request("GET", "/x")
    assert len(service.requests) == 3


def test_every_attempt_sends_the_whole_request_again(patient):
    service = Service(AWAY, AWAY, OK)
    patient(service).request("POST", "/x", json={"a": 1}, headers={"Idempotency-Key": "k1"}, params={"b": 2})
    for request in service.requests:
        assert json.loads(request.content) == {"a": 1}
        assert request.headers["idempotency-key"] == "k1"
        assert request.url.query == b"b=2"


# -- credentials


def test_a_token_file_is_read_again_for_every_attempt(patient, tmp_path):
    file = tmp_path / "token"
    file.write_text("first\n")

    class Rotating(Service):
        def __call__(self, request):
            file.write_text("second\n")
            return super().__call__(request)

    service = Rotating(AWAY, OK)
    patient(service, token=Token(file=file)).request("GET", "/x")
    assert [r.headers["authorization"] for r in service.requests] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({"PILOT_TOKEN": "given"}, "given"), ({"PILOT_TOKEN": "given", "PILOT_TOKEN_FILE": "file"}, "filed"), ({}, "")],
)
def test_the_environment_names_the_token(monkeypatch, tmp_path, environment, expected):
    (tmp_path / "file").write_text("filed")
    for name in ("PILOT_TOKEN", "PILOT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value) if name.endswith("FILE") else value)
    assert Token.of_environment().read() == expected


# -- files


class Body(httpx.SyncByteStream):
    """Chunks, then perhaps a line that is cut off."""

    def __init__(self, *chunks, cut=False):
        self.chunks = chunks
        self.cut = cut

    def __iter__(self):
        yield from self.chunks
        if self.cut:
            raise httpx.ReadError("cut off")


def sent(*chunks, cut=False):
    return httpx.Response(200, stream=Body(*chunks, cut=cut))


def test_a_file_is_received_whole(tmp_path):
    transport(Service(sent(b"abc", b"def"))).receive("/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"abcdef"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [(sent(b"abc", cut=True), Unreachable), (AWAY, Unreachable), (problem(404), ApiError), (problem(503), Unreachable)],
)
def test_a_file_that_does_not_arrive_whole_is_absent(tmp_path, answer, error):
    with pytest.raises(error):
        transport(Service(answer)).receive("/f", tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_until_the_new_file_is_whole(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    with pytest.raises(Unreachable):
        transport(Service(sent(b"new", cut=True))).receive("/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"old"


def test_a_transfer_that_was_cut_off_begins_again(patient, tmp_path):
    service = Service(sent(b"abc", cut=True), sent(b"abc", b"def"))
    patient(service).receive("/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"abcdef"
    assert len(service.requests) == 2


def test_a_file_is_sent_whole_on_every_attempt(patient, tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    service = Service(AWAY, OK)
    patient(service).send_file("/files", tmp_path / "f", {"digest": "d"})
    for request in service.requests:
        assert request.method == "PUT"
        assert request.content == b"x" * 100_000
        assert request.headers["content-length"] == "100000"
        assert "transfer-encoding" not in request.headers
        assert request.url.params["digest"] == "d"


# -- events


def test_events_are_lines_and_resume_where_they_ended():
    service = Service(httpx.Response(200, content=b"id: 7\nevent: A\ndata: {}\n\n"))
    with transport(service).events("/e", "6") as lines:
        assert list(lines) == ["id: 7", "event: A", "data: {}", ""]
    assert service.requests[0].headers["last-event-id"] == "6"


def test_events_from_the_beginning_name_no_position():
    service = Service(OK)
    with transport(service).events("/e", None):
        assert "last-event-id" not in service.requests[0].headers


@pytest.mark.parametrize(("answer", "error"), [(problem(404), ApiError), (AWAY, Unreachable)])
def test_events_that_cannot_be_followed(answer, error):
    with pytest.raises(error), transport(Service(answer)).events("/e", None):
        pass


def test_a_stream_that_is_cut_off_is_unreachable():
    with (
        pytest.raises(Unreachable),
        transport(Service(sent(b"id: 1\n\n", cut=True))).events("/e", None) as lines,
    ):
        list(lines)
