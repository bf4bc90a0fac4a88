"""Opaque page cursors."""

import base64
import json
import string
from datetime import UTC, datetime

import pytest
from pilot_http import cursors
from pilot_http.problems import Invalid


@pytest.mark.parametrize("position", [["2026-03-01T12:00:00+00:00", "abc"], [7, "x"], ["a/b?c&d", "\u00e9"], [0, ""]])
def test_a_position_comes_back_as_it_was_and_fits_into_an_address(position):
    cursor = cursors.encode(position)
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")
    assert cursors.decode(cursor, 2) == position


def test_no_cursor_is_the_first_page():
    assert cursors.decode(None, 2) is None


def encoded(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["", "nonsense", "!!!!", "a", "\u00e9", encoded({"a": 1}), encoded([1]), encoded([1, 2, 3]), encoded("ab")],
)
def test_what_is_not_a_cursor_is_refused_with_a_way_out(cursor):
    with pytest.raises(Invalid) as caught:
        cursors.decode(cursor, 2)
    assert "next" in caught.value.hint


def test_a_long_cursor_is_cut_in_the_message():
    with pytest.raises(Invalid) as caught:
        cursors.decode("x" * 5000, 2)
    assert len(caught.value.detail) < 100


def test_a_moment_and_an_id_come_back():
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    position = cursors.decode(cursors.encode([moment.isoformat(), "abc"]), 2)
    assert cursors.instant_and_id(position) == (moment, "abc")
    assert cursors.instant_and_id(None) is None


@pytest.mark.parametrize("moment", ["yesterday", 7, None, [], {}])
def test_a_cursor_of_another_list_is_refused(moment):
    with pytest.raises(Invalid):
        cursors.instant_and_id(cursors.decode(encoded([moment, "abc"]), 2))
