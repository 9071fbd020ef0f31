"""A simulated machine and its pipeline, joined by the map: requests and answers as on the wire, without the wire."""

import struct

from edgeagent.acquire.plan import plan
from edgeagent.capture.pipeline import Pipeline
from edgeagent.model.events import Event
from edgeagent.model.machine import Machine
from edgeagent.model.samples import Row
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.build import simulated

WALL_NS = 1_790_000_000_000_000_000
_FUNCTION = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


class Watched:
    """Every group is read at its period of the machine's own time; `events` holds all that came of it."""

    def __init__(self, register_map: RegisterMap, **more: object) -> None:
        self.device = simulated(register_map)
        self.machine = Machine("M1", (register_map,), **more)
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.pipeline = Pipeline(self.machine, self.row)
        self.events: list[Event] = []
        self._groups = plan(self.machine, 0, self.row)
        self._tenths = 0

    def run(self, seconds: float) -> None:
        for _ in range(round(10 * seconds)):
            self.device.advance(0.1)
            self._tenths += 1
            now = 1_000_000_000_000 + self._tenths * 100_000_000
            for group, planned in zip(self.machine.groups, self._groups, strict=True):
                if self._tenths * 100_000_000 % group.period_ns == 0:
                    answers = [self._ask(block.block) for block in planned.blocks]
                    planned.decode(answers, now, WALL_NS + now)
                    self.events += self.pipeline.feed(group.index, now, WALL_NS + now)
            self.pipeline.second()

    def until(self, holds, longest_s: float) -> None:
        for _ in range(round(longest_s)):
            if holds():
                return
            self.run(1)
        raise AssertionError(f"not within {longest_s} s")

    def told(self, topic: str) -> list:
        return [event.data for event in self.events if event.topic == topic]

    def value(self, path: str) -> float:
        return self.row.values[self.machine.column[path]]

    def _ask(self, block) -> bytes:
        function = _FUNCTION[block.table]
        answer = self.device.answer(struct.pack(">BHH", function, block.address, block.count))
        assert answer[:2] == bytes([function, block.size]), answer.hex()
        return answer[2:]
