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
from pilot_disk.database import ADDRESS, connect
from pilot_disk.faults import DatabaseUnusable, shown, unusable
from sqlalchemy.exc import SQLAlchemyError

PATIENCE_S = 20
SERVICES = ("aggregator", "registry")
LOGIN_REFUSED = ("authentication failed", "pg_hba.conf", "does not exist", "no password supplied", "permission denied")
KEYS_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Forbidden")


class Away(Exception):
    """Somebody does not answer, and may do so in a while."""


def main() -> int:
    """The exit code: 1 when something that is needed does not work."""
    faults = []
    if "PILOT_REGISTRY_S3_ENDPOINT" in os.environ:
        faults.append(patiently(store_fault))
    addresses = {service: url for service in SERVICES if (url := os.environ.get(f"{service.upper()}_DSN"))}
    for service, url in addresses.items():
        faults.append(patiently(lambda service=service, url=url: database_fault(service, url)))
    faults.append(shared_fault(addresses))
    found = [fault for fault in faults if fault]
    for fault in found:
        print(f"FAILED  {fault}", flush=True)
    if not found:
        print("ok  everything that the values name lets us in")
    return 1 if found else 0


def patiently(fault: Callable[[], str]) -> str:
    """What is wrong; empty when nothing is. Who does not answer is given a while."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return fault()
        except Away as away:
            if time.monotonic() > deadline:
                return str(away)
        time.sleep(2)


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
        raise Away(f"objectStore: {endpoint} answered {error.code}: {error.message}") from error
    except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return f"objectStore.external.ca: nothing vouches for the certificate of {endpoint}: {error}"
        raise Away(f"objectStore.external.endpoint is {endpoint!r}, which cannot be reached: {error}") from error
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
        engine = connect(url)
    except DatabaseUnusable as error:
        return f"{where}: {error}"
    if engine.url.get_backend_name() != "postgresql":
        return f"{where}: {shown(engine.url)} is no Postgres; write {ADDRESS}"
    try:
        with engine.connect() as connection:
            may_create = connection.scalar(sqlalchemy.text("SELECT has_schema_privilege(current_schema(), 'CREATE')"))
    except SQLAlchemyError as error:
        said = f"{where}: {unusable(engine.url, error)}"
        if any(words in said for words in LOGIN_REFUSED):
            return said
        raise Away(said) from error
    finally:
        engine.dispose()
    if not may_create:
        remedy = "let it own the database: ALTER DATABASE NAME OWNER TO USER"
        return f"{where}: the user of {shown(engine.url)} may not make tables there; {remedy}"
    return ""


def shared_fault(addresses: dict[str, str]) -> str:
    """Each service has tables and migrations of its own."""
    try:
        places = {service: sqlalchemy.make_url(url) for service, url in addresses.items()}
    except SQLAlchemyError:
        return ""
    known = {place.set(drivername="postgresql", username=None, password=None) for place in places.values()}
    if len(known) == len(places):
        return ""
    return "aggregator.database and registry.database lead to one database: give each service a database of its own"


if __name__ == "__main__":
    sys.exit(main())
