"""Waits for the S3 server that the registry's environment names, and makes the bucket if it is not there."""

import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

PATIENCE_S = 240
MADE_BEFORE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def main() -> int:
    """The exit code: 1 when the server did not let us within the time."""
    setting = {name: os.environ[f"PILOT_REGISTRY_S3_{name}"] for name in ("ENDPOINT", "BUCKET", "REGION")}
    keys = [Path(os.environ[f"PILOT_REGISTRY_S3_{name}_KEY_FILE"]).read_text().strip() for name in ("ACCESS", "SECRET")]
    where = urlsplit(setting["ENDPOINT"])
    # No retries of its own: it would wait much longer than a server needs to start.
    connections = urllib3.PoolManager(timeout=5, retries=False)
    client = Minio(
        where.netloc, *keys, secure=where.scheme == "https", region=setting["REGION"], http_client=connections
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        fault = try_to_make(client, setting["BUCKET"])
        if not fault:
            print(f"the bucket {setting['BUCKET']} is there")
            return 0
        if time.monotonic() > deadline:
            print(f"no bucket {setting['BUCKET']} at {setting['ENDPOINT']}: {fault}", file=sys.stderr)
            return 1
        print(f"waiting for {setting['ENDPOINT']}: {fault}", flush=True)
        time.sleep(1)


def try_to_make(client: Minio, bucket: str) -> str:
    """What went wrong; empty when the bucket is there."""
    try:
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket)
    except S3Error as error:
        return "" if error.code in MADE_BEFORE else f"{error.code}: {error.message}"
    except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main())
