"""How a registry is configured: environment variables with the prefix PILOT_REGISTRY_."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pilot_http.identity import IdentitySettings
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict


class Settings(IdentitySettings):
    model_config = SettingsConfigDict(env_prefix="PILOT_REGISTRY_", frozen=True, use_attribute_docstrings=True)

    state_dir: Path
    """Holds the index, the store and the staging folder."""
    keys: Path
    """The file of hashed keys, shared with the aggregator."""
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    """0 takes a free one; `registry.url` in the state folder says which."""
    allowed_hosts: str = "127.0.0.1,localhost"
    """Comma separated: what a request's Host header may be."""
    tls_cert_file: Path | None = None
    """PEM certificate chain; with it the service speaks HTTPS only."""
    tls_key_file: Path | None = None
    """Its private key."""
    database: str | None = None
    """A SQLAlchemy URL; without it, SQLite in the state folder."""
    busy_timeout_ms: int = Field(default=5000, ge=0)
    """How long a writer waits for another one before it answers 503 (SQLite)."""
    store: Literal["folder", "s3"] = "folder"
    """Where bytes are: in the state folder, or in a bucket of any S3-compatible server."""
    s3_endpoint: str | None = None
    """http://host:port or https://host[:port] of the S3 server."""
    s3_bucket: str | None = None
    """Must exist; the registry does not create it."""
    s3_prefix: str = Field(default="", pattern=r"^([A-Za-z0-9._-]+/)*$")
    """Put before every key, such as `pilot/`, in a bucket that others use too."""
    s3_region: str = "us-east-1"
    s3_access_key_file: Path | None = None
    """Read for every request, like the next, so that keys can be rotated."""
    s3_secret_key_file: Path | None = None
    s3_access_key: SecretStr | None = None
    """Instead of the files."""
    s3_secret_key: SecretStr | None = None
    s3_ca_file: Path | None = None
    """PEM certificates that vouch for the endpoint; without it, SSL_CERT_FILE or the usual authorities."""
    s3_addressing: Literal["auto", "path", "virtual-host"] = "auto"
    """Whether the bucket stands in the path or in the host name; `auto`: in the host name only at AWS."""
    s3_part_bytes: int = Field(default=8 << 20, ge=5 << 20, le=5 << 30)
    """Size of the parts of a multipart upload."""
    s3_parallel_parts: int = Field(default=4, ge=1, le=64)
    """Parts on their way at once, of all uploads together; with the size of one, the memory that they take."""
    s3_idle_s: float = Field(default=60, gt=0)
    """How long the S3 server may be silent in the middle of an answer."""
    upload_idle_s: float = Field(default=60, gt=0)
    """How long the sender of a file may be silent; there is no limit for a whole transfer."""
    max_output_bytes: int = Field(default=64 << 30, ge=1)
    """The largest file that the aggregator may upload."""
    gc_every_s: int = Field(default=3600, ge=0)
    """How often garbage is swept while serving; 0: only on request."""
    gc_grace_s: int = Field(default=86400, ge=0)
    """Garbage younger than this stays."""
    aggregator_url: str | None = Field(default=None, pattern=r"^https?://[^/]+$")
    """Where the pages ask about runs, with the credential of whoever reads them."""
    session_s: int = Field(default=12 * 3600, ge=60)
    """How long somebody stays signed in to the pages."""
    takeover_s: float = Field(default=8, ge=0)
    """How long a new server waits for one that is shutting down on the same folder."""
    log_format: Literal["text", "json"] = "text"

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("PILOT_REGISTRY_TLS_CERT_FILE and _TLS_KEY_FILE belong together: give both, or neither")
        return self

    @model_validator(mode="after")
    def _check_bucket(self) -> Self:
        if self.store != "s3":
            return self
        missing = [name for name in ("s3_endpoint", "s3_bucket") if not getattr(self, name)]
        for key in ("s3_access_key", "s3_secret_key"):
            if not getattr(self, key) and not getattr(self, f"{key}_file"):
                missing.append(f"{key}_file")
        if missing:
            names = ", ".join(f"PILOT_REGISTRY_{name.upper()}" for name in missing)
            raise ValueError(f"PILOT_REGISTRY_STORE=s3 needs {names}")
        where = urlsplit(self.s3_endpoint or "")
        if where.scheme not in ("http", "https") or not where.netloc or where.path.strip("/"):
            raise ValueError(
                f"PILOT_REGISTRY_S3_ENDPOINT is {self.s3_endpoint!r}; write http://host:port, without the bucket"
            )
        return self

    @property
    def hosts(self) -> list[str]:
        """The allowed hosts, one by one."""
        return [host.strip() for host in self.allowed_hosts.split(",") if host.strip()]

    @property
    def database_url(self) -> str:
        """Where the index is."""
        return self.database or f"sqlite:///{self.state_dir / 'registry.sqlite'}"
