import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.encoding import decode
from firmware_iface.simulated.faults import parse
from firmware_iface.simulated.memory import AddressError, Memory, show
from firmware_iface.simulated.oven import Oven

REFLOW = catalog.builtin("reflow10")
PLAIN = replace(REFLOW.register("oxygen/1/setpoint"), not_available=(), offset=0.0)
CODES = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
ORDERS = st.sampled_from(["big", "little"])


def _oracle(words, type_, word_order, byte_order):
    swapped = [((word & 0xFF) << 8 | word >> 8) if byte_order == "little" else word for word in words]
    raw = b"".join(struct.pack(">H", word) for word in (swapped[::-1] if word_order == "little" else swapped))
    return struct.unpack(">" + CODES[type_], raw)[0]


@given(st.sampled_from(sorted(CODES)), ORDERS, ORDERS, st.sampled_from([1.0, 0.1, 0.01, 2.5, -0.5]),
       st.integers(-40, 40), st.floats(0, 1))  # fmt: skip
def test_what_is_encoded_is_the_value_within_one_step(type_, word_order, byte_order, scale, offset, share):
    size = struct.calcsize(CODES[type_])
    register = replace(PLAIN, type=type_, count=size // 2, word_order=word_order, byte_order=byte_order,
                       scale=scale, offset=offset)  # fmt: skip
    low, high = (-3000, 3000) if CODES[type_].islower() else (0, 3000)
    value = (low + share * (high - low)) * scale + offset
    words = show(register, value)
    assert all(0 <= word <= 0xFFFF for word in words)
    raw = _oracle(words, type_, word_order, byte_order)
    assert raw * scale + offset == pytest.approx(value, abs=abs(scale) / 2 + 1e-6)
    assert decode(register, words) == pytest.approx(raw * scale + offset)


def test_a_value_beyond_the_type_is_clamped_and_never_looks_like_no_value():
    register = REFLOW.register("zone/1/top/temperature")
    assert show(register, 1e6) == [0x7FFE]
    assert show(register, -1e6) == [0x8000]
    assert show(register, math.nan) == [0x7FFF]


def test_no_value_without_a_raw_number_for_it_is_refused():
    with pytest.raises(ValueError, match="has no value"):
        show(PLAIN, math.nan)
    assert math.isnan(_oracle(show(replace(PLAIN, type="float32"), math.nan), "float32", "big", "big"))


def test_known_words_lie_as_other_makers_lay_them():
    real = replace(PLAIN, type="float32", count=2, scale=1.0)
    assert show(replace(real, word_order="little"), 75.0) == [0x0000, 0x4296]
    assert show(real, 17.240234) == [0x4189, 0xEC00]
    assert show(replace(PLAIN, scale=1.0), 120_000) == [0x0001, 0xD4C0]


@pytest.mark.parametrize("type_", ["bcd16", "bcd32"])
def test_decimal_digits_lie_in_four_bits_each(type_):
    register = replace(PLAIN, type=type_, count=int(type_[3:]) // 16, scale=0.1)
    words = [0x1234] if type_ == "bcd16" else [0x0000, 0x1234]
    assert show(register, 123.4) == words
    assert decode(register, words) == pytest.approx(123.4)
    assert show(replace(register, word_order="little", byte_order="little"), 123.4) == [0x3412, *words[:-1]]
    assert show(register, 1e9) == [0x9999] * register.count
    with pytest.raises(ValueError, match="a"):
        decode(register, [*words[:-1], 0x00A0])


def test_the_fingerprint_of_the_map_is_served():
    served = REFLOW.register("machine/fingerprint")
    words = Memory(REFLOW, Oven(REFLOW).wire).read(served.table, served.address, served.count)
    assert f"{words[0]:04x}{words[1]:04x}" == REFLOW.fingerprint


def test_a_text_is_padded_and_cut():
    register = replace(REFLOW.register("machine/firmware"), count=3)
    assert show(register, "1.4") == [0x312E, 0x3400, 0x0000]
    assert show(replace(register, byte_order="little"), "1.4") == [0x2E31, 0x0034, 0x0000]
    assert len(show(register, "far too long a text")) == 3


def test_every_point_of_the_map_can_be_read_at_its_place():
    oven = Oven(REFLOW)
    oven.advance(1)
    memory = Memory(REFLOW, oven.wire)
    for register in REFLOW.registers:
        words = memory.read(register.table, register.address, register.count)
        value = oven.read(register.path)
        if register.type == "text":
            assert struct.pack(f">{len(words)}H", *words).rstrip(b"\0").decode() == value
        elif register.type == "bit":
            assert words == [int(value)]
        else:
            raw = _oracle(words, register.type, register.word_order, register.byte_order)
            assert raw * register.scale + register.offset == pytest.approx(value, abs=register.scale / 2 + 1e-9)


def test_a_read_may_begin_and_end_within_a_value():
    memory = Memory(REFLOW, Oven(REFLOW).wire)
    whole = memory.read("holding", 0, 16)
    assert memory.read("holding", 3, 5) == whole[3:8]


def test_bits_of_one_register_are_read_together():
    bits = [replace(REFLOW.register(f"zone/{zone}/top/heaterFault"), table="input", address=900, bit=zone)
            for zone in (1, 2, 3)]  # fmt: skip
    oven = Oven(replace(REFLOW, registers=(*REFLOW.registers, *bits)))
    oven.add_fault(parse("heater-dead:zone/2/top"))
    oven.advance(10)
    assert Memory(replace(REFLOW, registers=tuple(bits)), oven.wire).read("input", 900, 1) == [4]


@pytest.mark.parametrize("byte_order", ["big", "little"])
def test_a_bit_of_a_register_is_the_bit_of_its_number_in_either_byte_order(byte_order):
    bit = replace(REFLOW.register("zone/2/top/heaterFault"), table="input", address=900, bit=3, byte_order=byte_order)
    oven = Oven(replace(REFLOW, registers=(*REFLOW.registers, bit)))
    oven.add_fault(parse("heater-dead:zone/2/top"))
    oven.advance(10)
    words = Memory(replace(REFLOW, registers=(bit,)), oven.wire).read("input", 900, 1)
    assert _oracle(words, "uint16", "big", byte_order) == 1 << 3


@pytest.mark.parametrize(
    ("table", "address", "count"), [("input", 2, 1), ("input", 0, 3), ("coil", 5, 1), ("holding", 50, 2)]
)
def test_an_address_that_the_map_does_not_have_is_refused(table, address, count):
    with pytest.raises(AddressError):
        Memory(REFLOW, Oven(REFLOW).wire).read(table, address, count)


def test_a_setpoint_is_written_whole_or_not_at_all():
    oven = Oven(REFLOW)
    memory = Memory(REFLOW, oven.wire)
    memory.write("holding", 17, [1500, 1510])
    assert (oven.read("zone/1/top/setpoint"), oven.read("zone/1/bottom/setpoint")) == (150.0, 151.0)
    with pytest.raises(ValueError, match="takes 0 to 350"):
        memory.write("holding", 17, [1600, 9999])
    assert oven.read("zone/1/top/setpoint") == 150.0
    for address, values in ((46, [1]), (45, [1]), (0, [0] * 15)):
        with pytest.raises(AddressError):
            memory.write("holding", address, values)
    with pytest.raises(AddressError):
        memory.write("input", 100, [1500])
