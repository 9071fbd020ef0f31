import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.encoding import decode, encode
from firmware_iface.raw_numbers import limits
from firmware_iface.registers import WIDTHS

REFLOW = catalog.builtin("reflow10")
SETPOINT = REFLOW.register("zone/1/top/setpoint")
NAME = replace(REFLOW.register("recipe/name"), count=4)
BIT = REFLOW.register("machine/remote")
ORDERS = st.sampled_from(["big", "little"])


def of_type(type_, **more):
    return replace(SETPOINT, type=type_, count=WIDTHS[type_], low=None, high=None, **more)


@given(st.sampled_from([type_ for type_ in WIDTHS if "64" not in type_]), ORDERS, ORDERS,
       st.sampled_from([1.0, 0.1, -0.01, 25.0]), st.sampled_from([0.0, -40.0, 273.15]), st.floats(0, 1))  # fmt: skip
def test_what_is_written_is_read_back_as_the_value(type_, word_order, byte_order, scale, offset, share):
    register = of_type(type_, scale=scale, offset=offset, word_order=word_order, byte_order=byte_order)
    low, high = limits(type_) or (-1000, 1000)
    value = round(low + share * (high - low)) * scale + offset
    words = encode(register, value)
    assert len(words) == register.count
    assert all(0 <= word <= 0xFFFF for word in words)
    assert decode(register, words) == pytest.approx(value, abs=abs(scale) * 1e-3)


def test_a_setpoint_is_written_in_steps_of_its_scale():
    assert encode(SETPOINT, 185.3) == [1853]
    assert encode(SETPOINT, 185) == [1850]
    assert encode(of_type("int16", scale=0.1), -0.1) == [0xFFFF]
    assert encode(of_type("float32", scale=1.0, word_order="little"), 0.1) == [0xCCCD, 0x3DCC]


@pytest.mark.parametrize(("register", "value", "reason"), [
    (SETPOINT, 185.34, "no raw number of zone/1/top/setpoint is exactly 185.34"),
    (SETPOINT, 350.1, "is from 0 to 350 and never 350.1"),
    (SETPOINT, float("nan"), "never nan"),
    (of_type("uint16", scale=1.0), float("inf"), "exactly inf"),
    (of_type("uint16", scale=1.0), -1, "exactly -1"),
    (of_type("float32", scale=1.0), 1e300, "exactly 1e"),
    (of_type("uint16", scale=1.0, not_available=(0xFFFF,)), 65_535, "65535 says that zone/1/top/setpoint has no value"),
    (SETPOINT, "185.3", "zone/1/top/setpoint is a number, not '185.3'"),
    (BIT, 2, "machine/remote is a bit and never 2"),
    (NAME, 7, "recipe/name is a text, not 7"),
    (NAME, "SAC305-AB", "recipe/name has room for 8 characters, not for 9"),
    (NAME, "Löt", "takes printable ASCII characters only"),
    (NAME, "A\0B", "takes printable ASCII characters only"),
    (NAME, " A", "takes no spaces around the text"),
])  # fmt: skip
def test_what_no_raw_number_is_cannot_be_written(register, value, reason):
    with pytest.raises(ValueError, match=reason):
        encode(register, value)


@pytest.mark.parametrize("byte_order", ["big", "little"])
@pytest.mark.parametrize("text", ["", "A", "SAC305-A"])
def test_a_text_is_padded_with_zeros(byte_order, text):
    register = replace(NAME, byte_order=byte_order)
    words = encode(register, text)
    assert struct.pack(f"{'>' if byte_order == 'big' else '<'}4H", *words) == text.encode().ljust(8, b"\0")
    assert decode(register, words) == text


def test_a_bit_is_one_bit_and_that_of_a_register_its_whole_register():
    assert encode(BIT, True) == [1]
    assert encode(BIT, 0) == [0]
    inside = replace(BIT, table="holding", bit=3)
    assert encode(inside, 1) == [8]
    swapped = replace(inside, byte_order="little")
    assert encode(swapped, 1) == [8 << 8]
    assert decode(swapped, [8 << 8]) == 1
    assert decode(inside, [~8 & 0xFFFF]) == 0
