"""The port of a wire: what a poller needs of any device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgeagent.errors import Broken, Refused, Silent
from firmware_iface.frames.writes import MAY_BE_WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterator


Allows = Callable[[], None]
"""Asked when a write has its turn, just before it goes out; what it raises is raised, and nothing was sent."""


def always() -> None:
    """Let a write go that nothing can forbid while it waits."""


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


@dataclass(frozen=True, slots=True)
class Words:
    """One write: what registers (or bits, 0 or 1) of a Modbus table hold from `address` on, as they are sent."""

    table: str
    address: int
    values: tuple[int, ...]

    def __str__(self) -> str:
        return f"{len(self.values)} written to table {self.table} from {self.address}"


@contextmanager
def unknown_outcome() -> Iterator[None]:
    """Turn what does not say whether a write that was sent was carried out into Silent."""
    try:
        yield
    except Broken as error:
        raise Silent(f"{error}; it may be written or not") from error
    except Refused as error:
        if error.code not in MAY_BE_WRITTEN:
            raise
        raise Silent(f"{error}; it may be written or not") from error


class Source(Protocol):
    """A device on a wire. One request at a time; never cancelled in flight.

    What is urgent is the next request on the wire, before all others that wait for it; writes always are.
    """

    name: str

    @property
    def connected(self) -> bool:
        """Whether requests can be sent now."""

    async def connect(self) -> None:
        """Open the way to the device.

        Raises:
            Unreachable: it cannot be opened.
        """

    async def read(self, block: Block, is_urgent: bool = False) -> bytes:
        """Ask once and return the answer's data, exactly `block.size` bytes.

        Raises:
            Unreachable, Silent, BadAnswer, Refused: as `edgeagent.errors` says; nothing is retried here.
        """

    async def write(self, words: Words, allows: Allows = always) -> None:
        """Write once; returns when the device has said that it took exactly this.

        Raises:
            NotWritable, Unreachable, Refused: it was not written.
            Silent, BadAnswer: it may be written or not; nothing is retried here.
            ValueError: no Modbus request carries that. Whatever `allows` raises: it was not written.
        """

    def close(self) -> None:
        """Close the way; returns at once, may be called twice."""
