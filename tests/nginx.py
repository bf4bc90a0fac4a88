"""A private nginx for tests: no user of its own, everything in a folder, gone at the end.

Without one such tests are skipped, visibly; where PILOT_REQUIRE names nginx, they fail instead.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

READY_S = 30
PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

MAIN = """
daemon off;
master_process off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
{temporary}
{servers}
}}
"""


def program() -> str:
    """Empty where there is none; Debian keeps it off the path of ordinary users."""
    return shutil.which("nginx") or next((place for place in PLACES if Path(place).exists()), "")


def demand_nginx() -> None:
    """Skip the test, or fail it, where there is none."""
    if program():
        return
    if "nginx" in os.environ.get("PILOT_REQUIRE", "").split(","):
        pytest.fail("PILOT_REQUIRE names nginx, but there is none: apt-get install nginx")
    pytest.skip("no nginx: apt-get install nginx")


@contextmanager
def serving(folder: Path, servers: str, port: int) -> Iterator[None]:
    """Run it with these `server` blocks, of which one listens on the port."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = "\n".join(f"    {name}_temp_path {folder}/{name};" for name in TEMPORARY)
    file = folder / "nginx.conf"
    file.write_text(MAIN.format(folder=folder, temporary=temporary, servers=servers))
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen([program(), "-p", str(folder), "-c", str(file)], stdout=out, stderr=out)
    try:
        _wait(process, folder, port)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        assert process.poll() is None, (folder / "out").read_text() + (folder / "error.log").read_text()
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nginx did not listen within {READY_S} s")
