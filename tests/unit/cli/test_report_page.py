"""The report as a page: it needs nothing else, it is the same for the same runs, and it believes no name."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from pilot_cli.report import figures
from pilot_cli.report.page import page
from pilot_cli.report.plots import Line, Panel, Plot, drawn
from pilot_reports import metric_tables, run_tables
from unit.reports.histories import client_report, history, rejection

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.ids, self.links, self.captions, self.words = [], [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[name] for name in ("href", "src", "action", "data") if name in values]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == "caption":
            self.captions.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def both():
    return [history("p", lost=("vqa-2",), partial=True, rejections=(rejection(),)), history("l", "local")]


@pytest.fixture(scope="module")
def text():
    return page(both())


@pytest.fixture(scope="module")
def parsed(text):
    return Page(text)


def test_the_page_needs_no_address_and_no_script(text, parsed):
    assert "http" not in text
    assert all(link.startswith("#") for link in parsed.links)
    assert not {"script", "link", "img", "iframe"} & set(parsed.tags)
    assert re.search(r"url\((?!#)|@import", text) is None


def test_every_table_has_a_caption_and_every_plot_a_title_and_a_description(parsed):
    assert parsed.tags.count("table") == parsed.tags.count("caption") == len(parsed.captions) > 10
    assert parsed.tags.count("svg") == 6
    assert parsed.tags.count("desc") == 6


def test_no_id_stands_twice_and_every_link_leads_somewhere(parsed):
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link.removeprefix("#") for link in parsed.links} <= set(parsed.ids)


def test_the_same_runs_give_the_same_bytes(text):
    assert page(both()) == text


def test_the_page_takes_the_readers_colours(text):
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    assert "#010203" not in text


def test_the_page_tells_what_was_and_why(parsed):
    assert "left out: Lost" in parsed.text
    assert "ClientLost: vqa-2 in round 2" in parsed.text
    assert "a tensor holds NaN" in parsed.text
    assert "pilot verify p 1" in parsed.text
    assert "3.000 \N{RIGHTWARDS ARROW} 1.000 (2.000)" in parsed.text
    assert "1.5 kB / 2.5 kB" in parsed.text
    assert "0.750" in parsed.text
    assert "cuda, bf16, base in nf4" in parsed.text


def test_a_local_run_shows_the_transfer_and_its_absence_says_how_to_get_one(parsed):
    assert "Gain of p over l, by client" in parsed.captions
    alone = Page(page([history("p")]))
    assert not any(caption.startswith("Gain of") for caption in alone.captions)
    assert "method: local" in alone.text


def test_merges_are_shown_where_something_was_merged(parsed):
    assert "Round 1, text: who was merged with whom" in parsed.captions
    assert "Round 1, text: distances between uploads (euclidean)" in parsed.captions
    alone = Page(page([history("l", "local")]))
    assert not any("who was merged" in caption for caption in alone.captions)
    assert "every client kept its own" in alone.text


def test_what_a_key_may_not_read_is_said_and_not_shown_as_nothing():
    seen = Page(page([history("p", updates=None, rejections=None)])).text
    assert "Losses, routers and bytes are shown to an operator's key." in seen
    assert "Refused uploads are shown to an operator's key." in seen
    assert "refused no upload" not in seen


def test_a_run_that_has_measured_nothing_yet_has_a_page():
    clients = (client_report("one", "vqa", (None, None), (None, None), before=None),)
    assert "one" in Page(page([history("p", clients=clients, updates=())])).text


HOSTILE = '"><script>alert(1)</script>'


def test_hostile_names_are_text_wherever_they_stand():
    clients = (client_report(HOSTILE, HOSTILE, (0.4, 0.5), (0.3, 0.4), metric=HOSTILE),)
    values = {"clients": clients, "rejections": (rejection(f"$x^2$ {HOSTILE}"),)}
    text = page([history(HOSTILE, **values), history("l", "local")])
    seen = Page(text)
    assert "script" not in seen.tags
    assert "<script" not in text
    assert HOSTILE in seen.text


def test_a_name_with_dollars_is_not_taken_for_a_formula():
    plot = Plot("k", "t", "d", "u", (Panel("p", (0, 1), (Line("$\\frac{a}$", (0.0, 1.0)),)),))
    assert "$\\frac{a}$" in drawn(plot)


def test_a_long_name_is_shortened_in_a_plot_only():
    plot = Plot("k", "t", "d", "u", (Panel("p", (0,), (Line("n" * 40, (0.5,)),)),))
    assert "n" * 25 + "\N{HORIZONTAL ELLIPSIS}" in drawn(plot)
    assert "n" * 26 not in drawn(plot)


def test_merged_and_local_are_never_in_one_panel():
    plots = [*figures.of_run(history("p"), 1), *figures.side_by_side([history("p"), history("l", "local")])]
    for plot in plots:
        merged, local = plot.panels
        assert (merged.rounds, local.rounds) == ((0, 1, 2), (1, 2))
    (vqa,) = [p for p in plots if p.key == "run-1-vqa"]
    assert vqa.panels[0].lines[0].values == (20.0, 40.0, 60.0)
    assert vqa.panels[1].lines[0].values == (30.0, 50.0)


def test_what_was_not_measured_leaves_a_gap_and_a_mean_of_all_or_none():
    clients = (
        client_report("vqa-1", "vqa", (0.4, 0.6), (0.3, 0.5)),
        client_report("vqa-2", "vqa", (None, 0.8), (0.3, 0.5)),
    )
    lone = history("p", clients=clients)
    (plot,) = figures.of_run(lone, 1)
    assert [line.values for line in plot.panels[0].lines][1:] == [(20.0, None, 80.0), (20.0, None, 70.0)]
    table = metric_tables.by_round(lone)
    assert [cell.text for cell in table.rows[0].cells[2:5]] == ["20.0 %", "40.0 % (1)", "70.0 %"]


def test_runs_side_by_side_have_means_over_the_clients_that_all_of_them_measured():
    one, other = client_report("a", "vqa", (0.4,), (0.3,)), client_report("b", "vqa", (0.8,), (0.3,))
    unmeasured = client_report("b", "vqa", (None,), (0.3,))
    table = metric_tables.side_by_side([history("p", clients=(one, other)), history("q", clients=(one, unmeasured))])
    assert [cell.text for cell in table.rows[0].cells[4:6]] == ["40.0 % (1)", "40.0 % (1)"]


def test_who_begins_anew_is_told_where_it_says_something():
    plain = history("p")
    (first, second, *rest) = plain.rounds
    entries = tuple(entry.model_copy(update={"started": ("client",)}) for entry in first.ledger.entries)
    began = [r.model_copy(update={"ledger": r.ledger.model_copy(update={"entries": entries})}) for r in (first, second)]
    table = run_tables.participation(replace(plain, rounds=(*began, *rest)))
    assert [cell.text for cell in table.rows[0].cells[2:]] == ["counted (10)", "counted (10), began anew: client"]
