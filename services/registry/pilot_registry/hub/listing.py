"""A version as the Hub lists it: its own document, and its files."""

from dataclasses import dataclass

from pilot_http.auth import Principal
from pilot_http.problems import NotFound, PilotError, coded
from pilot_proto.assignment import FileRef
from pilot_proto.manifest import Manifest

from pilot_registry import catalog
from pilot_registry.context import Registry
from pilot_registry.hub import tree
from pilot_registry.hub.card import CARD_FILE, metadata, tags
from pilot_registry.hub.documents import LastCommit, ModelInfo, Sibling, SiblingLfs, TreeEntry
from pilot_registry.hub.sources import Sources, generate, has_card, sources


@dataclass(frozen=True)
class Listed:
    """A version, as far as the index knows it."""

    manifest: Manifest
    commit: str
    private: bool
    created_at: str
    card: Sources | None


def model_info(registry: Registry, principal: Principal, repo: str, revision: str, *, with_files: bool) -> ModelInfo:
    """A version's own document; raises NotFound. `with_files` adds sizes and digests, for which a card is made."""
    found = _find(registry, principal, repo, revision)
    m = found.manifest
    if with_files:
        siblings = [_sibling(path, file) for path, file in sorted(_files(registry, found).items())]
    else:
        names = {*m.files, *([CARD_FILE] if found.card else [])}
        siblings = [Sibling(rfilename=path) for path in sorted(names)]
    return ModelInfo(
        id=repo,
        modelId=repo,
        author=repo.partition("/")[0],
        sha=found.commit,
        private=found.private,
        createdAt=found.created_at,
        lastModified=found.created_at,
        tags=[*tags(m), f"base_model:{m.model}"],
        library_name=metadata(m).get("library_name"),
        siblings=siblings,
    )


def folder(
    registry: Registry, principal: Principal, repo: str, revision: str, path: str, *, recursive: bool, expand: bool
) -> list[TreeEntry]:
    """The entries of a folder of a version; raises NotFound, with `X-Repo-Commit` when only the folder is missing."""
    found = _find(registry, principal, repo, revision)
    entries = tree.entries(_files(registry, found), path.strip("/"), recursive=recursive)
    if entries is None:
        raise _no_folder(repo, revision, path, found.commit)
    return tree.dated(entries, _last(found)) if expand else entries


def _find(registry: Registry, principal: Principal, repo: str, revision: str) -> Listed:
    with registry.database.reading() as session:
        version = catalog.find(session, principal, repo, revision)
        return Listed(
            Manifest.model_validate_json(version.manifest),
            version.commit,
            version.private_to is not None,
            version.created_at,
            sources(session, version) if has_card(version) else None,
        )


def _files(registry: Registry, found: Listed) -> dict[str, FileRef]:
    made = {CARD_FILE: generate(registry, found.card).reference} if found.card else {}
    return {**made, **found.manifest.files}


def _sibling(path: str, file: FileRef) -> Sibling:
    lfs = tree.lfs(file)
    told = SiblingLfs(sha256=lfs.oid, size=lfs.size, pointerSize=lfs.pointerSize)
    return Sibling(rfilename=path, size=file.size, blobId=tree.oid(file), lfs=told)


def _last(found: Listed) -> LastCommit:
    m = found.manifest
    return LastCommit(id=found.commit, title=f"{m.run}, round {m.round}, {m.program}", date=found.created_at)


def _no_folder(repo: str, revision: str, path: str, commit: str) -> PilotError:
    error = coded(NotFound, "not_found", f"{repo} at {revision} has no folder {path!r}")
    error.headers.update({"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
    return error
