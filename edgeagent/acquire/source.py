"""The port of a wire: what a poller needs of any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers (or bits) of a Modbus table from `address` on, as they are sent."""

    table: str
    address: int
    count: int

    def __str__(self) -> str:
        return f"{self.count} of table {self.table} from {self.address}"

    @property
    def size(self) -> int:
        """Bytes of data in the right answer."""
        return (self.count + 7) // 8 if self.table in {"coil", "discrete"} else 2 * self.count


class Source(Protocol):
    """A device on a wire. One request at a time; never cancelled in flight."""

    name: str

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""

    async def connect(self) -> None:
        """Open the way to the device.

        Raises:
            Unreachable: it cannot be opened.
        """

    async def read(self, block: Block) -> bytes:
        """Ask once and return the answer's data, exactly `block.size` bytes.

        Raises:
            Unreachable, Silent, BadAnswer, Refused: as `edgeagent.errors` says; nothing is retried here.
        """

    def close(self) -> None:
        """Close the way; returns at once, may be called twice."""
