"""Signing in through a proxy, with real processes: nginx as docs/signing-in.md sets it up, a stand-in for oauth2-proxy,
and both services behind them."""

import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import nginx
import pytest
import yaml
from deployments import TESTS, Harness, free_ports, harness, run_document

PAGE = Path(__file__).parents[2] / "docs/signing-in.md"
SECRET = "known to the proxy only"
PEOPLE = {
    "ada": {"email": "ada@example.org", "groups": "staff,pilot-admins"},
    "mira": {"email": "mira@example.org", "groups": "pilot-operators"},
    "otto": {"email": "otto@example.org", "groups": "staff"},
    "eve": {"email": "eve@example.org", "groups": ""},
}
ROLES = {"pilot-admins": "admin", "pilot-operators": "operator", "staff": "viewer"}
FORGED = {
    "X-Forwarded-User": "root@example.org",
    "X-Forwarded-Groups": "pilot-admins",
    "X-Pilot-Proxy-Secret": "a guess",
}
HERE = {"Sec-Fetch-Site": "same-origin"}


def block() -> str:
    """The server block of the page."""
    (found,) = re.findall(r"^```nginx\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return found


def placed(folder: Path, front: int, who: int, registry: int) -> str:
    """The block with the ports and the file of a test."""
    secret = folder / "pilot-secret.conf"
    secret.write_text(f'proxy_set_header X-Pilot-Proxy-Secret "{SECRET}";\n')
    text = block()
    for written, meant in {
        "listen 8443;": f"listen 127.0.0.1:{front};",
        "127.0.0.1:4180": f"127.0.0.1:{who}",
        "127.0.0.1:8601": f"127.0.0.1:{registry}",
        "/etc/nginx/pilot-secret.conf": str(secret),
    }.items():
        assert written in text, written
        text = text.replace(written, meant)
    return text


@contextmanager
def answering(port: int):
    """The stand-in for oauth2-proxy."""
    process = subprocess.Popen([sys.executable, str(TESTS / "answers_who.py"), str(port), json.dumps(PEOPLE)])
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    """A deployment with a run that waits for its next round, and the address of the proxy before it."""
    nginx.demand_nginx()
    folder = tmp_path_factory.mktemp("front")
    file = folder / "proxy.yaml"
    file.write_text(yaml.safe_dump({"secretSha256": hashlib.sha256(SECRET.encode()).hexdigest(), "roles": ROLES}))
    port = free_ports()
    known = {"PILOT_REGISTRY_AUTH_PROXY": str(file), "PILOT_AGGREGATOR_AUTH_PROXY": str(file)}
    with harness(folder / "d", **known) as made:
        made.aggregator.create_run(run_document("t", advance="manual", evaluation={"samples": 0}))
        made.eventually(lambda: made.aggregator.run("t").status.published >= 0)
        registry = made.deployment.port + 1
        with answering(port + 1), nginx.serving(folder / "nginx", placed(folder, port, port + 1, registry), port):
            yield made, f"http://127.0.0.1:{port}"


@contextmanager
def browser(address: str, person: str | None = None, **headers: str):
    """Somebody's, who has signed in."""
    with httpx.Client(base_url=address, headers={"Accept": "text/html", **headers}, timeout=30) as client:
        if person:
            answer = client.get("/oauth2/start", params={"rd": "/ui", "person": person})
            assert answer.status_code == 302
        yield client


def audit(made, **filters: str) -> list[dict[str, str]]:
    key = made.deployment.token("admin").read()
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{made.deployment.registry_url}/api/v1alpha1/audit"
    items: list[dict[str, str]] = httpx.get(url, params=filters, headers=headers).json()["items"]
    return items


def test_who_has_not_signed_in_is_sent_to_do_so_and_comes_back(front):
    _, address = front
    with browser(address) as client:
        answer = client.get("/ui/runs")
        assert (answer.status_code, answer.headers["location"]) == (302, f"{address}/oauth2/start?rd=/ui/runs")
        back = client.get("/oauth2/start", params={"rd": "/ui/runs", "person": "mira"}, follow_redirects=True)
        assert back.status_code == 200
        assert "operator:mira@example.org" in back.text


def test_a_person_has_the_role_of_its_groups_and_no_button_to_sign_out_here(front):
    _, address = front
    for person, role, audited in (("ada", "admin", 200), ("mira", "operator", 403), ("otto", "viewer", 403)):
        with browser(address, person) as client:
            text = client.get("/ui").text
            assert f"{role}:{person}@example.org" in text
            assert "Sign out" not in text
            assert client.get("/ui/audit").status_code == audited


def test_who_is_in_no_group_is_told_so(front):
    _, address = front
    with browser(address, "eve") as client:
        answer = client.get("/ui")
        assert answer.status_code == 403
        assert "has no role here" in answer.text


def test_a_button_acts_at_the_aggregator_as_the_person(front):
    made, address = front
    with browser(address, "otto", **HERE) as client:
        assert client.post("/ui/runs/t/pause").status_code == 403
    with browser(address, "mira", **HERE) as client:
        answer = client.post("/ui/runs/t/pause")
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/ui/runs/t")
        made.eventually(lambda: "Paused" in conditions(made))
        assert client.post("/ui/runs/t/resume").status_code == 303
        made.eventually(lambda: "Paused" not in conditions(made))


def conditions(made: Harness) -> set[str]:
    return {condition.type for condition in made.aggregator.run("t").status.conditions}


def test_the_audit_names_the_person(front):
    made, address = front
    repo = "t/base-text"
    with browser(address, "mira", **HERE) as client:
        commit = client.get(f"/api/v1alpha1/adapters/{repo}/versions/main").json()["commit"]
        moved = client.put(
            f"/api/v1alpha1/adapters/{repo}/aliases/best", json={"commit": commit}, headers={"If-None-Match": "*"}
        )
        assert moved.status_code == 200, moved.text
    (entry,) = audit(made, by="operator:mira@example.org")
    assert (entry["action"], entry["object"]) == ("alias-moved", f"{repo}@best")
    with browser(address, "ada") as client:
        assert "operator:mira@example.org" in client.get("/ui/audit").text


def test_a_request_from_another_site_changes_nothing(front):
    made, address = front
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example.org"}, {}):
        with browser(address, "mira", **headers) as client:
            answer = client.post("/ui/runs/t/cancel")
            assert answer.status_code == 403
            assert "cross_site" in answer.text
    assert made.aggregator.run("t").status.phase != "Cancelled"


def test_headers_that_a_browser_sends_itself_are_overwritten_by_the_proxy(front):
    _, address = front
    with browser(address, "otto", **FORGED) as client:
        assert "viewer:otto@example.org" in client.get("/ui").text
        assert client.get("/ui/audit").status_code == 403
    with browser(address, "eve", **FORGED) as client:
        assert client.get("/ui").status_code == 403


@pytest.mark.parametrize("secret", [None, "a guess", ""])
def test_past_the_proxy_the_headers_mean_nothing(front, secret):
    made, _ = front
    headers = {**FORGED, "Accept": "application/json"}
    del headers["X-Pilot-Proxy-Secret"]
    if secret is not None:
        headers["X-Pilot-Proxy-Secret"] = secret
    for url in (made.deployment.registry_url + "/ui", made.deployment.aggregator_url + "/api/v1alpha1/runs"):
        assert httpx.get(url, headers=headers).status_code == 401


def test_a_program_with_a_key_passes_the_proxy_as_itself(front):
    made, address = front
    headers = {"Authorization": f"Bearer {made.deployment.token('operator').read()}", **FORGED}
    answer = httpx.get(f"{address}/ui", headers=headers)
    assert answer.status_code == 200
    assert "operator:" not in answer.text
    assert httpx.get(f"{address}/ui", headers={"Authorization": "Bearer nobody's"}).status_code in (303, 401)


def test_a_page_as_it_goes_comes_through_the_proxy(front):
    _, address = front
    with browser(address, "otto") as client, client.stream("GET", "/ui/runs/t/live") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert next(line for line in stream.iter_lines() if line.startswith("event:")) == "event: parts"


def test_the_form_for_keys_stays_open_beside_the_proxy(front):
    made, _ = front
    key = made.deployment.token("viewer").read()
    with httpx.Client(base_url=made.deployment.registry_url, headers={"Accept": "text/html"}) as client:
        assert client.post("/ui/login", data={"key": key, "next": "/ui"}, headers=HERE).status_code == 303
        text = client.get("/ui").text
        assert "Sign out" in text
        assert "example.org" not in text
