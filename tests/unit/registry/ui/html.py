"""A page as a test reads it."""

from html.parser import HTMLParser

from unit.registry.world import World

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Reader(HTMLParser):
    """Text, links, forms and scripts of a page; unbalanced tags and what a strict policy forbids are failures."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.assets: list[str] = []
        self.actions: list[str] = []
        self.ids: list[str] = []
        self.text = ""
        self._open: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        assert not [name for name in found if name.startswith("on") or name == "style"], (tag, found)
        if tag == "script":
            assert found.get("src") or found.get("type") == "application/json"
        for name, where in (("href", self.assets if tag == "link" else self.links), ("src", self.assets)):
            if found.get(name):
                where.append(found[name])
        if tag == "form":
            self.actions.append(f"{found.get('method', 'get')} {found.get('action', '')}")
        if "id" in found:
            self.ids.append(found["id"])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}>"

    def handle_data(self, data):
        if not self._open or self._open[-1] != "script":
            self.text += data


def read(html: str) -> Reader:
    made = Reader()
    made.feed(html)
    made.close()
    assert not made._open, made._open
    assert len(made.ids) == len(set(made.ids)), "an id stands twice"
    return made


def page(world: World, who: str, path: str, status: int = 200, **headers: str) -> Reader:
    """A page as somebody sees it."""
    answer = world.call(who, "GET", f"//{path}", headers={"Accept": "text/html", **headers})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    return read(answer.text)
