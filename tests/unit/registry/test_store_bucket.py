"""The bucket's own troubles: keys, clocks, policies, quotas, long lists and lines that break."""

import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3
from broken_line import broken_line
from minio_server import Server
from pilot_registry.context import open_store
from pilot_registry.settings import Settings
from pilot_registry.store import connection
from pilot_registry.store.port import BlobStore, StoreFault, StoreFull
from pydantic import ValidationError

PART = 5 << 20


@contextmanager
def bucket_store(folder: Path, **settings) -> Iterator[BlobStore]:
    store = open_store(Settings(state_dir=folder, keys=folder, **settings))
    yield store
    store.close()


@pytest.fixture
def hasty(monkeypatch):
    """No waiting between the client's retries."""
    monkeypatch.setattr(connection, "FIRST_WAIT_S", 0)


def unfinished(server: Server, bucket: str, key: str) -> list:
    found = server.client()._list_multipart_uploads(bucket, prefix=key)
    return list(found.uploads)


# -- who may


@pytest.mark.parametrize(
    ("changes", "says", "remedy"),
    [
        ({"s3_access_key": "nobody-we-know"}, "no such access key", "S3_ACCESS_KEY_FILE"),
        ({"s3_secret_key": "not-the-secret"}, "does not belong to the access key", "S3_SECRET_KEY_FILE"),
        ({"s3_bucket": "pilot-nowhere"}, "there is no such bucket", "create it"),
    ],
)
def test_what_is_wrong_is_told_with_bucket_endpoint_rule_and_remedy(minio: Server, tmp_path, changes, says, remedy):
    with bucket_store(tmp_path, **minio.settings(minio.bucket(), **changes)) as store:
        for act in (store.verify, store.ready):
            with pytest.raises(StoreFault) as caught:
                act()
            told = caught.value
            assert says in told.detail
            assert f"http://{minio.endpoint}" in told.detail
            assert "bucket 'pilot-" in told.detail
            assert remedy in told.hint
            assert told.permanent


def test_a_bucket_that_may_only_be_read_is_named_as_such_before_anything_is_stored(minio: Server, tmp_path):
    bucket = minio.bucket()
    access, secret = minio.user("readonly")
    with bucket_store(tmp_path, **minio.settings(bucket, s3_access_key=access, s3_secret_key=secret)) as store:
        with pytest.raises(StoreFault, match="policy does not allow this") as caught:
            store.put_bytes("blobs/a", b"x")
        assert "s3:PutObject" in caught.value.hint
        with pytest.raises(StoreFault):
            store.verify()
    assert list(minio.client().list_objects(bucket, recursive=True)) == []


def test_keys_in_files_are_read_again_when_they_are_rotated(minio: Server, tmp_path):
    for name, content in (("access", "old"), ("secret", "old-secret")):
        (tmp_path / name).write_text(content)
    files = {"s3_access_key_file": tmp_path / "access", "s3_secret_key_file": tmp_path / "secret"}
    with bucket_store(
        tmp_path, **{**minio.settings(minio.bucket()), **files, "s3_access_key": None, "s3_secret_key": None}
    ) as store:
        with pytest.raises(StoreFault, match="no such access key"):
            store.verify()
        (tmp_path / "access").write_text(minio.access_key + "\n")
        (tmp_path / "secret").write_text(minio.secret_key + "\n")
        store.verify()
        (tmp_path / "secret").unlink()
        with pytest.raises(StoreFault, match="cannot be read"):
            store.ready()


