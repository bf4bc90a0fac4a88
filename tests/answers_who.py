"""A stand-in for oauth2-proxy, as a process of its own: it answers who somebody is by a cookie, and hands it out to
whoever names a person. `python answers_who.py PORT PEOPLE`, PEOPLE as JSON: name to email and groups.
"""

import json
import sys
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

COOKIE = "_oauth2_proxy"
PEOPLE: dict[str, dict[str, str]] = {}


class Answers(BaseHTTPRequestHandler):
    """`/oauth2/auth`: 202 with headers, or 401. `/oauth2/start?rd=...&person=...`: a cookie, and back."""

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        if place.path == "/oauth2/auth":
            self._auth()
        elif place.path == "/oauth2/start":
            self._start(parse_qs(place.query))
        else:
            self._answer(404)

    def _auth(self) -> None:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        person = PEOPLE.get(cookie.value) if cookie else None
        if person is None:
            self._answer(401)
            return
        headers = {"X-Auth-Request-Email": person["email"]}
        if person["groups"]:
            headers["X-Auth-Request-Groups"] = person["groups"]
        self._answer(202, headers)

    def _start(self, query: dict[str, list[str]]) -> None:
        if "person" not in query:
            # Here the identity provider would ask.
            self._answer(200)
            return
        cookie = f"{COOKIE}={query['person'][0]}; Path=/; HttpOnly"
        self._answer(302, {"Set-Cookie": cookie, "Location": query["rd"][0]})

    def _answer(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    PEOPLE.update(json.loads(sys.argv[2]))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
