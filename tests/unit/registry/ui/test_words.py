"""Times, sizes and foreign names as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
from pilot_registry.ui import words

NOON = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90061, "1 d 1 h"),
        (-5, "0 s"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(seconds, told):
    assert words.span(seconds) == told


def test_a_time_is_utc_for_machines_and_in_its_title():
    made = words.when("2026-03-01T13:30:05.123+01:00")
    assert 'datetime="2026-03-01T12:30:05+00:00"' in made
    assert 'title="2026-03-01 12:30:05 UTC"' in made
    assert words.when(NOON) == made
    assert "&ndash;" in words.when(None)


def test_how_long_ago_counts_from_now():
    assert "2 h 1 min ago" in words.ago(NOON, NOON + timedelta(hours=2, minutes=1, seconds=7))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (7.0, "7"),
        (1234567, "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"),
        (0.123456, "0.1235"),
        (-0.5, "\N{MINUS SIGN}0.5"),
        (1.5e-9, "1.5e\N{MINUS SIGN}09"),
    ],
)
def test_a_number_has_four_digits(value, told):
    assert words.number(value) == told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("../../x", "../../x"),
        ("a\nb\tc", "a b c"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}evil", "\N{REPLACEMENT CHARACTER}evil"),
        ("nul\x00", "nul\N{REPLACEMENT CHARACTER}"),
        ("", ""),
        (None, ""),
    ],
)
def test_foreign_text_is_one_line_that_steers_nothing(text, shown):
    assert str(words.cut(text)) == shown


def test_long_text_is_cut_in_the_middle_with_more_of_it_in_the_title():
    made = str(words.cut("a" * 1_000_000 + "<end>"))
    assert "\N{HORIZONTAL ELLIPSIS}" in made
    assert len(made) < 700
    assert str(words.cut('"' * 100)).count('"') == 2, "quotes cannot leave the attribute"
