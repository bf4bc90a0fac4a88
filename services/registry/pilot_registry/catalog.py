"""Finding versions: by revision, and by search. What somebody may not see is not there."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilot_http.auth import Principal
from pilot_http.problems import NotFound, coded
from pilot_proto.manifest import Manifest
from pilot_proto.registry import VersionFileView, VersionPage, VersionView
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.tables import Alias, Blob, Version, VersionFile
from pilot_registry.visibility import visible_to

COMMIT_PATTERN = re.compile(r"^[0-9a-f]{40}$")


@dataclass(frozen=True)
class Search:
    """What the versions of a listing have in common; None means anything."""

    run: str | None = None
    kind: str | None = None
    client: str | None = None
    task: str | None = None
    round: int | None = None
    state: str | None = None
    q: str | None = None
    repo: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """In SQL."""
        equal = (
            (Version.run, self.run),
            (Version.kind, self.kind),
            (Version.client, self.client),
            (Version.task, self.task),
            (Version.round, self.round),
            (Version.repo, self.repo),
        )
        found = [column == value for column, value in equal if value is not None]
        if self.state is not None:
            found.append(Version.deleted_at.is_(None) if self.state == "live" else Version.deleted_at.is_not(None))
        if self.q:
            commits = Version.commit.startswith(self.q, autoescape=True)
            found.append(or_(Version.repo.contains(self.q, autoescape=True), commits))
        return found


def find(session: Session, principal: Principal, repo: str, revision: str) -> Version:
    """The version at a commit or alias.

    Raises:
        NotFound: there is none, or the caller may not know of it; `X-Error-Code` says which part is missing.
    """
    query = select(Version).where(Version.repo == repo, visible_to(principal))
    if not COMMIT_PATTERN.match(revision):
        query = query.join(Alias, (Alias.repo == Version.repo) & (Alias.commit == Version.commit))
        query = query.where(Alias.alias == revision)
    else:
        query = query.where(Version.commit == revision)
    version = session.scalar(query)
    if version is None:
        known = session.scalar(select(Version.id).where(Version.repo == repo, visible_to(principal)).limit(1))
        code, what = ("RepoNotFound", f"repository {repo!r}") if known is None else ("RevisionNotFound", revision)
        error = coded(NotFound, "not_found", f"{what} is not here" + (f" in {repo}" if known else ""))
        error.headers["X-Error-Code"] = code
        raise error
    return version


def get(registry: Registry, principal: Principal, repo: str, revision: str) -> VersionView:
    """One version, by commit or alias; raises NotFound."""
    with registry.database.reading() as session:
        (view,) = views(session, [find(session, principal, repo, revision)])
    return view


def search(registry: Registry, principal: Principal, wanted: Search, limit: int, cursor: str | None) -> VersionPage:
    """Versions, newest first."""
    query = select(Version).where(visible_to(principal), *wanted.conditions())
    position = paging.below(cursor)
    if position is not None:
        query = query.where(Version.id < position)
    with registry.database.reading() as session:
        rows = session.scalars(query.order_by(Version.id.desc()).limit(limit + 1)).all()
        items = views(session, rows[:limit])
    return VersionPage(items=items, next=paging.after(rows[limit - 1].id) if len(rows) > limit else None)


@dataclass(frozen=True)
class RunSummary:
    """A run, as far as its visible versions tell."""

    name: str
    versions: int
    last_round: int
    last_at: str


def runs(registry: Registry, principal: Principal) -> list[RunSummary]:
    """Every run of which the caller may see something, the latest first."""
    last = func.max(Version.created_at)
    query = (
        select(Version.run, func.count(), func.max(Version.round), last)
        .where(visible_to(principal))
        .group_by(Version.run)
        .order_by(last.desc(), Version.run)
    )
    with registry.database.reading() as session:
        return [RunSummary(*row) for row in session.execute(query)]


def views(session: Session, versions: Sequence[Version]) -> tuple[VersionView, ...]:
    """Versions as the API shows them, in the given order."""
    aliases, norms = _aliases(session, versions), _norms(session, versions)
    return tuple(_view(version, aliases[version.repo, version.commit], norms) for version in versions)


def _view(version: Version, aliases: Iterable[str], norms: dict[str, float | None]) -> VersionView:
    manifest = Manifest.model_validate_json(version.manifest)
    files = {
        path: VersionFileView(digest=file.digest, size=file.size, norm=norms.get(file.digest))
        for path, file in sorted(manifest.files.items())
    }
    return VersionView(
        repo=version.repo,
        commit=version.commit,
        kind=manifest.kind,
        run=manifest.run,
        round=manifest.round,
        client=manifest.client,
        task=manifest.task,
        program=manifest.program,
        model=manifest.model,
        model_digest=manifest.model_digest,
        files=files,
        num_examples=manifest.num_examples,
        contributors=manifest.contributors,
        parents=manifest.parents,
        plan=manifest.plan,
        aliases=tuple(sorted(aliases)),
        private=version.private_to is not None,
        state="live" if version.deleted_at is None else "deleted",
        created_at=version.created_at,
    )


def _aliases(session: Session, versions: Sequence[Version]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    repos = {version.repo for version in versions}
    for row in session.scalars(select(Alias).where(Alias.repo.in_(repos))):
        found[row.repo, row.commit].append(row.alias)
    return found


def _norms(session: Session, versions: Sequence[Version]) -> dict[str, float | None]:
    query = (
        select(Blob.digest, Blob.norm)
        .join(VersionFile, VersionFile.digest == Blob.digest)
        .where(VersionFile.version_id.in_([version.id for version in versions]))
    )
    return {row.digest: row.norm for row in session.execute(query)}
