"""What the Hub's listings look like. The names of the fields are the Hub's, not ours."""

from typing import Literal

from pydantic import BaseModel


class Lfs(BaseModel):
    """Bytes by sha256. We have no git objects; clients read the digest here."""

    oid: str
    size: int
    pointerSize: int


class LastCommit(BaseModel):
    id: str
    title: str
    date: str


class TreeEntry(BaseModel):
    """A file or a folder of a version."""

    type: Literal["file", "directory"]
    path: str
    size: int
    oid: str
    lfs: Lfs | None = None
    lastCommit: LastCommit | None = None


class SiblingLfs(BaseModel):
    """The same as `Lfs`, whose digest has another name here."""

    sha256: str
    size: int
    pointerSize: int


class Sibling(BaseModel):
    """A file of a version in its model's own document."""

    rfilename: str
    size: int | None = None
    blobId: str | None = None
    lfs: SiblingLfs | None = None


class ModelInfo(BaseModel):
    """A version of a repository."""

    id: str
    modelId: str
    author: str
    sha: str
    private: bool
    gated: bool = False
    disabled: bool = False
    createdAt: str
    lastModified: str
    tags: list[str]
    library_name: str | None = None
    siblings: list[Sibling]
