"""The read plan of a source: which blocks bring which points, merged as far as the device allows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgeagent._core.decode import Decoder
from edgeagent.acquire.source import Block
from edgeagent.acquire.trust import Rule, rules
from edgeagent.model.points import Quality
from firmware_iface.spans import BIT_TABLES, reads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edgeagent._core.decode import Field
    from edgeagent.model.machine import Machine
    from edgeagent.model.samples import Row
    from firmware_iface.registers import Device, Register


_STEP_PART = 1e-6
"""Share of a raw step by which a value may pass the end of its range: 3 times 0.1 is more than 0.3."""


class TextField(NamedTuple):
    """A text in an answer: bytes `offset` to `offset + size`, NUL- or blank-padded ASCII."""

    column: int
    offset: int
    size: int
    swapped: bool


class BlockPlan:
    """One block and how its answer becomes values, qualities and texts of a row.

    Args:
        fields: (column, register) of every point in the block, in the order of their addresses.
    """

    def __init__(self, block: Block, fields: Sequence[tuple[int, Register]], row: Row) -> None:
        self.block = block
        self._row = row
        self._texts = [
            TextField(column, 2 * (r.address - block.address), 2 * r.count, r.byte_order == "little")
            for column, r in fields if r.type == "text"
        ]  # fmt: skip
        self._last: dict[int, bytes] = {}
        self._decoder = Decoder([_field(column, r, block) for column, r in fields if r.type != "text"],
                                block.size, row.values, row.quality)

    def decode(self, data: bytes, now_ns: int) -> None:
        """Write the answer into the row; raises ValueError when its length is wrong."""
        self._decoder.decode(data, now_ns)
        for text in self._texts:
            raw = data[text.offset:text.offset + text.size]
            if self._last.get(text.column) != raw:
                self._last[text.column] = raw
                self._row.texts[text.column] = _text(raw, text.swapped)
            self._row.quality[text.column] = Quality.GOOD

    def miss(self) -> None:
        """Say of every point of the block that it was not read: bad, and no old value."""
        self._decoder.miss()
        for text in self._texts:
            self._row.quality[text.column] = Quality.BAD
            self._row.texts.pop(text.column, None)
            self._last.pop(text.column, None)


class GroupPlan:
    """All blocks of one read group; `split()` takes merged blocks apart when the device refuses a gap.

    Args:
        rules: what the device itself calls wrong, judged after each read.

    Attributes:
        on_decode: called after answers were decoded, with them and their monotonic and wall time.
    """

    def __init__(
        self, index: int, fields: Sequence[tuple[int, Register]], device: Device, row: Row,
        rules: Sequence[Rule] = (),
    ) -> None:  # fmt: skip
        self.index = index
        self._fields = fields
        self._device = device
        self._row = row
        self._rules = rules
        self._is_split = False
        self.blocks = self._build(device.max_gap)
        self.on_decode: Callable[[Sequence[bytes], int, int], None] | None = None

    @property
    def read_ns(self) -> int:
        """Monotonic time of the newest answers that are in the row; 0 before the first."""
        return self._row.times[self.index]

    def split(self) -> bool:
        """Plan again without reading across gaps; False when that changes nothing."""
        if self._is_split:
            return False
        self._is_split = True
        apart = self._build(0)
        if [each.block for each in apart] == [each.block for each in self.blocks]:
            return False
        self.blocks = apart
        return True

    def decode(self, answers: Sequence[bytes], monotonic_ns: int, wall_ns: int) -> None:
        """Write all answers, which belong to one moment, into the row."""
        for block, data in zip(self.blocks, answers, strict=True):
            block.decode(data, monotonic_ns)
        for rule in self._rules:
            rule.judge(monotonic_ns)
        self._row.times[self.index] = monotonic_ns
        self._row.stamps[self.index] = wall_ns
        if self.on_decode:
            self.on_decode(answers, monotonic_ns, wall_ns)

    def miss(self) -> None:
        """The group was not read at its beat."""
        for block in self.blocks:
            block.miss()

    def _build(self, max_gap: int) -> list[BlockPlan]:
        columns = {register.path: column for column, register in self._fields}
        return [
            BlockPlan(Block(span.table, span.address, span.count), [(columns[r.path], r) for r in span.registers],
                      self._row)
            for span in reads((register for _, register in self._fields), self._device, max_gap)
        ]  # fmt: skip


def plan(machine: Machine, source: int, row: Row) -> list[GroupPlan]:
    """Make the read plan of one of the machine's sources, one entry for each of its groups."""
    register_map = machine.maps[source]
    fields: dict[int, list[tuple[int, Register]]] = {}
    for register in register_map.registers:
        column = machine.column[register.path]
        fields.setdefault(machine.points[column].group, []).append((column, register))
    judged = rules(machine, source, row)
    return [GroupPlan(index, of_group, register_map.device, row, judged.get(index, ()))
            for index, of_group in sorted(fields.items())]


def _field(column: int, register: Register, block: Block) -> Field:
    distance = register.address - block.address
    in_bits = register.table in BIT_TABLES
    slack = _STEP_PART * abs(register.scale)
    return (
        column, register.type, distance if in_bits else 2 * distance, -1 if in_bits else register.bit or 0,
        register.word_order, register.byte_order, register.scale, register.offset,
        -math.inf if register.low is None else register.low - slack,
        math.inf if register.high is None else register.high + slack,
        register.not_available, math.inf if register.max_rate is None else register.max_rate,
    )  # fmt: skip


def _text(raw: bytes, swapped: bool) -> str:
    if swapped:
        raw = b"".join(raw[i:i + 2][::-1] for i in range(0, len(raw), 2))
    return raw.split(b"\0", 1)[0].decode("ascii", "replace").strip()
