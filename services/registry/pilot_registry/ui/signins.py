"""Who has signed in with a key: the key, sealed in a cookie that only this registry can open.

Nothing is kept here, so a restart forgets nobody. Whoever steals the cookie jar has a sealed box that ends with the
session; whoever withdraws the key ends it at once. The seal is made anew by deleting its file.
"""

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from fastapi import Request, Response
from pilot_disk.files import write_atomically
from pilot_http.auth import Credential

COOKIE = "pilot_session"


class SignIns:
    """A Door, and the cookies behind it."""

    def __init__(self, file: Path, lasts_s: int) -> None:
        """`file` holds the seal; it is made when it is missing."""
        if not file.exists():
            write_atomically(file, Fernet.generate_key())
            os.chmod(file, 0o600)
        self._seal = Fernet(file.read_bytes())
        self._lasts_s = lasts_s

    def __call__(self, request: Request) -> Credential | None:
        """The key that the cookie holds, if it holds one and may be used for this request.

        With it only pages may change something: the API is for programs, which bring a key of their own.
        """
        sealed = request.cookies.get(COOKIE)
        if sealed is None or not _may_use(request):
            return None
        key = self.key_in(sealed)
        if key is None:
            return None
        return Credential(key, unasked=True, headers={"Authorization": f"Bearer {key}"})

    def key_in(self, sealed: str) -> str | None:
        """What a cookie holds, unless it is too old or not ours."""
        try:
            return self._seal.decrypt(sealed.encode(), ttl=self._lasts_s).decode()
        except (InvalidToken, UnicodeError):
            return None

    def begin(self, request: Request, response: Response, key: str) -> None:
        """Put a key into a cookie of the answer."""
        response.set_cookie(
            COOKIE,
            self._seal.encrypt(key.encode()).decode(),
            max_age=self._lasts_s,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https",
        )

    @staticmethod
    def end(response: Response) -> None:
        """Take it back."""
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def _may_use(request: Request) -> bool:
    return request.method in ("GET", "HEAD") or request.url.path.startswith("/ui")
