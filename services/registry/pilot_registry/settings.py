"""How a registry is configured: environment variables with the prefix PILOT_REGISTRY_."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
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
    database: str | None = None
    """A SQLAlchemy URL; without it, SQLite in the state folder."""
    busy_timeout_ms: int = Field(default=5000, ge=0)
    """How long a writer waits for another one before it answers 503 (SQLite)."""
    max_output_bytes: int = Field(default=64 << 30, ge=1)
    """The largest file that the aggregator may upload."""
    gc_every_s: int = Field(default=3600, ge=0)
    """How often garbage is swept while serving; 0: only on request."""
    gc_grace_s: int = Field(default=86400, ge=0)
    """Garbage younger than this stays."""
    takeover_s: float = Field(default=8, ge=0)
    """How long a new server waits for one that is shutting down on the same folder."""
    log_format: Literal["text", "json"] = "text"

    @property
    def hosts(self) -> list[str]:
        """The allowed hosts, one by one."""
        return [host.strip() for host in self.allowed_hosts.split(",") if host.strip()]

    @property
    def database_url(self) -> str:
        """Where the index is."""
        return self.database or f"sqlite:///{self.state_dir / 'registry.sqlite'}"
