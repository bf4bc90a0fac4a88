"""What a deployment may have elsewhere, for real: a Postgres, an S3 server over TLS, and an authority that vouches."""

import secrets
from pathlib import Path

from cluster.authority import Authority
from cluster.release import SERVICES, Release

PARTS = Path(__file__).parent / "manifests" / "outside.yaml"


def provide(release: Release) -> None:
    """Start both in a namespace, with the Secrets that `values/outside.yaml` names, and some that let nobody in."""
    authority = Authority.make()
    release.ca_file = release.folder / "ca.crt"
    release.ca_file.write_text(authority.pem)
    password, keys = secrets.token_hex(8), {"access-key": secrets.token_hex(8), "secret-key": secrets.token_hex(16)}
    documents = [
        config_map("authority", {"ca.crt": authority.pem}),
        config_map("stranger", {"ca.crt": Authority.make().pem}),
        secret("postgres-server", {"password": password}),
        secret("postgres", addresses("pilot", password)),
        secret("postgres-wrong", addresses("pilot", "not-it")),
        secret("postgres-stranger", addresses("stranger", password)),
        secret("s3", keys),
        secret("s3-wrong", {**keys, "secret-key": "not-it"}),
        secret("s3-tls", authority.vouch("s3")),
        *(secret(f"{name}-tls", authority.vouch(*hosts(release, name)), "kubernetes.io/tls") for name in SERVICES),
    ]
    release.cluster.apply(*documents, namespace=release.namespace)
    release.kubectl("apply", "-f", str(PARTS))
    for name in ("postgres", "s3"):
        release.kubectl("rollout", "status", f"deployment/{name}", "--timeout", "90s")


def addresses(user: str, password: str) -> dict[str, str]:
    """Of each service's database."""
    return {f"{name}-dsn": f"postgresql://{user}:{password}@postgres/{name}" for name in SERVICES}


def hosts(release: Release, service: str) -> list[str]:
    """Under which names a service is asked for, inside and through a port-forward."""
    name = f"{release.full_name}-{service}"
    inside = f"{name}.{release.namespace}.svc"
    return [name, f"{name}.{release.namespace}", inside, f"{inside}.cluster.local", "localhost", "127.0.0.1"]


def config_map(name: str, data: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def secret(name: str, data: dict[str, str], kind: str = "Opaque") -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data}
