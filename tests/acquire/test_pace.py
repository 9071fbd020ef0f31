"""What the simulated oven does is never doubted, whatever goes wrong in it; what a line makes of it is."""

import random
import struct

import pytest

from edgeagent.acquire.plan import GroupPlan, plan
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row, show
from firmware_iface import catalog
from firmware_iface.simulated.faults import parse
from firmware_iface.simulated.memory import Memory
from firmware_iface.simulated.oven import Oven

REFLOW = catalog.builtin("reflow10")
MACHINE = Machine("M1", (REFLOW,))
ZONES = next(place for place, group in enumerate(REFLOW.groups) if group.name == "zones")


def answers(group: GroupPlan, memory: Memory) -> list[bytes]:
    """What the device answers to every read of the group."""
    told = []
    for each in group.blocks:
        words = memory.read(each.block.table, each.block.address, each.block.count)
        if each.block.table == "discrete":
            bits = sum(bit << place for place, bit in enumerate(words))
            told.append(bits.to_bytes(each.block.size, "little"))
        else:
            told.append(struct.pack(f">{len(words)}H", *words))
    return told


def a_plan() -> tuple[GroupPlan, Row]:
    row = Row(len(MACHINE.points), len(MACHINE.groups))
    return plan(MACHINE, 0, row)[ZONES], row


@pytest.mark.parametrize("is_cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("fault", ["heater-dead:zone/3/top@20", "thermocouple-open:zone/3/top@20+30",
                                   "emergency-stop@20+30", "belt-stop@20+20", "oxygen-leak@20", "a new recipe"])
def test_no_fault_of_the_oven_makes_a_temperature_doubtful(fault, is_cold):
    oven, (group, row), chance = Oven(REFLOW, cold=is_cold), a_plan(), random.Random(5)
    if "@" in fault:
        oven.add_fault(parse(fault))
    memory, seconds = Memory(REFLOW, oven.wire), 0.0
    oven.schedule(20.0)
    for beat in range(240):
        if beat == 40 and fault == "a new recipe":
            oven.start_recipe("HOT", 1, {path: 300.0 for zone in REFLOW.zones[:10] for path in zone.setpoints}, 76.0)
        late = 0.5 + chance.uniform(-0.2, 0.2)
        oven.advance(late)
        seconds += late
        group.decode(answers(group, memory), round(seconds * 1e9), 0)
        assert Quality.UNCERTAIN not in row.quality


def test_a_temperature_that_a_line_made_is_shown_as_uncertain_until_read_again():
    oven, (group, row) = Oven(REFLOW), a_plan()
    memory = Memory(REFLOW, oven.wire)
    point = next(point for point in MACHINE.points if point.path == "zone/1/top/temperature")
    for second, flipped, quality in ((1, 0, "good"), (2, 0x0400, "uncertain"), (3, 0, "good")):
        oven.advance(1)
        bits, registers = answers(group, memory)
        words = bytearray(registers)
        words[0] ^= flipped >> 8
        group.decode([bits, bytes(words)], second * 1_000_000_000, 0)
        row.stamps[ZONES] = 1
        assert show(MACHINE, row, point, second * 1_000_000_000).quality == quality
