"""Tables are aligned, fit a terminal, and do nothing to it."""

import time

import pytest

from edgeagent.tools.tables import cut, local, number, printable, side_by_side, table

ROWS = [("name", "value"), ("a", "1.5"), ("long name of something", "-20")]


def test_cells_are_aligned_and_numbers_stand_to_the_right():
    assert list(table(ROWS, None)) == [
        "name                    value",
        "a                         1.5",
        "long name of something    -20",
    ]  # fmt: skip


def test_the_widest_cells_are_cut_until_a_line_fits_but_not_those_that_are_needed_whole():
    assert list(table(ROWS, 20)) == ["name           value", "a                1.5", "long name ...    -20"]
    assert list(table([("0123456789", "0123456789")], 19, whole=1)) == ["0123456789  01234567"[:17] + "..."]


def test_a_table_that_is_too_wide_is_broken_into_several_with_the_first_column_in_each():
    columns = [["t", "1"], ["first", "2"], ["second", "3"], ["third", "4"]]
    assert list(side_by_side(columns, 16)) == ["t  first  second", "1      2       3", "", "t  third", "1      4"]
    assert list(side_by_side(columns, None)) == ["t  first  second  third", "1      2       3      4"]


def test_wide_characters_take_two_columns():
    assert list(table([("板卡", "x"), ("a", "y")], None)) == ["板卡  x", "a     y"]
    assert cut("板板板板", 7) == "板板..."


def test_what_a_terminal_would_obey_is_shown_instead():
    assert printable("a\x1b[2J\nb\u202e°") == "a\\x1b[2J\\nb\\u202e°"


@pytest.mark.parametrize(("value", "expected"), [(None, "-"), (0.0, "0"), (240.80, "240.8"), (3, "3")])
def test_a_number_that_is_not_there_is_a_dash(value, expected):
    assert number(value) == expected


@pytest.mark.parametrize(("zone", "expected"), [
    ("CET-1", "2026-11-21 22:53:00+01:00"), ("EST5", "2026-11-21 16:53:00-05:00"),
])  # fmt: skip
def test_a_time_is_local_with_its_offset(monkeypatch, zone, expected):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local("2026-11-21T21:53:00.123Z") == expected
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_time_is_a_dash():
    assert local(None) == "-"
