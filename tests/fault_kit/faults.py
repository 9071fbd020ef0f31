"""Named faults of a line: what becomes of an answer on its way, of a connection, and what the line says by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random

from tests.fault_kit.frames import Rtu, Tcp, other_data


class End(Enum):
    """How a connection ends in the middle of an answer."""

    CLOSE = "close"
    RESET = "reset"


class Gate(Enum):
    """What becomes of connections: of new ones, and with REFUSE, SWALLOW and GONE of those that stand."""

    OPEN = "open"
    REFUSE = "refuse"
    CLOSE = "accept, then close"
    SWALLOW = "half-open"
    GONE = "gone"


@dataclass(frozen=True)
class Exchange:
    """One question and its right answer; `before` is the answer before this one under the same fault, if any."""

    request: bytes
    answer: bytes
    before: bytes | None
    frame: Tcp | Rtu
    random: Random

    def other(self, **changes: object) -> bytes:
        """The answer with other data and whatever else is given: unit, pdu, transaction, protocol."""
        return bytes(self.frame._replace(**({"pdu": other_data(self.frame.pdu)} | changes)))


Piece = bytes | float | End
"""Bytes to send, seconds of silence, or the connection's end."""
Change = Callable[[Exchange], Iterable[Piece]]


def forward(x: Exchange) -> Iterable[Piece]:
    return [x.answer]


@dataclass(frozen=True)
class Fault:
    """What goes wrong while it stands.

    Attributes:
        change: what is sent instead of the answer.
        babble: what the line says unasked, again and again.
    """

    name: str
    change: Change = forward
    gate: Gate = Gate.OPEN
    babble: Callable[[Random], Iterable[bytes | float]] | None = None


WHOLE = Fault("whole")


# Of any wire


def drop(x: Exchange) -> Iterable[Piece]:
    return []


def delay(seconds: float) -> Change:
    return lambda x: [seconds, x.answer]


def duplicate(x: Exchange) -> Iterable[Piece]:
    return [x.answer * 2]


def duplicate_late(x: Exchange) -> Iterable[Piece]:
    """The copy comes when the next question is asked already, just before its answer."""
    return [x.before or b"", 0.003, x.answer]


def truncate(x: Exchange) -> Iterable[Piece]:
    return [x.answer[:x.random.randrange(1, len(x.answer))]]


def corrupt(x: Exchange) -> Iterable[Piece]:
    """One bit anywhere is flipped."""
    changed = bytearray(x.answer)
    bit = x.random.randrange(8 * len(changed))
    changed[bit // 8] ^= 1 << bit % 8
    return [bytes(changed)]


def noise(before: bytes = b"", after: bytes = b"") -> Change:
    return lambda x: [before + x.answer + after]


def garbage(count: int) -> Change:
    return lambda x: [x.random.randbytes(count)]


def echo(x: Exchange) -> Iterable[Piece]:
    return [x.request + x.answer]


def only_echo(x: Exchange) -> Iterable[Piece]:
    return [x.request]


def drip(seconds: float) -> Change:
    """One byte at a time."""
    return lambda x: [piece for byte in x.answer for piece in (bytes([byte]), seconds)]


def pieces(*cuts: int, apart_s: float) -> Change:
    def change(x: Exchange) -> Iterable[Piece]:
        for start, end in zip((0, *cuts), (*cuts, len(x.answer)), strict=True):
            yield x.answer[start:end]
            yield apart_s

    return change


def cut(end: End) -> Change:
    """The connection ends in the middle of the answer."""
    return lambda x: [x.answer[:len(x.answer) // 2], 0.002, end]


def previous(x: Exchange) -> Iterable[Piece]:
    """Always one answer behind."""
    return [x.before] if x.before else []


def previous_and_right(x: Exchange) -> Iterable[Piece]:
    """The answer before comes late, and this one in time; the first one not at all."""
    return [x.before, 0.002, x.answer] if x.before else []


# Of the protocol: the checksum is right, the data are not


def as_unit(unit: int) -> Change:
    return lambda x: [x.other(unit=unit)]


def as_function(function: int) -> Change:
    return lambda x: [x.other(pdu=bytes([function]) + other_data(x.frame.pdu)[1:])]


def counted(count: int, size: int) -> Change:
    """An answer whose byte count says one thing, with so many bytes in it."""
    return lambda x: [x.other(pdu=bytes([x.frame.pdu[0], count]) + other_data(x.frame.pdu)[2:2 + size].ljust(size))]


def exception(code: int, function: int | None = None) -> Change:
    return lambda x: [x.other(pdu=bytes([0x80 | (function or x.frame.pdu[0]), code]))]


busy = exception(6)


def hole(address: int) -> Change:
    """Exception 2 to every question across an address, and the right answer to any other."""

    def change(x: Exchange) -> Iterable[Piece]:
        asked = x.request[-4:] if isinstance(x.frame, Tcp) else x.request[2:6]
        first, count = int.from_bytes(asked[:2]), int.from_bytes(asked[2:])
        return exception(2)(x) if first <= address < first + count else [x.answer]

    return change


def other_first(x: Exchange) -> Iterable[Piece]:
    """Two units have one number: the other one answers before."""
    return [x.other(), 0.003, x.answer]


def overlapped(x: Exchange) -> Iterable[Piece]:
    """Two units have one number and talk at the same time: the line carries a zero where either sends one."""
    return [bytes(a & b for a, b in zip(x.answer, x.other(), strict=True))]


def registers(change: Callable[[bytes, int], bytes]) -> Change:
    """The device itself holds something else: `change` gets data and their first address, and returns data."""

    def changed(x: Exchange) -> Iterable[Piece]:
        asked = x.request[-4:] if isinstance(x.frame, Tcp) else x.request[2:6]
        pdu = x.frame.pdu
        return [x.other(pdu=pdu[:2] + change(pdu[2:], int.from_bytes(asked[:2])))]

    return changed


# Of Modbus TCP


def as_transaction(transaction: int | None = None) -> Change:
    """Of another transaction; the next one where none is given."""
    return lambda x: [x.other(transaction=x.frame.transaction + 1 if transaction is None else transaction)]


def as_protocol(protocol: int) -> Change:
    return lambda x: [x.other(protocol=protocol)]


def as_length(length: int | None = None, more: int = 0) -> Change:
    """A header that says a length which is not the frame's."""
    return lambda x: [x.other(length=len(x.frame.pdu) + 1 + more if length is None else length)]


# Of the line itself


def babbling(random: Random) -> Iterable[bytes | float]:
    return [random.randbytes(20), 0.004]
