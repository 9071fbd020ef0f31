"""One row a second while boards are inside: zone values and estimates, for the traces and across a restart."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from edgeagent.model.boards import BoardTrace
from edgeagent.model.points import Quality
from edgeagent.model.samples import rounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row

_SECOND_NS = 1_000_000_000
REACH = 2 * 3600
"""Rows kept at most, one a second; boards that stand longer in a stopped oven lose the beginning of their trace."""


class Second(msgspec.Struct, array_like=True, frozen=True):
    """Zone values in °C (None where not good) and the estimate of each board by its id, at one monotonic time."""

    time_ns: int
    zones: tuple[float | None, ...]
    boards: dict[str, float | None]


_decoder = msgspec.msgpack.Decoder(Second)


class History:
    """The seconds since the oldest board inside came in."""

    def __init__(self, machine: Machine) -> None:
        # Waves share the temperature of their pot.
        paths = tuple(dict.fromkeys(path for zone in machine.map.zones for path in zone.temperatures))
        self._objects = tuple(machine.point(path).object for path in paths)
        self._columns = machine.columns(paths)
        self._decimals = tuple(machine.points[column].decimals for column in self._columns)
        self._seconds: deque[Second] = deque(maxlen=REACH)

    def due(self, now_ns: int) -> bool:
        """Say whether a second has passed since the last row."""
        return not self._seconds or now_ns - self._seconds[-1].time_ns >= _SECOND_NS

    def record(self, now_ns: int, row: Row, estimates: Mapping[str, float]) -> bytes:
        """Take a row; returns it as bytes to be stored."""
        second = Second(
            now_ns,
            tuple(rounded(row.values[column], decimals) if row.quality[column] == Quality.GOOD else None
                  for column, decimals in zip(self._columns, self._decimals, strict=True)),
            {board: rounded(estimate, 2) for board, estimate in estimates.items()},
        )  # fmt: skip
        self._seconds.append(second)
        return msgspec.msgpack.encode(second)

    def restore(self, rows: Iterable[bytes], until_ns: int, shift_ns: int) -> None:
        """Take back stored rows up to a time, oldest first; one that cannot be read is left out."""
        for row in rows:
            try:
                second = _decoder.decode(row)
            except msgspec.DecodeError:
                continue
            if second.time_ns <= until_ns:
                self._seconds.append(msgspec.structs.replace(second, time_ns=second.time_ns + shift_ns))

    def rows(self) -> list[tuple[int, bytes]]:
        """All rows kept, with their times, as bytes to be stored."""
        return [(second.time_ns, msgspec.msgpack.encode(second)) for second in self._seconds]

    def forget(self, before_ns: int) -> None:
        """Drop rows that no board inside needs."""
        while self._seconds and self._seconds[0].time_ns < before_ns:
            self._seconds.popleft()

    def estimates(self, board: str, entered_ns: int, most: int) -> tuple[list[int], list[float]]:
        """The estimate of one board, ns since entry and °C, thinned to at most so many points."""
        known = [(s.time_ns - entered_ns, s.boards[board]) for s in self._seconds if board in s.boards]
        known = known[:: 1 + len(known) // most]
        return [t for t, _ in known], [math.nan if v is None else v for _, v in known]

    def trace(self, board: str, entered_ns: int, left_ns: int) -> BoardTrace:
        """What was seen from entry to exit, a row a second."""
        seconds = [s for s in self._seconds if entered_ns <= s.time_ns <= left_ns]
        return BoardTrace(
            id=board,
            seconds=[round((s.time_ns - entered_ns) / 1e9, 2) for s in seconds],
            estimated=[s.boards.get(board) for s in seconds],
            zones={name: [s.zones[place] for s in seconds] for place, name in enumerate(self._objects)},
        )
