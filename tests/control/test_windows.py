"""Windows of remote control keep to the clock on the wall, also on the two nights when it is changed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edgeagent.config import RemoteWindowTable
from edgeagent.control.windows import Window

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60 * 1_000_000_000


def ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


def window(from_: str, to: str, *days: str, zone: ZoneInfo | None = BERLIN) -> Window:
    return Window(RemoteWindowTable(from_, to, days) if days else RemoteWindowTable(from_, to), zone)


def minutes(of: Window, first: str, last: str) -> list[str]:
    """The minutes at which it is open, as the hours and minutes of UTC at which it opens and closes."""
    changes, until = [], None
    for now in range(ns(first), ns(last), MINUTE):
        found = of.open(now)
        if (found is not None) != (until is not None):
            assert found or now == until, "it says from the beginning when it ends"
            changes.append(datetime.fromtimestamp(now / 1e9, ZoneInfo("UTC")).strftime("%H:%M"))
        assert not (found and until) or found.until_ns == until
        until = found.until_ns if found else None
    return changes


def test_it_is_open_on_its_days_between_its_times():
    weekdays = window("05:00", "06:00", "mon", "tue", "wed", "thu", "fri")
    assert minutes(weekdays, "2026-11-20T00:00:00Z", "2026-11-20T23:00:00Z") == ["04:00", "05:00"]
    assert minutes(weekdays, "2026-11-21T00:00:00Z", "2026-11-22T22:00:00Z") == []  # Saturday and Sunday


def test_it_may_go_over_midnight_and_belongs_to_the_day_on_which_it_begins():
    night = window("22:00", "02:00", "fri")
    assert minutes(night, "2026-11-20T12:00:00Z", "2026-11-22T12:00:00Z") == ["21:00", "01:00"]
    assert minutes(night, "2026-11-19T12:00:00Z", "2026-11-20T12:00:00Z") == []


@pytest.mark.parametrize(("from_", "to", "open_utc"), [
    ("01:30", "02:30", ["00:30", "01:00"]),  # the clock goes from 02:00 to 03:00 at 01:00 UTC
    ("02:00", "03:00", []),
    ("02:30", "04:00", ["01:00", "02:00"]),
    ("05:00", "06:00", ["03:00", "04:00"]),
])
def test_on_the_night_when_an_hour_is_left_out(from_, to, open_utc):
    assert minutes(window(from_, to), "2026-03-28T23:30:00Z", "2026-03-29T12:00:00Z") == open_utc


@pytest.mark.parametrize(("from_", "to", "open_utc"), [
    ("02:00", "02:30", ["00:00", "00:30"]),  # the clock goes from 03:00 back to 02:00 at 01:00 UTC
    ("02:00", "03:00", ["00:00", "01:00"]),
    ("01:30", "02:30", ["23:30", "00:30"]),
    ("02:30", "04:00", ["00:30", "02:00"]),
    ("03:00", "04:00", ["02:00", "03:00"]),
    ("05:00", "06:00", ["04:00", "05:00"]),
])
def test_on_the_night_when_an_hour_comes_twice_it_is_never_longer_than_it_says(from_, to, open_utc):
    assert minutes(window(from_, to), "2026-10-24T22:30:00Z", "2026-10-25T12:00:00Z") == open_utc


def test_without_a_zone_it_keeps_to_the_computers_own(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        own = window("02:00", "03:00", zone=None)
        assert minutes(own, "2026-10-24T22:30:00Z", "2026-10-25T12:00:00Z") == ["00:00", "01:00"]
        assert minutes(own, "2026-03-28T23:30:00Z", "2026-03-29T12:00:00Z") == []
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_it_tells_for_which_functions_it_counts():
    only = Window(RemoteWindowTable("05:00", "06:00", functions=("Status.PowerOn",)), BERLIN)
    assert only.open(ns("2026-11-20T04:30:00Z")).functions == {"Status.PowerOn"}
