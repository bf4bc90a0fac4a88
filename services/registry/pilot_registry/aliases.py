"""Names that move. `main` and `round-N` belong to the publish transaction; people move the others, one at a time."""

import re

from pilot_http.auth import Principal
from pilot_http.problems import Conflict, Invalid, PilotError, coded
from pilot_proto.canonical import canonical_bytes, commit_of
from pilot_proto.manifest import Manifest, Parent
from pilot_proto.names import check_name
from pilot_proto.registry import AliasPage, AliasView, VersionView
from sqlalchemy import select
from sqlalchemy.orm import Session

from pilot_registry import catalog
from pilot_registry.context import Registry
from pilot_registry.grants import RELEASED
from pilot_registry.records import AliasMoved, Released
from pilot_registry.tables import Alias, Version
from pilot_registry.visibility import visible_to

TAKEN = re.compile(r"^(main|round-.*)$")


class ConditionMissing(PilotError):
    status, code, title = 428, "precondition_required", "Say what you expect"


class ConditionFailed(PilotError):
    status, code, title = 412, "precondition_failed", "It has changed"


def listing(registry: Registry, principal: Principal, repo: str) -> AliasPage:
    """The aliases of a repository that point to what the caller may see."""
    query = (
        select(Alias)
        .join(Version, (Version.repo == Alias.repo) & (Version.commit == Alias.commit))
        .where(Alias.repo == repo, visible_to(principal))
        .order_by(Alias.alias)
    )
    with registry.database.reading() as session:
        return AliasPage(items=tuple(_view(row) for row in session.scalars(query)))


def move(
    registry: Registry,
    principal: Principal,
    repo: str,
    alias: str,
    commit: str,
    if_match: str | None,
    if_none_match: str | None,
) -> AliasView:
    """Point an alias to a version, if it stands where the caller thinks.

    Raises:
        ConditionMissing, ConditionFailed: no expectation came along, or another one than the truth.
        Conflict: `reserved_alias`, or `deleted`. NotFound: no such version.
    """
    _check_alias(alias)
    with registry.database.writing() as session:
        if catalog.find(session, principal, repo, commit).deleted_at is not None:
            raise coded(Conflict, "deleted", f"{repo}@{commit[:12]} was deleted; the alias would lead nowhere")
        current = session.get(Alias, (repo, alias))
        _check_condition(current, if_match, if_none_match)
        if current is None or current.commit != commit:
            registry.journal.append(session, AliasMoved(repo=repo, alias=alias, commit=commit), str(principal))
        view = _view(session.get_one(Alias, (repo, alias)))
    registry.journal.drain()
    return view


def release(registry: Registry, principal: Principal, repo: str, revision: str, name: str) -> tuple[VersionView, bool]:
    """Keep a version as `released/{name}`, beyond its run's retention; whether it is new."""
    with registry.database.writing() as session:
        version = catalog.find(session, principal, repo, revision)
        if version.kind == "update" or version.deleted_at is not None:
            raise coded(Conflict, "not_releasable", f"{repo} at {revision} is a raw update or deleted")
        raw = _released_manifest(version, name)
        found = _find_released(session, name, raw)
        if found is None:
            registry.journal.append(session, Released(manifest=raw.decode()), str(principal))
        (view,) = catalog.views(session, [_find_released(session, name, raw) or version])
    registry.journal.drain()
    return view, found is None


def _released_manifest(version: Version, name: str) -> bytes:
    source = Manifest.model_validate_json(version.manifest)
    parents = (Parent(repo=version.repo, commit=version.commit),)
    return canonical_bytes(source.model_copy(update={"repo": f"{RELEASED}/{name}", "parents": parents}))


def _find_released(session: Session, name: str, raw: bytes) -> Version | None:
    return session.scalar(select(Version).where(Version.repo == f"{RELEASED}/{name}", Version.commit == commit_of(raw)))


def _check_alias(alias: str) -> None:
    if TAKEN.match(alias):
        raise coded(Conflict, "reserved_alias", f"{alias!r} is moved by publishing a round only")
    if catalog.COMMIT_PATTERN.match(alias):
        raise Invalid(f"{alias!r} looks like a commit")
    try:
        check_name(alias)
    except ValueError as error:
        raise Invalid(str(error)) from error


def _check_condition(current: Alias | None, if_match: str | None, if_none_match: str | None) -> None:
    if if_match is None and if_none_match != "*":
        raise ConditionMissing(
            "an alias moves only with a condition",
            hint='send If-Match: "COMMIT" with the commit it points to now, or If-None-Match: * to create it',
        )
    if if_match is None:
        if current is not None:
            raise ConditionFailed(f"the alias exists and points to {current.commit}")
    elif current is None:
        raise ConditionFailed("the alias does not exist", hint="create it with If-None-Match: *")
    elif if_match.strip().strip('"') not in (current.commit, "*"):
        raise ConditionFailed(f"the alias points to {current.commit}", hint="look at what changed, then try again")


def _view(row: Alias) -> AliasView:
    return AliasView(repo=row.repo, alias=row.alias, commit=row.commit, moved_at=row.moved_at, moved_by=row.moved_by)