def test_an_expired_and_a_tampered_signature_are_refused_by_the_server(minio: Server):
    from datetime import timedelta

    bucket = minio.bucket()
    client = minio.client()
    client.put_object(bucket, "a", io.BytesIO(b"secret"), 6)
    short, long = (client.presigned_get_object(bucket, "a", timedelta(seconds=s)) for s in (1, 60))
    with urllib3.PoolManager() as http:
        assert http.request("GET", long).data == b"secret"
        tampered = http.request("GET", long.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
        assert (tampered.status, b"SignatureDoesNotMatch" in tampered.data) == (403, True)
        time.sleep(2)
        expired = http.request("GET", short)
        assert (expired.status, b"expired" in expired.data) == (403, True)


# -- how much


def test_a_full_bucket_says_so_and_keeps_nothing_half_written(minio: Server, tmp_path):
    bucket = minio.bucket()
    minio.admin().bucket_quota_set(bucket, 1 << 20)
    staged = tmp_path / "staged"
    staged.write_bytes(bytes(2 * PART + 1))
    with bucket_store(tmp_path, **minio.settings(bucket, s3_part_bytes=PART)) as store:
        with pytest.raises(StoreFull, match="the bucket is full") as caught:
            store.put_file("blobs/large", staged)
        assert "quota" in caught.value.hint
        assert unfinished(minio, bucket, "blobs/large") == []
        assert list(store.list("blobs/")) == []
    assert staged.exists()


def test_a_large_file_travels_in_parts_and_leaves_none_behind(minio: Server, tmp_path):
    bucket, body = minio.bucket(), os.urandom(3 * PART + 1)
    staged = tmp_path / "staged"
    staged.write_bytes(body)
    with bucket_store(tmp_path, **minio.settings(bucket, s3_part_bytes=PART)) as store:
        store.put_file("blobs/large", staged)
        put = store.begin("blobs/other", tmp_path / "other", 3 * PART)
        (tmp_path / "other").write_bytes(body)
        put.advance(2 * PART)
        assert len(unfinished(minio, bucket, "blobs/other")) == 1
        put.abandon()
    found = minio.client().stat_object(bucket, "blobs/large")
    assert found.etag.endswith("-4"), "four parts"
    assert unfinished(minio, bucket, "blobs/large") == unfinished(minio, bucket, "blobs/other") == []


def test_a_list_goes_on_beyond_a_thousand_keys_in_order(minio: Server, tmp_path):
    bucket = minio.bucket()
    client = minio.client()
    keys = [f"index/{number // 100:03d}/{number:05d}" for number in range(1005)]

    def put(some: list[str]) -> None:
        for key in some:
            client.put_object(bucket, key, io.BytesIO(b""), 0)

    threads = [threading.Thread(target=put, args=(keys[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with bucket_store(tmp_path, **minio.settings(bucket)) as store:
        assert [found.key for found in store.list("index/")] == keys


# -- lines


def test_reading_goes_on_where_the_line_broke_and_asks_seldom(minio: Server, tmp_path):
    bucket, body = minio.bucket(), os.urandom(24 << 20)
    minio.client().put_object(bucket, "blobs/large", io.BytesIO(body), len(body))
    with (
        broken_line(minio.endpoint, 5 << 20, cut_answers=True, breaks=4) as line,
        bucket_store(tmp_path, **minio.settings(bucket, line.endpoint)) as store,
    ):
        with store.open("blobs/large") as reader:
            found = b"".join(reader.read_at(begin, 1 << 20) for begin in range(0, len(body), 1 << 20))
        assert found == body
        assert line.broken == 4
        assert line.sent < 30_000, "a few requests, not one for each piece"


def test_parts_that_are_lost_are_sent_again(minio: Server, tmp_path):
    bucket, body = minio.bucket(), os.urandom(3 * PART)
    staged = tmp_path / "staged"
    staged.write_bytes(body)
    with broken_line(minio.endpoint, 2 << 20, breaks=2) as line:
        settings = minio.settings(bucket, line.endpoint, s3_part_bytes=PART)
        with bucket_store(tmp_path, **settings) as store:
            store.put_file("blobs/large", staged)
            with store.open("blobs/large") as reader:
                assert reader.read_at(0, len(body)) == body
        assert line.broken == 2


def test_a_server_that_is_away_is_told_as_such_and_not_as_a_wrong_setting(tmp_path, hasty):
    with bucket_store(tmp_path, **nobody("127.0.0.1:1")) as store, pytest.raises(StoreFault) as caught:
        store.verify()
    assert "no answer" in caught.value.detail
    assert not caught.value.permanent


# -- answers that a real server cannot be made to give


def nobody(endpoint: str) -> dict:
    return {
        "store": "s3",
        "s3_endpoint": f"http://{endpoint}",
        "s3_bucket": "pilot-fake",
        "s3_access_key": "key",
        "s3_secret_key": "secret",
    }


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers, the last one for ever; its address and what it was asked."""
    asked: list[str] = []

    class Canned(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            status, code = answers[min(len(asked), len(answers) - 1)]
            asked.append(f"{self.command} {self.path}")
            body = f"<Error><Code>{code}</Code><Message>told</Message></Error>".encode() if code else b""
            self.send_response(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (403, "RequestTimeTooSkewed", StoreFault, "clock"),
        (403, "ExpiredToken", StoreFault, "credentials have expired"),
        (507, "XMinioStorageFull", StoreFull, "the bucket is full"),
        (403, "QuotaExceeded", StoreFull, "the bucket is full"),
        (500, "InternalError", StoreFault, "told"),
        (400, "SomethingNew", StoreFault, "told"),
    ],
)
def test_answers_mean_what_they_mean_everywhere(tmp_path, hasty, status, code, kind, says):
    with answering((status, code)) as (endpoint, _), bucket_store(tmp_path, **nobody(endpoint)) as store:
        with pytest.raises(kind, match=says) as caught:
            store.put_bytes("blobs/a", b"x")
        assert type(caught.value) is kind
        assert caught.value.permanent is (code not in ("InternalError", "SomethingNew"))


def test_a_server_that_is_busy_for_a_moment_is_asked_again(tmp_path, hasty):
    with answering((503, "SlowDown"), (500, ""), (200, "")) as (endpoint, asked):
        with bucket_store(tmp_path, **nobody(endpoint)) as store:
            store.put_bytes("blobs/a", b"x")
        assert asked == ["PUT /pilot-fake/blobs/a"] * 3


def test_something_else_at_the_endpoint_is_not_taken_for_a_bucket(tmp_path, hasty):
    with (
        answering((404, "")) as (endpoint, _),
        bucket_store(tmp_path, **nobody(endpoint)) as store,
        pytest.raises(StoreFault, match="not an S3 server"),
    ):
        store.verify()


# -- settings


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"s3_endpoint": None}, "PILOT_REGISTRY_S3_ENDPOINT"),
        ({"s3_bucket": None, "s3_secret_key": None}, "PILOT_REGISTRY_S3_BUCKET, PILOT_REGISTRY_S3_SECRET_KEY_FILE"),
        ({"s3_endpoint": "minio:9000"}, "write http://host:port"),
        ({"s3_endpoint": "http://minio:9000/bucket"}, "without the bucket"),
        ({"s3_prefix": "no-slash"}, "s3_prefix"),
        ({"s3_part_bytes": 1 << 20}, "s3_part_bytes"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(tmp_path, changes, names):
    with pytest.raises(ValidationError, match=names):
        Settings(state_dir=tmp_path, keys=tmp_path, **{**nobody("minio:9000"), **changes})


def test_secrets_do_not_show_in_the_settings(tmp_path):
    assert "secret'" not in repr(Settings(state_dir=tmp_path, keys=tmp_path, **nobody("minio:9000")))
