"""One unit's place on a serial line: the same for all who are asked there, whatever they speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeagent.acquire.serial_line import SerialLine


class LineUnit:
    """A unit of a line that it shares with others; what asks it builds on this.

    Args:
        unit: its own number or address; one LineUnit for each on a line.
        latency_s: longest time between the end of a question and the beginning of the unit's answer.
    """

    def __init__(self, line: SerialLine, unit: int | str, latency_s: float) -> None:
        self.name = f"{line.port}/{unit}"
        self._line = line
        self._unit = unit
        self._latency_s = latency_s
        line.quarantine_s = max(line.quarantine_s, latency_s)

    @property
    def connected(self) -> bool:
        """Whether the port is open."""
        return self._line.has(self._unit)

    async def connect(self) -> None:
        """Open the port, or use it together with the line's other units; raises Unreachable."""
        self._line.join(self._unit)

    def close(self) -> None:
        """Leave the line; it is closed when no unit uses it any more."""
        self._line.leave(self._unit)
