"""What stands in the file beside an adapter's tensors that says how to use them."""

import json
from typing import Any

from pilot_http.auth import Principal
from pilot_proto.names import CONFIG_FILE
from pilot_proto.registry import VersionView

from pilot_registry import download
from pilot_registry.context import Registry

MOST_BYTES = 256 << 10


def config_of(registry: Registry, principal: Principal, version: VersionView) -> dict[str, Any]:
    """The settings; nothing where there is no such file, or one that is too large to be meant.

    Raises:
        NotFound, Forbidden, Deleted: as for a download.
    """
    path = CONFIG_FILE.get(version.kind, "")
    file = version.files.get(path)
    if file is None or file.size > MOST_BYTES:
        return {}
    found = download.locate(registry, principal, version.repo, version.commit, path)
    read = json.loads(b"".join(download.stream(registry, found, 0, found.size)))
    return read if isinstance(read, dict) else {}
