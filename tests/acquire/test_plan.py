"""Blocks are merged as far as the device allows, and answers land in the right columns."""

import math
import struct

import pytest

from edgeagent.acquire.plan import GroupPlan
from edgeagent.acquire.source import Block
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface.registers import Device, Register


def register(address: int, kind: str = "uint16", table: str = "input", count: int = 1, **more) -> Register:
    fields = {"path": f"o/p{address}", "group": "g", "kind": "measured", "bit": None, "word_order": "big",
              "byte_order": "big", "scale": 1.0, "offset": 0.0, "not_available": (), "unit": None, "low": None,
              "high": None, "decimals": 0, "deadband": 0.0, "silence_s": 60.0, "writable": False, "text": ""}
    return Register(table=table, address=address, type=kind, count=count, **(fields | more))


def group(registers: list[Register], **device) -> tuple[GroupPlan, Row]:
    row = Row(len(registers), 1)
    return GroupPlan(0, list(enumerate(registers)), Device(**device), row), row


def blocks(plan: GroupPlan) -> list[Block]:
    return [b.block for b in plan.blocks]


def test_neighbours_and_small_gaps_become_one_read():
    plan, _ = group([register(0), register(1), register(10)], max_gap=8)
    assert blocks(plan) == [Block("input", 0, 11)]


def test_a_gap_over_the_limit_is_not_read_across():
    plan, _ = group([register(0), register(10)], max_gap=8)
    assert blocks(plan) == [Block("input", 0, 1), Block("input", 10, 1)]


def test_no_read_is_longer_than_the_device_allows_and_no_value_is_split():
    plan, _ = group([register(a, "float32", count=2) for a in range(0, 14, 2)], max_registers=5)
    assert blocks(plan) == [Block("input", 0, 4), Block("input", 4, 4), Block("input", 8, 4), Block("input", 12, 2)]


def test_each_table_is_read_by_itself():
    plan, _ = group([register(0), register(0, table="holding"), register(3, "bit", "discrete", bit=None)])
    assert {b.table for b in blocks(plan)} == {"input", "holding", "discrete"}


def test_a_refused_gap_is_taken_apart_once():
    plan, _ = group([register(0), register(5)], max_gap=8)
    assert plan.split()
    assert blocks(plan) == [Block("input", 0, 1), Block("input", 5, 1)]
    assert not plan.split()


def test_a_plan_without_gaps_cannot_be_split():
    plan, _ = group([register(0), register(1)])
    assert not plan.split()


def test_bits_without_a_gap_between_them_cannot_be_split():
    plan, _ = group([register(0, "bit", bit=2), register(0, "bit", bit=3), register(1, "bit", bit=0)])
    assert not plan.split()
    plan, _ = group([register(0, "bit", "coil"), register(1, "bit", "coil")])
    assert not plan.split()


def test_numbers_bits_and_texts_land_in_their_columns():
    plan, row = group([
        register(4, "int16", scale=0.1), register(5, "text", count=3), register(2, "bit", bit=9),
        register(7, "bit", "discrete"),
    ])  # fmt: skip
    assert blocks(plan) == [Block("discrete", 7, 1), Block("input", 2, 6)]
    answer = bytes([0x02, 0x00, 0, 0]) + (-123).to_bytes(2, "big", signed=True) + b"AB12\0\0"
    plan.decode([b"\x01", answer], 5, 6)
    assert row.values[0] == pytest.approx(-12.3)
    assert row.texts == {1: "AB12"}
    assert (row.values[2], row.values[3]) == (1.0, 1.0)
    assert bytes(row.quality) == bytes(4)
    assert (row.times[0], row.stamps[0]) == (5, 6)


def test_a_value_at_the_end_of_its_range_is_in_it_however_its_decimals_are_held():
    plan, row = group([register(0, scale=0.1, low=0.0, high=0.3), register(1, "float32", count=2, high=0.3)])
    plan.decode([b"\0\3" + struct.pack(">f", 0.3)], 5, 6)
    assert list(row.quality) == [Quality.GOOD, Quality.GOOD]
    plan.decode([b"\0\4" + struct.pack(">f", 0.3001)], 5, 6)
    assert list(row.quality) == [Quality.BAD, Quality.BAD]


def test_swapped_and_odd_texts_are_made_readable():
    plan, row = group([register(0, "text", count=2, byte_order="little")])
    plan.decode([b"BA\xffC"], 1, 1)
    assert row.texts[0] == "ABC�"


def test_a_missed_beat_is_bad_not_old():
    plan, row = group([register(0), register(1, "text", count=1)])
    plan.decode([b"\x00\x07OK"], 5, 6)
    plan.miss()
    assert math.isnan(row.values[0])
    assert list(row.quality) == [Quality.BAD, Quality.BAD]
    assert row.texts == {}
    assert row.times[0] == 5, "the time is still when it was last read"
    plan.decode([b"\x00\x07OK"], 9, 9)
    assert row.texts == {1: "OK"}


def test_an_answer_of_the_wrong_length_changes_nothing():
    plan, row = group([register(0), register(1)])
    plan.decode([b"\0\1\0\2"], 5, 6)
    with pytest.raises(ValueError, match="4"):
        plan.decode([b"\0\1\0"], 7, 8)
    assert list(row.values) == [1.0, 2.0]
