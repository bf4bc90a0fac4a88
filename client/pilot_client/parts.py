"""Sending a large file in parts: a line that breaks costs what was on it, not the file."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pilot_proto.boundaries import Boundary, reached
from pilot_proto.registry import UploadView

from pilot_client.errors import ApiError, Unreachable
from pilot_client.transport import PREFIX, Transport

PART_BYTES = 32 << 20
"""Seconds on a usual line. Smaller files go at once: sending one again costs less than asking how far it came."""

LOST_TRACK = frozenset({"wrong_offset", "taken_over", "upload_unknown", "incomplete"})
"""We and the registry differ on how far we are: it knows."""


@dataclass(frozen=True)
class PartedUpload:
    """One file, which the registry knows by its sender, round and digest; nothing is kept on this side."""

    transport: Transport
    file: Path
    params: dict[str, Any]
    part_bytes: int

    def send(self) -> None:
        """Until it is admitted, from where an earlier attempt of anybody's stopped.

        Raises:
            ApiError: the registry refused.
            Unreachable: not a byte arrived for as long as the patience lasts.
        """
        view = self.transport.patiently(self._begin)
        while not view.admitted:
            # The patience begins anew with every step: it bounds silence, not the whole.
            view = self.transport.patiently(partial(self._go_on, view))
            reached(Boundary.ONE_PART_SENT)

    def _begin(self) -> UploadView:
        params = {**self.params, "size": self.file.stat().st_size}
        return _view(self.transport.once("POST", f"{PREFIX}/uploads", params=params).content)

    def _go_on(self, seen: UploadView) -> UploadView:
        """One step. A line that broke after some of the part had arrived is progress, not trouble."""
        try:
            return self._complete(seen) if seen.offset == seen.size else self._send_part(seen)
        except (Unreachable, ApiError) as error:
            if isinstance(error, ApiError) and error.code not in LOST_TRACK:
                raise
            now = self._begin()
            if isinstance(error, Unreachable) and now == seen:
                raise
            return now

    def _send_part(self, seen: UploadView) -> UploadView:
        length = min(self.part_bytes, seen.size - seen.offset)
        path = f"{PREFIX}/uploads/{seen.id}"
        return _view(
            self.transport.send_part("PATCH", path, self.file, {"offset": seen.offset}, seen.offset, length).content
        )

    def _complete(self, seen: UploadView) -> UploadView:
        self.transport.once("POST", f"{PREFIX}/uploads/{seen.id}/complete")
        return seen.model_copy(update={"admitted": True})


def _view(content: bytes) -> UploadView:
    return UploadView.model_validate_json(content)
