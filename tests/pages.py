"""Pages of the documentation, as the commands and files that they show.

A fenced block of `console` holds commands: lines that begin with `$ `, and lines that continue them after a backslash.
A fenced block of `sh` is a script.
A fenced block of `python` after a paragraph that ends with "`NAME.py`:" is a file of that name.
"""

import re
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`([\w-]+\.py)`:\s*$")


def commands(page: Path) -> list[str]:
    """The commands of a page, in order."""
    return [command for kind, block, _ in _blocks(page) if kind == "console" for command in _commands(block)]


def scripts(page: Path, heading: str) -> list[str]:
    """The `sh` blocks below a heading, up to the next one, each a script."""
    below = page.read_text().partition(f"\n## {heading}\n")[2]
    section = re.split(r"^#{1,2} ", below, maxsplit=1, flags=re.MULTILINE)[0]
    return [block for kind, block in _BLOCK.findall(section) if kind == "sh"]


def files(page: Path) -> dict[str, str]:
    """The Python files that a page shows, by name."""
    return {
        named.group(1): block
        for kind, block, before in _blocks(page)
        if kind == "python" and (named := _NAMED.search(before))
    }


def _blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, content and the text before it."""
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        yield match.group(1), match.group(2), text[: match.start()].rstrip()


def _commands(block: str) -> Iterator[str]:
    joined = block.replace("\\\n", " ")
    for line in joined.splitlines():
        if line.startswith("$ "):
            yield re.sub(r"\s+", " ", re.split(r"\s+# ", line.removeprefix("$ "))[0]).strip()
