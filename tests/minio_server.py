"""A real MinIO server on loopback, for tests of the bucket.

`make minio` builds it. Without it such tests are skipped, visibly; where PILOT_REQUIRE names minio, they fail instead.
"""

import os
import random
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from minio import Minio
from minio.credentials import StaticProvider
from minio.error import S3Error
from minio.minioadmin import MinioAdmin

BINARY = Path(__file__).parent.parent / ".minio" / "bin" / "minio"
READY_S = 60
REGION = "us-east-1"


@dataclass(frozen=True)
class Server:
    """A running server and its root keys."""

    endpoint: str
    access_key: str
    secret_key: str

    def client(self, access_key: str | None = None, secret_key: str | None = None) -> Minio:
        """Raw access, as root or as somebody."""
        keys = (access_key or self.access_key, secret_key or self.secret_key)
        return Minio(self.endpoint, *keys, secure=False, region=REGION)

    def admin(self) -> MinioAdmin:
        """Users, policies and quotas."""
        keys = StaticProvider(self.access_key, self.secret_key)
        return MinioAdmin(endpoint=self.endpoint, credentials=keys, secure=False)

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"pilot-{secrets.token_hex(6)}"
        self.client().make_bucket(name)
        return name

    def user(self, policy: str) -> tuple[str, str]:
        """The keys of a new user with one of the server's own policies, such as `readonly`."""
        keys = secrets.token_hex(8), secrets.token_hex(16)
        admin = self.admin()
        admin.user_add(*keys)
        admin.policy_set(policy, user=keys[0])
        return keys

    def settings(self, bucket: str, endpoint: str | None = None, **changes: Any) -> dict[str, Any]:
        """The registry's settings for a bucket of this server."""
        known = {
            "store": "s3",
            "s3_endpoint": f"http://{endpoint or self.endpoint}",
            "s3_bucket": bucket,
            "s3_access_key": self.access_key,
            "s3_secret_key": self.secret_key,
        }
        return {**known, **changes}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server over a folder, ready to answer."""
    server = Server(_free_address(), secrets.token_hex(8), secrets.token_hex(16))
    environment = {
        **os.environ,
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(BINARY), "server", "--quiet", "--address", server.endpoint, str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_ready(server, process)
        yield server
    finally:
        process.kill()
        process.wait()


def demand_minio() -> None:
    """Skip the test, or fail it, where there is no server to run."""
    if BINARY.exists():
        return
    if "minio" in os.environ.get("PILOT_REQUIRE", ""):
        pytest.fail("PILOT_REQUIRE names minio, but there is none: make minio")
    pytest.skip("no MinIO: make minio")


def _wait_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    """Until it also answers a stranger: just after its start, `ready`, it sometimes lets one wait for a minute."""
    deadline = time.monotonic() + READY_S
    with urllib3.PoolManager(retries=False, timeout=1) as http:
        stranger = Minio(server.endpoint, "stranger", "stranger", secure=False, region=REGION, http_client=http)
        while time.monotonic() < deadline:
            assert process.poll() is None, "MinIO ended at once"
            try:
                if http.request("GET", f"http://{server.endpoint}/minio/health/ready").status == 200:
                    stranger.list_buckets()
            except S3Error as error:
                if error.code == "InvalidAccessKeyId":
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.02)
    raise AssertionError(f"MinIO was not ready within {READY_S} s")


def _free_address() -> str:
    for _ in range(100):
        # Below the range from which the system takes ports for connections: a client that knocks too early on one of
        # those can meet itself.
        port = random.randrange(20000, 32000)
        with suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise AssertionError("no free port")
