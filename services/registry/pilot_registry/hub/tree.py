"""The files of a version as folders and pages. Values in, values out."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from pilot_proto.assignment import FileRef

from pilot_registry.hub.documents import LastCommit, Lfs, TreeEntry

OID_LENGTH = 40


def entries(files: Mapping[str, FileRef], folder: str, *, recursive: bool) -> list[TreeEntry] | None:
    """What stands in a folder ("" is the root), by path; None if there is no such folder."""
    prefix = f"{folder}/" if folder else ""
    inside = {path: file for path, file in files.items() if path.startswith(prefix)}
    if folder and not inside:
        return None
    found: dict[str, TreeEntry] = {}
    for path, file in inside.items():
        steps = path.removeprefix(prefix).split("/")
        depths = range(1, len(steps)) if recursive else range(1, min(len(steps), 2))
        for name in (prefix + "/".join(steps[:depth]) for depth in depths):
            found[name] = _directory(name, inside)
        if recursive or len(steps) == 1:
            found[path] = TreeEntry(type="file", path=path, size=file.size, oid=oid(file), lfs=lfs(file))
    return [found[path] for path in sorted(found)]


def page(found: Sequence[TreeEntry], after: str, limit: int) -> tuple[list[TreeEntry], str | None]:
    """The entries behind the path `after`, and the path after which the next page starts."""
    rest = [entry for entry in found if entry.path > after]
    return rest[:limit], rest[limit - 1].path if len(rest) > limit else None


def dated(found: Iterable[TreeEntry], last: LastCommit) -> list[TreeEntry]:
    """The entries with their last commit: versions are whole, so it is the version's own."""
    return [entry.model_copy(update={"lastCommit": last}) for entry in found]


def oid(file: FileRef) -> str:
    """In place of a git object's name, which we do not have."""
    return file.digest.removeprefix("sha256:")[:OID_LENGTH]


def lfs(file: FileRef) -> Lfs:
    """A file's digest where clients of the Hub look for one."""
    digest = file.digest.removeprefix("sha256:")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {file.size}\n"
    return Lfs(oid=digest, size=file.size, pointerSize=len(pointer))


def _directory(name: str, files: Mapping[str, FileRef]) -> TreeEntry:
    held = "\n".join(f"{path} {file.digest}" for path, file in sorted(files.items()) if path.startswith(f"{name}/"))
    return TreeEntry(type="directory", path=name, size=0, oid=hashlib.sha256(held.encode()).hexdigest()[:OID_LENGTH])
