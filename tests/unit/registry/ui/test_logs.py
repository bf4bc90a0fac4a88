"""What a job printed."""

import pytest
from pilot_registry.ui.views.log_lines import MOST, log_lines
from unit.registry.ui.fake_aggregator import attempt_times, timeline
from unit.registry.ui.html import page, read
from unit.registry.world import World

PLACE = "ui/runs/digits/rounds/1/clients/vqa-1/logs"
ASKED = "runs/digits/rounds/1/clients/vqa-1/logs"
LINE = '{"time": "2026-01-01T12:00:07.123+00:00", "level": "error", "event": "failed", "code": "bad_data", "n": 7}'


def tell(aggregator, text: str) -> None:
    aggregator.tell(ASKED, text)
    lost = attempt_times(1, "Failed", exit_code=65, message="bad_data: no images")
    aggregator.tell("runs/digits/rounds/1/timeline", timeline(clients={"vqa-1": (lost, attempt_times(2))}))


def test_lines_of_our_trainers_are_taken_apart():
    (line,) = log_lines(LINE)
    assert (line.at, line.level, line.tone, line.text) == ("12:00:07.123", "error", "bad", "failed")
    assert line.more == "code bad_data, n 7"


@pytest.mark.parametrize(
    "raw", ["Traceback (most recent call last):", "{", "[1, 2]", "7", '{"no": "event"}', "[" * 9999]
)
def test_other_lines_stay_as_they_are(raw):
    (line,) = log_lines(raw)
    assert (line.text, line.more, line.at) == (raw, "", "")


def test_only_the_last_lines_of_a_long_log_are_shown(world: World, aggregator):
    tell(aggregator, "".join(f"line {i}\n" for i in range(MOST + 100)))
    text = page(world, "operator", PLACE).text
    assert f"line {MOST + 99}" in text
    assert "line 99\n" not in text
    assert f"the last {MOST} lines" in text


def test_the_page_has_the_attempts_and_the_newest_ones_log(world: World, aggregator):
    tell(aggregator, LINE)
    text = page(world, "operator", PLACE).text
    for words in ("Failed", "65", "bad_data: no images", "Succeeded", "failed", "code bad_data"):
        assert words in text, words
    assert aggregator.calls[0][:3] == ("GET", ASKED, "operator")


def test_the_whole_log_is_there_as_text(world: World, aggregator):
    tell(aggregator, "a\n<b>\n")
    assert f"/{PLACE}?format=text" in page(world, "operator", PLACE).links
    answer = world.call("operator", "GET", f"//{PLACE}?format=text")
    assert (answer.text, answer.headers["content-type"]) == ("a\n<b>\n", "text/plain; charset=utf-8")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_empty_log_says_why(world: World, aggregator):
    tell(aggregator, "")
    assert "waits for its turn" in page(world, "operator", PLACE).text


def test_logs_are_for_operators(world: World, aggregator):
    tell(aggregator, LINE)
    page(world, "viewer", PLACE, status=403)
    assert aggregator.calls == []


def test_there_is_no_log_of_a_client_without_an_attempt_and_none_while_the_aggregator_is_away(world: World, aggregator):
    assert "no runs/digits" in page(world, "operator", PLACE, status=404).text
    aggregator.away = True
    page(world, "operator", PLACE, status=503)


def test_hostile_lines_stay_lines(world: World, aggregator):
    tell(
        aggregator,
        '{"event": "<script>alert(1)</script>", "x": "\\u202e' + "y" * 9999 + '"}\n<script>alert(2)</script>',
    )
    answer = world.call("operator", "GET", f"//{PLACE}", headers={"Accept": "text/html"})
    assert "<script>alert" not in answer.text
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in answer.text
    read(answer.text)
