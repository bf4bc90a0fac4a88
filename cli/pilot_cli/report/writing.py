"""Files that are there whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pilot_cli.errors import USAGE, CommandError


@contextmanager
def atomically(file: Path) -> Iterator[TextIO]:
    """A text stream that becomes `file` when the block ends well.

    Raises:
        CommandError: the place cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise CommandError(f"{file} is a folder", hint="name a file in it", exit_code=USAGE)
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise CommandError(f"{file} cannot be written", why=str(error), exit_code=USAGE) from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
