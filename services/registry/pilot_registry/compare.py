"""Two versions side by side, tensor by tensor, read in pieces."""

from contextlib import ExitStack
from dataclasses import dataclass

from pilot_http.auth import Principal
from pilot_http.problems import Invalid
from pilot_proto.registry import CompareReport, TensorComparison, VersionRef
from pilot_proto.tensors import TensorSpan
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry import catalog
from pilot_registry.admission.tensors import float_chunks
from pilot_registry.context import Registry
from pilot_registry.distance import Products
from pilot_registry.download import check_readable
from pilot_registry.store.port import Reader, blob_key
from pilot_registry.tables import VersionFile
from pilot_registry.tensor_pages import SUFFIX, header_of


@dataclass(frozen=True)
class Side:
    """One version: the files with tensors, by path."""

    reference: VersionRef
    files: dict[str, VersionFile]

    @property
    def content(self) -> tuple[tuple[str, str], ...]:
        """What a comparison depends on: paths and digests."""
        return tuple(sorted((path, file.digest) for path, file in self.files.items()))


@dataclass(frozen=True)
class Place:
    """One tensor of one version."""

    reader: Reader
    span: TensorSpan


def compare(registry: Registry, principal: Principal, a: str, b: str) -> CompareReport:
    """Distances between `ns/repo@rev` and another; whoever asks must be allowed to read both.

    Raises:
        Invalid: not of this form. NotFound, Forbidden, Deleted: as for a download.
    """
    with registry.database.reading() as session:
        sides = [_side(session, principal, reference) for reference in (a, b)]
    known, key = registry.findings.comparisons, tuple(side.content for side in sides)
    report = known.find(key)
    if report is None:
        with ExitStack() as stack:
            tensors_a, tensors_b = (_tensors(registry, side, stack) for side in sides)
            report = _report(sides[0].reference, sides[1].reference, tensors_a, tensors_b)
        known.keep(key, report, 1 + len(report.tensors))
    return report.model_copy(update={"a": sides[0].reference, "b": sides[1].reference})


def parts(reference: str) -> tuple[str, str]:
    """Repository and revision.

    Raises:
        Invalid: not of the form `ns/repo@rev`.
    """
    repo, _, revision = reference.rpartition("@")
    if repo.count("/") != 1 or not revision:
        raise Invalid(f"{reference!r} is not a version", hint="write NAMESPACE/REPO@REVISION")
    return repo, revision


def _side(session: Session, principal: Principal, reference: str) -> Side:
    repo, revision = parts(reference)
    version = catalog.find(session, principal, repo, revision)
    check_readable(principal, version)
    query = select(VersionFile).where(VersionFile.version_id == version.id, VersionFile.path.endswith(SUFFIX))
    files = {file.path: file for file in session.scalars(query)}
    return Side(VersionRef(repo=version.repo, commit=version.commit), files)


def _tensors(registry: Registry, side: Side, stack: ExitStack) -> dict[tuple[str, str], Place]:
    found = {}
    for path, file in sorted(side.files.items()):
        reader = stack.enter_context(registry.store.open(blob_key(file.digest)))
        for span in header_of(registry, file.digest, file.size, reader).tensors:
            found[path, span.name] = Place(reader, span)
    return found


def _report(
    a: VersionRef, b: VersionRef, tensors_a: dict[tuple[str, str], Place], tensors_b: dict[tuple[str, str], Place]
) -> CompareReport:
    shared = tensors_a.keys() & tensors_b.keys()
    alike = sorted(key for key in shared if tensors_a[key].span.shape == tensors_b[key].span.shape)
    products = {key: _products(tensors_a[key], tensors_b[key]) for key in alike}
    rows = [_row(key, tensors_a[key].span, products[key]) for key in alike]
    total = sum(products.values(), Products())
    return CompareReport(
        a=a,
        b=b,
        tensors=tuple(sorted(rows, key=lambda row: (-row.l2, row.file, row.name))),
        only_in_a=_names(tensors_a.keys() - shared),
        only_in_b=_names(tensors_b.keys() - shared),
        different_shape=_names(shared - set(alike)),
        l2=total.l2,
        cosine=total.cosine,
        relative=total.relative,
    )


def _products(a: Place, b: Place) -> Products:
    chunks_a = float_chunks(a.reader, a.span.begin, a.span.end)
    chunks_b = float_chunks(b.reader, b.span.begin, b.span.end)
    return Products.of(zip(chunks_a, chunks_b, strict=True))


def _row(key: tuple[str, str], span: TensorSpan, products: Products) -> TensorComparison:
    file, name = key
    return TensorComparison(
        file=file,
        name=name,
        shape=span.shape,
        norm_a=products.norm_a,
        norm_b=products.norm_b,
        l2=products.l2,
        cosine=products.cosine,
        relative=products.relative,
    )


def _names(keys: set[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(f"{file}:{name}" for file, name in sorted(keys))
