"""What a command reaches of one machine: its points are written and read back, over whichever source has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeagent.acquire.poller import Poller
from edgeagent.acquire.source import Words, always
from edgeagent.acquire.text_instrument import SPEAKS_TEXT
from edgeagent.errors import Unreachable
from firmware_iface.encoding import encode
from firmware_iface.frames.requests import BROADCAST
from firmware_iface.spans import BIT_TABLES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edgeagent.acquire.listening import Listener
    from edgeagent.acquire.source import Allows
    from edgeagent.acquire.text_stream import TextStream
    from edgeagent.model.machine import Machine
    from firmware_iface.registers import Register, RegisterMap

_TABLES = ("coil", "holding")


class Reach:
    """The way to a machine's points.

    Args:
        readers: of each source of the machine, in the order of its maps.
        units: Modbus unit of each source; None where it has none.
    """

    def __init__(
        self, machine: Machine, readers: Sequence[Poller | Listener | TextStream], units: Sequence[int | None]
    ) -> None:
        self._machine = machine
        self._readers = readers
        self._registers = {register.path: register for each in machine.maps for register in each.registers}
        self._reasons = {
            register.path: reason
            for reader, each, unit in zip(readers, machine.maps, units, strict=True)
            for register in each.registers
            if (reason := _why_not(reader, each, unit, register))
        }  # fmt: skip

    def why_not(self, path: str) -> str | None:
        """Say why a point can never be written, in one sentence; None where it can."""
        if path not in self._registers:
            return f"{self._machine.id} has no point {path}"
        return self._reasons.get(path)

    async def write(self, path: str, value: float | str, allows: Allows = always) -> None:
        """Write a value, in the point's unit, once, as the next request on its wire.

        Args:
            allows: asked once more when the turn has come, which may be a request's whole time-out later.

        Raises:
            ValueError: the point is never written, or cannot have this value; nothing was sent.
            NotWritable, Unreachable, Refused: it was not written; Unreachable too while the device is not recognised.
            Silent, BadAnswer: it may be written or not. Whatever `allows` raises: nothing was sent.
        """
        if reason := self.why_not(path):
            raise ValueError(reason)
        reader = self._reader(path)
        assert isinstance(reader, Poller)
        await reader.write(words(self._registers[path], value), allows)

    async def refresh(self, paths: Collection[str]) -> None:
        """Read the groups of these points now, each by requests that begin after this call and before all that waits.

        The row then holds what was read, and capture was told, as at any beat.

        Raises:
            KeyError: the machine has no such point.
            MachineError: a group could not be read; its points stay as they were.
        """
        for group in sorted({self._machine.point(path).group for path in paths}):
            source = self._machine.groups[group].source
            reader = self._readers[source]
            if not isinstance(reader, Poller):
                raise Unreachable(f"{reader.name}: {_NOT_ASKED}")
            await reader.refresh(group)

    def _reader(self, path: str) -> Poller | Listener | TextStream:
        return self._readers[self._machine.groups[self._machine.point(path).group].source]


_NOT_ASKED = "the agent only listens there, and asks nothing"


def words(register: Register, value: float | str) -> Words:
    """What is written so that a point has a value, in its unit; ValueError where it cannot have it."""
    return Words(register.table, register.address, tuple(encode(register, value)))


def _why_not(
    reader: Poller | Listener | TextStream, register_map: RegisterMap, unit: int | None, register: Register
) -> str:
    if register_map.instrument:
        return f"{register.path}: {SPEAKS_TEXT}"
    if not isinstance(reader, Poller):
        return f"{register.path}: {_NOT_ASKED}"
    if unit == BROADCAST:
        return f"{register.path}: its device is asked as unit {BROADCAST}, which is everybody"
    if not register.writable or register.table not in _TABLES:
        return f"{register.path} is only read: by the map {register_map.id} its device takes no writes to it"
    if register.type == "bit" and register.table not in BIT_TABLES and _is_shared(register_map, register):
        return f"{register.path} is one bit of a register that other points share, and would be written with them"
    return ""


def _is_shared(register_map: RegisterMap, register: Register) -> bool:
    return any(
        other.table == register.table and other.address <= register.address < other.address + other.count
        for other in register_map.registers
        if other.path != register.path
    )
