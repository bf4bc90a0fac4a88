"""Finding versions: by revision, and by search. What somebody may not see is not there."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pilot_http.auth import Principal
from pilot_http.problems import NotFound, PilotError, coded
from pilot_proto.manifest import Manifest
from pilot_proto.registry import VersionFileView, VersionPage, VersionView
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from pilot_registry import paging
from pilot_registry.context import Registry
from pilot_registry.query import Search, digest_prefix
from pilot_registry.tables import Alias, Blob, Version, VersionFile
from pilot_registry.visibility import visible_to

COMMIT_PATTERN = re.compile(r"^[0-9a-f]{40}$")
UPDATE_REVISION_PATTERN = re.compile(r"^(?:main|round-(?P<round>\d{1,7}))$")
NAMES_IN_HINT = 12
LISTING = "GET /api/v1alpha1/adapters lists"


def conditions(wanted: Search) -> list[ColumnElement[bool]]:
    """A search in SQL."""
    equal = (
        (Version.run, wanted.run),
        (Version.kind, wanted.kind),
        (Version.client, wanted.client),
        (Version.task, wanted.task),
        (Version.round, wanted.round),
        (Version.repo, wanted.repo),
    )
    found = [column == value for column, value in equal if value is not None]
    if wanted.state is not None:
        found.append(Version.deleted_at.is_(None) if wanted.state == "live" else Version.deleted_at.is_not(None))
    return found + [_matches(word) for word in wanted.words]


def _matches(word: str) -> ColumnElement[bool]:
    places = [Version.repo.contains(word, autoescape=True), Version.commit.startswith(word, autoescape=True)]
    if prefix := digest_prefix(word):
        # A range, which an index has; "g" follows every hexadecimal digit.
        named = (VersionFile.digest >= prefix, VersionFile.digest < f"{prefix}g")
        places.append(Version.id.in_(select(VersionFile.version_id).where(*named)))
    return or_(*places)


def find(session: Session, principal: Principal, repo: str, revision: str) -> Version:
    """The version at a commit or alias.

    Raises:
        NotFound: there is none, or the caller may not know of it; `X-Error-Code` says which part is missing.
    """
    versions = select(Version).where(Version.repo == repo, visible_to(principal))
    if COMMIT_PATTERN.match(revision):
        version = session.scalar(versions.where(Version.commit == revision))
    else:
        named = versions.join(Alias, (Alias.repo == Version.repo) & (Alias.commit == Version.commit))
        version = session.scalar(named.where(Alias.alias == revision)) or _update(session, versions, revision)
    if version is None:
        raise _missing(session, principal, repo, revision)
    return version


def _update(session: Session, versions: Select[Version], revision: str) -> Version | None:
    """Updates have no aliases, since no publication names them; `main` and `round-N` mean for them what they say."""
    match = UPDATE_REVISION_PATTERN.match(revision)
    if match is None:
        return None
    query = versions.where(Version.kind == "update")
    if match["round"]:
        query = query.where(Version.round == int(match["round"]))
    return session.scalar(query.order_by(Version.id.desc()).limit(1))


def _missing(session: Session, principal: Principal, repo: str, revision: str) -> PilotError:
    visible = select(Version.id).where(Version.repo == repo, visible_to(principal)).limit(1)
    if session.scalar(visible) is None:
        error = coded(NotFound, "not_found", f"repository {repo!r} is not here", hint=f"{LISTING} what you may see")
        error.headers["X-Error-Code"] = "RepoNotFound"
        return error
    names = (
        select(Alias.alias)
        .join(Version, (Version.repo == Alias.repo) & (Version.commit == Alias.commit))
        .where(Alias.repo == repo, visible_to(principal))
        .order_by(Alias.alias)
        .limit(NAMES_IN_HINT)
    )
    known = ", ".join(session.scalars(names)) or "none"
    hint = f"a revision is a commit of 40 hexadecimal digits or a name; names here: {known}"
    error = coded(NotFound, "not_found", f"{revision!r} is not here in {repo}", hint=hint)
    error.headers["X-Error-Code"] = "RevisionNotFound"
    return error


def get(registry: Registry, principal: Principal, repo: str, revision: str) -> VersionView:
    """One version, by commit or alias; raises NotFound."""
    with registry.database.reading() as session:
        (view,) = views(session, [find(session, principal, repo, revision)])
    return view


def search(registry: Registry, principal: Principal, wanted: Search, limit: int, cursor: str | None) -> VersionPage:
    """Versions, newest first."""
    query = listed(principal, wanted, paging.below(cursor)).limit(limit + 1)
    with registry.database.reading() as session:
        found = session.scalars(query).all()
        shown = select(Version).where(Version.id.in_(found[:limit])).order_by(Version.id.desc())
        items = views(session, session.scalars(shown).all())
    return VersionPage(items=items, next=paging.after(found[limit - 1]) if len(found) > limit else None)


def listed(principal: Principal, wanted: Search, below: int | None) -> Select[int]:
    """The numbers of the versions of a listing, newest first. Only numbers, so that an index alone has the answer."""
    query = select(Version.id).where(visible_to(principal), *conditions(wanted))
    if below is not None:
        query = query.where(Version.id < below)
    return query.order_by(Version.id.desc())


@dataclass(frozen=True)
class RunSummary:
    """A run, as far as its visible versions tell."""

    name: str
    versions: int
    last_round: int
    last_at: str


def runs(registry: Registry, principal: Principal, most: int) -> list[RunSummary]:
    """Runs of which the caller may see something, the latest first."""
    last = func.max(Version.created_at)
    query = (
        select(Version.run, func.count(), func.max(Version.round), last)
        .where(visible_to(principal))
        .group_by(Version.run)
        .order_by(last.desc(), Version.run)
        .limit(most)
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
