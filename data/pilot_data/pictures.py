"""Image files: how large they are, and whether they decode."""

import struct
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pilot_data.records import RecordFault, Size

# What Pillow's readers raise for broken files of one format or another.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)


def header_size(path: Path) -> Size:
    """Width and height as the file's header says. Raises RecordFault when there is no readable image."""
    return _size(path, decode=False)


def decoded_size(path: Path) -> Size:
    """Width and height of an image whose every pixel was decoded. Raises RecordFault when one cannot be."""
    return _size(path, decode=True)


def _size(path: Path, *, decode: bool) -> Size:
    try:
        with Image.open(path) as image:
            if decode:
                image.load()
            return image.size
    except FileNotFoundError:
        raise RecordFault(f"image {path.name!r} is missing") from None
    except IsADirectoryError:
        raise RecordFault(f"image {path.name!r} is a folder") from None
    except UnidentifiedImageError:
        raise RecordFault(f"image {path.name!r} cannot be read: no image format that is known") from None
    except _BROKEN as error:
        raise RecordFault(f"image {path.name!r} cannot be read: {error}") from error
