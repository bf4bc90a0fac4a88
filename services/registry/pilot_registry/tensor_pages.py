"""The tensors of a version, a page at a time: places from the header, figures from the bytes of the page's own tensors.

A file is never read whole. What was found out about a digest is remembered, for it stays true.
"""

from collections.abc import Iterator
from contextlib import ExitStack

from pilot_http import cursors
from pilot_http.auth import Principal
from pilot_http.problems import Invalid
from pilot_proto.registry import TensorPage, TensorView
from pilot_proto.tensors import Header, TensorSpan
from sqlalchemy import select

from pilot_registry import catalog
from pilot_registry.admission.checks import WIRE_DTYPE
from pilot_registry.admission.tensors import float_chunks, read_header
from pilot_registry.context import Registry
from pilot_registry.download import check_readable
from pilot_registry.figures import Figures
from pilot_registry.store.port import Reader, blob_key
from pilot_registry.tables import VersionFile

SUFFIX = ".safetensors"
MOST_BYTES = 16 << 20
"""Read for one page; a page ends earlier where its tensors are large, but never without one."""


def page(
    registry: Registry, principal: Principal, repo: str, revision: str, name: str, limit: int, cursor: str | None
) -> TensorPage:
    """Tensors whose name has `name` in it, in the order of the files and of their bytes.

    Raises:
        NotFound, Forbidden, Deleted: as for a download. Invalid: not a cursor of this list.
    """
    files = _files(registry, principal, repo, revision)
    with ExitStack() as stack:
        readers = {file.digest: stack.enter_context(registry.store.open(blob_key(file.digest))) for file in files}
        wanted = [
            (file, span)
            for file in files
            for span in header_of(registry, file.digest, file.size, readers[file.digest]).tensors
            if name in span.name
        ]
        begin = begin_of(cursor)
        shown = list(_fitting(wanted[begin:], limit))
        items = [_view(registry, file, span, readers[file.digest]) for file, span in shown]
    end = begin + len(shown)
    return TensorPage(items=tuple(items), total=len(wanted), next=cursors.encode([end]) if end < len(wanted) else None)


def header_of(registry: Registry, digest: str, size: int, reader: Reader) -> Header:
    """What stands at the beginning of a file."""
    known = registry.findings.headers
    if found := known.find(digest):
        return found
    read = read_header(reader, size)
    return known.keep(digest, read, 1 + len(read.tensors))


def _files(registry: Registry, principal: Principal, repo: str, revision: str) -> list[VersionFile]:
    with registry.database.reading() as session:
        version = catalog.find(session, principal, repo, revision)
        check_readable(principal, version)
        query = select(VersionFile).where(VersionFile.version_id == version.id, VersionFile.path.endswith(SUFFIX))
        return list(session.scalars(query.order_by(VersionFile.path)))


def begin_of(cursor: str | None) -> int:
    """A position is a number here: the list of a commit's tensors never changes."""
    position = cursors.decode(cursor, 1)
    if position is None:
        return 0
    if not isinstance(position[0], int) or not 0 <= position[0] < 1 << 31:
        raise Invalid("this is not a cursor", hint="use `next` of an earlier page as it is")
    return position[0]


def _fitting(wanted: list[tuple[VersionFile, TensorSpan]], limit: int) -> Iterator[tuple[VersionFile, TensorSpan]]:
    size = 0
    for file, span in wanted[:limit]:
        size += span.end - span.begin
        if size > MOST_BYTES and size > span.end - span.begin:
            return
        yield file, span


def _view(registry: Registry, file: VersionFile, span: TensorSpan, reader: Reader) -> TensorView:
    assert span.dtype == WIRE_DTYPE, "admission lets nothing else in"
    known, key = registry.findings.figures, (file.digest, span.name)
    figures = known.find(key) or known.keep(key, Figures.of(float_chunks(reader, span.begin, span.end)))
    return TensorView(
        file=file.path,
        name=span.name,
        dtype=span.dtype,
        shape=span.shape,
        size=span.end - span.begin,
        norm=figures.norm,
        largest=figures.largest,
        non_finite=figures.non_finite,
    )
