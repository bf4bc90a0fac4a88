"""Before an install: do the S3 server and the databases that the values name let us in? Says which value is wrong."""

import os
import ssl
import sys
import time
import uuid
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy
import urllib3
from minio import Minio
from minio.error import MinioException, S3Error
from sqlalchemy.exc import SQLAlchemyError

PATIENCE_S = 20
KEYS_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Forbidden")


def main() -> int:
    """The exit code: 1 when something that is needed does not work."""
    faults = []
    if "PILOT_REGISTRY_S3_ENDPOINT" in os.environ:
        faults.append(patiently(store_fault))
    for service in ("aggregator", "registry"):
        if url := os.environ.get(f"{service.upper()}_DSN"):
            faults.append(patiently(lambda service=service, url=url: database_fault(service, url)))
    found = [fault for fault in faults if fault]
    for fault in found:
        print(f"FAILED  {fault}", flush=True)
    if not found:
        print("ok  everything that the values name lets us in")
    return 1 if found else 0


def patiently(fault: Callable[[], str]) -> str:
    """What is wrong, still, after a while; empty when nothing is."""
    deadline = time.monotonic() + PATIENCE_S
    while (said := fault()) and time.monotonic() < deadline:
        time.sleep(2)
    return said


def store_fault() -> str:
    setting = {name: os.environ[f"PILOT_REGISTRY_S3_{name}"] for name in ("ENDPOINT", "BUCKET", "REGION")}
    endpoint, bucket = setting["ENDPOINT"], setting["BUCKET"]
    try:
        use(client_of(endpoint, setting["REGION"]), bucket, os.environ.get("PILOT_REGISTRY_S3_PREFIX", ""))
    except S3Error as error:
        if error.code == "NoSuchBucket":
            return f"objectStore.bucket is {bucket!r}: {endpoint} has no such bucket; make it first"
        if error.code in KEYS_REFUSED:
            return (
                f"objectStore.existingSecret: {endpoint} refuses these keys for the bucket {bucket!r}: "
                f"{error.code}: {error.message}"
            )
        return f"objectStore: {endpoint} answered {error.code}: {error.message}"
    except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return f"objectStore.external.ca: nothing vouches for the certificate of {endpoint}: {error}"
        return f"objectStore.external.endpoint is {endpoint!r}, which cannot be reached: {error}"
    return ""


def client_of(endpoint: str, region: str) -> Minio:
    where = urlsplit(endpoint)
    access, secret = (
        Path(os.environ[f"PILOT_REGISTRY_S3_{name}_KEY_FILE"]).read_text().strip() for name in ("ACCESS", "SECRET")
    )
    trusted = ssl.create_default_context(cafile=os.environ.get("PILOT_REGISTRY_S3_CA_FILE"))
    connections = urllib3.PoolManager(timeout=5, retries=False, ssl_context=trusted)
    client = Minio(
        where.netloc,
        access_key=access,
        secret_key=secret,
        secure=where.scheme == "https",
        region=region,
        http_client=connections,
    )
    if os.environ["PILOT_REGISTRY_S3_ADDRESSING"] == "virtual-host":
        client.enable_virtual_style_endpoint()
    return client


def use(client: Minio, bucket: str, prefix: str) -> None:
    """Put, get and delete, as the registry will."""
    name, body = f"{prefix}probe/{uuid.uuid4().hex}", b"written before an install, to see whether it works"
    client.put_object(bucket, name, BytesIO(body), len(body))
    answer = client.get_object(bucket, name)
    try:
        if answer.read() != body:
            raise OSError(f"{name} came back with other bytes")
    finally:
        answer.close()
    client.remove_object(bucket, name)


def database_fault(service: str, url: str) -> str:
    where = f"{service}.database.existingSecret"
    try:
        engine = sqlalchemy.create_engine(url, connect_args={"connect_timeout": 5} if "postgres" in url else {})
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
    except (SQLAlchemyError, ImportError) as error:
        return f"{where}: its URL leads to no database that lets us in: {str(error).splitlines()[0]}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
