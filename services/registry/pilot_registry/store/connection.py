"""A connection to an S3 server, as the settings describe it."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import certifi
from minio import Minio
from minio.credentials import Credentials, Provider
from pydantic import SecretStr
from urllib3 import PoolManager, Retry, Timeout

from pilot_registry.settings import Settings
from pilot_registry.store.bucket import BucketStore
from pilot_registry.store.port import StoreFault

CONNECT_TIMEOUT_S = 10
RETRIES = 5
FIRST_WAIT_S = 0.2
TRANSIENT = (500, 502, 503, 504)
CONNECTIONS = 64


class Keys(Provider):  # type: ignore[misc]
    """Access and secret key, each given or in a file, which is read for every request: it may be rotated."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def retrieve(self) -> Credentials:
        """Raises StoreFault when a file cannot be read or is empty."""
        known = self._settings
        return Credentials(
            _key(known.s3_access_key, known.s3_access_key_file), _key(known.s3_secret_key, known.s3_secret_key_file)
        )


def _key(given: SecretStr | None, file: Path | None) -> str:
    if file is None:
        return given.get_secret_value() if given else ""
    try:
        key = file.read_text().strip()
    except OSError as error:
        raise StoreFault(
            f"{file} cannot be read: {error.strerror}", hint="mount the bucket's keys there", permanent=True
        ) from error
    if not key:
        raise StoreFault(f"{file} is empty", hint="write the bucket's key into it", permanent=True)
    return key


def open_bucket(settings: Settings) -> BucketStore:
    """The store in the settings' bucket. No request is made."""
    assert settings.s3_endpoint
    assert settings.s3_bucket
    endpoint = urlsplit(settings.s3_endpoint)
    client = Minio(
        endpoint.netloc,
        secure=endpoint.scheme == "https",
        region=settings.s3_region,
        credentials=Keys(settings),
        http_client=_pool(settings),
    )
    if settings.s3_addressing == "virtual-host":
        client.enable_virtual_style_endpoint()
    elif settings.s3_addressing == "path":
        client.disable_virtual_style_endpoint()
    return BucketStore(
        client,
        settings.s3_bucket,
        place=f"bucket {settings.s3_bucket!r} at {settings.s3_endpoint}",
        prefix=settings.s3_prefix,
        part_bytes=settings.s3_part_bytes,
        parallel_parts=settings.s3_parallel_parts,
    )


def _pool(settings: Settings) -> PoolManager:
    authorities = settings.s3_ca_file or os.environ.get("SSL_CERT_FILE") or certifi.where()
    return PoolManager(
        # Between two bytes, never for a whole transfer.
        timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=settings.s3_idle_s),
        maxsize=CONNECTIONS,
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(authorities),
        retries=Retry(
            total=RETRIES,
            backoff_factor=FIRST_WAIT_S,
            status_forcelist=TRANSIENT,
            raise_on_status=False,
            redirect=False,
        ),
    )
