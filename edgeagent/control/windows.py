"""Times at which a machine is under remote control by the configuration: local time, right over its changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, NamedTuple

from edgeagent.config import RemoteWindowTable

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class Open(NamedTuple):
    """A window that is open: until when (wall ns), and for which functions; for all where there are none."""

    until_ns: int
    functions: frozenset[str]


class Window:
    """One window of the configuration.

    It is open while a clock on the wall shows a time in it, and never longer than it says: on the day when an hour
    exists twice the first counts, of an hour that does not exist nothing is left.

    Args:
        zone: where the machine is; the computer's own zone for None.
    """

    def __init__(self, table: RemoteWindowTable, zone: ZoneInfo | None) -> None:
        self._days = {DAYS.index(day) for day in table.days or DAYS}
        self._from, self._to = time.fromisoformat(table.from_), time.fromisoformat(table.to)
        self._functions = frozenset(table.functions)
        self._zone = zone

    def open(self, wall_ns: int) -> Open | None:
        """Say until when it is open; None while it is closed."""
        second = wall_ns // 1_000_000_000
        if not self._is_open(second):
            return None
        inside, outside = second, second + 2 * 86_400
        while outside - inside > 1:
            middle = (inside + outside) // 2
            inside, outside = (middle, outside) if self._spans(second, middle) else (inside, middle)
        return Open(outside * 1_000_000_000, self._functions)

    def _is_open(self, second: int) -> bool:
        return any(self._holds(begin, end, second) for begin, end in self._around(second))

    def _spans(self, first: int, second: int) -> bool:
        """Whether the opening that holds the first moment holds the second as well."""
        return any(self._holds(begin, end, first) and self._holds(begin, end, second)
                   for begin, end in self._around(first))

    def _around(self, second: int) -> Iterator[tuple[datetime, datetime]]:
        """The openings that may hold a moment, from when to when a clock on the wall shows."""
        today = self._shown(second).date()
        for day in (today - _DAY, today):
            if day.weekday() in self._days:
                yield datetime.combine(day, self._from), datetime.combine(self._last_day(day), self._to)

    def _last_day(self, day: date) -> date:
        return day if self._from < self._to else day + _DAY

    def _holds(self, begin: datetime, end: datetime, second: int) -> bool:
        shown, first, last = self._shown(second), self._second(begin), self._second(end)
        has_begun = shown >= begin or second >= first
        has_ended = shown >= end or second >= last or second - first >= (end - begin).total_seconds()
        return has_begun and not has_ended

    def _shown(self, second: int) -> datetime:
        """What a clock on the wall shows."""
        moment = _EPOCH + timedelta(seconds=second)
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _second(self, shown: datetime) -> float:
        """When a clock on the wall shows this for the first time."""
        return shown.replace(tzinfo=self._zone).timestamp()


def openings(windows: tuple[Window, ...], wall_ns: int) -> list[Open]:
    """Every window that is open."""
    return [found for window in windows if (found := window.open(wall_ns))]
