"""Markdown as HTML, for cards: nothing in it can be HTML of its own, run, or reach elsewhere by itself."""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
HEADINGS_BELOW = 2
"""A page has its own title, and each of its sections one."""
REGION = '<div class="scroll" role="region" tabindex="0" aria-label="Table">'
BLOCK = '<pre tabindex="0"><code>'


def without_head(text: str) -> str:
    """A card without the YAML that programs read."""
    return HEAD.sub("", text, count=1)


def markdown(text: str) -> Markup:
    """As HTML; raw HTML, images and links to anything but pages are shown as they are written."""
    parser = _parser()
    tokens = parser.parse(text)
    _below(tokens)
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _below(tokens: Sequence["Token"]) -> None:
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + HEADINGS_BELOW)}"
        # Alignment is written as a style, which the pages' policy forbids.
        token.attrs.pop("style", None)


@cache
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table")
    # What is wider than the window scrolls by itself, by keyboard too.
    made.add_render_rule("table_open", lambda html, tokens, i, options, env: f"{REGION}<table>\n")
    made.add_render_rule("table_close", lambda html, tokens, i, options, env: "</table></div>\n")
    made.add_render_rule("fence", lambda html, tokens, i, *_: f"{BLOCK}{escape(tokens[i].content)}</code></pre>\n")
    return made.disable(["image", "link", "autolink", "html_inline", "html_block"])
