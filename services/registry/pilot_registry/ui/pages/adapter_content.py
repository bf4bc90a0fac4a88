"""The tabs that tell what is in an adapter: how to use it, its tensors, its files, its card."""

from dataclasses import asdict

from pilot_proto.base import Stored
from pilot_proto.registry import TensorPage

from pilot_registry import download, tensor_pages
from pilot_registry.hub.card import CARD_FILE
from pilot_registry.hub.snippets import Snippet, snippets
from pilot_registry.ui.markdown import without_head
from pilot_registry.ui.pages.adapter_head import AdapterPage, Opened, head
from pilot_registry.ui.views.tensor_names import common_beginning

TENSORS = 40


class SnippetView(Stored):
    """One way to take the adapter away."""

    name: str
    title: str
    language: str
    text: str
    says: str
    run_by: str
    """The test that runs it; empty where nothing has."""


class FileLine(Stored):
    path: str
    digest: str
    size: int
    norm: float | None
    url: str


class UsePage(AdapterPage):
    snippets: tuple[SnippetView, ...]


class TensorsPage(AdapterPage):
    name: str
    """What is in the names of those that are shown."""
    beginning: str = ""
    """What they all begin with."""
    tensors: TensorPage | None
    """None where they may not be read."""


class FilesPage(AdapterPage):
    files: tuple[FileLine, ...]


class CardPage(AdapterPage):
    card: str
    """Markdown; empty where it may not be read, or where there is none."""


def use(found: Opened) -> UsePage:
    """For whom the bytes are, how to get them."""
    made: tuple[Snippet, ...] = ()
    if not found.withheld:
        made = snippets(found.manifest, found.commit, str(found.request.base_url).rstrip("/"))
    views = tuple(SnippetView.model_validate(asdict(snippet)) for snippet in made)
    return UsePage.model_validate({**head(found, "use"), "snippets": views})


def tensors(found: Opened, name: str, limit: int, cursor: str | None) -> TensorsPage:
    """A page of them."""
    read = None
    if not found.withheld:
        read = tensor_pages.page(found.registry, found.caller, found.repo, found.commit, name, limit, cursor)
    beginning = common_beginning([each.name for each in read.items]) if read else ""
    return TensorsPage.model_validate({**head(found, "tensors"), "name": name, "beginning": beginning, "tensors": read})


def files(found: Opened) -> FilesPage:
    """Those of the version, and the card that is made when it is read."""
    known = [(path, file.digest, file.size, file.norm) for path, file in found.view.files.items()]
    if (made := _card(found)) is not None:
        known.append((CARD_FILE, made.digest, made.size, None))
    lines = tuple(
        FileLine(path=path, digest=digest, size=size, norm=norm, url=f"/{found.repo}/resolve/{found.commit}/{path}")
        for path, digest, size, norm in sorted(known)
    )
    return FilesPage.model_validate({**head(found, "files"), "files": lines})


def card(found: Opened) -> CardPage:
    """The generated README, without what programs read."""
    made = _card(found)
    text = without_head((made.body or b"").decode()) if made else ""
    return CardPage.model_validate({**head(found, "card"), "card": text})


def _card(found: Opened) -> download.Download | None:
    if found.withheld or found.view.kind == "update":
        return None
    return download.locate(found.registry, found.caller, found.repo, found.commit, CARD_FILE)
