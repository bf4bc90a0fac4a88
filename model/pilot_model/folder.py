"""An exported folder: read strictly, written whole or not at all.

personal.json                what it is, and the digest of everything else
connector.safetensors        psi^t, psi^s, psi^c, the foreign psi^t and the router
text/                        the LoRA as a peft folder; or model*.safetensors with the LoRA folded in
tokenizer.json, ...          the base's processor files
README.md                    the card
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilot_proto.assignment import FileRef
from pilot_proto.base import SCHEMA_VERSION
from pilot_proto.canonical import file_digest
from pilot_proto.names import ADAPTER_FILE
from pydantic import ValidationError
from safetensors.torch import load_file

from pilot_model.document import CARD_FILE, CONNECTOR_FILE, PERSONAL_FILE, TEXT_FOLDER, Personal
from pilot_model.errors import FolderError
from pilot_model.personal import Parts


def read_folder(folder: Path, *, verify: bool = True) -> tuple[Personal, Parts]:
    """What a folder says it is, and its parts.

    Raises FolderError naming the file that is missing, unknown, or not what it was; `verify=False` skips the digests.
    """
    personal = read_document(folder)
    for name, ref in sorted(personal.files.items()):
        _check_file(folder / name, ref, verify)
    text = folder / TEXT_FOLDER / ADAPTER_FILE["text"]
    parts = Parts(
        program=personal.program,
        task=personal.task,
        router=personal.router,
        connector=load_file(folder / CONNECTOR_FILE),
        lora=personal.lora,
        text=load_file(text) if personal.text == "adapter" else {},
    )
    return personal, parts


def read_document(folder: Path) -> Personal:
    """The folder's `personal.json`. Raises FolderError when it is none, or of a kind that this version cannot read."""
    file = folder / PERSONAL_FILE
    try:
        raw = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise FolderError(
            f"{folder} is no exported model: {PERSONAL_FILE} cannot be read ({error}); 'pilot export' makes one"
        ) from error
    found = raw.get("schema_version") if isinstance(raw, dict) else None
    if found != SCHEMA_VERSION:
        raise FolderError(
            f"{file} has the schema version {found!r}, and this pilot_model reads {SCHEMA_VERSION!r}; "
            "install the version of pilot_model that belongs to the exporting deployment"
        )
    try:
        return Personal.read_strictly(json.dumps(raw))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise FolderError(f"{file}: {where}: {first['msg']}; export the model again") from error


def _check_file(file: Path, ref: FileRef, verify: bool) -> None:
    if not file.is_file():
        raise FolderError(f"{file} is missing, which {PERSONAL_FILE} names; copy the whole folder, or export again")
    if verify and (found := file_digest(file)) != ref.digest:
        raise FolderError(
            f"{file} is not what was exported: it has the digest {found}, and {PERSONAL_FILE} names {ref.digest}; "
            "copy it again, or export again"
        )


@contextmanager
def being_written(out: Path) -> Iterator[Path]:
    """A folder that takes the name `out` when the block ends, and is gone when the block fails.

    Raises FolderError when `out` is taken: nothing that exists is written over.
    """
    check_free(out)
    draft = out.with_name(f".{out.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        if out.exists():
            out.rmdir()
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def check_free(out: Path) -> None:
    """Raise FolderError when something is at `out`, other than an empty folder."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise FolderError(f"{out} exists and is not an empty folder; choose another, or remove it")


def describe(folder: Path, personal: Personal, card: str) -> Personal:
    """Write the card and, last, `personal.json` with the digest of every other file; -> the document."""
    files = {
        path.relative_to(folder).as_posix(): FileRef(digest=file_digest(path), size=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    whole = personal.model_copy(update={"files": files})
    (folder / CARD_FILE).write_text(card)
    text = json.dumps(whole.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2, sort_keys=True)
    (folder / PERSONAL_FILE).write_text(text + "\n")
    return whole
