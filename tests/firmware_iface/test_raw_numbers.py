import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.raw_numbers import good_values, limits, raw_number, reachable
from firmware_iface.registers import WIDTHS
from firmware_iface.simulated.memory import show

PLAIN = replace(catalog.builtin("reflow10").register("oxygen/1/setpoint"), low=None, high=None)


def of_type(type_, **more):
    return replace(PLAIN, type=type_, count=WIDTHS.get(type_, 1), **more)


@pytest.mark.parametrize(("type_", "ends"), [
    ("int16", (-32_768, 32_767)), ("uint16", (0, 65_535)), ("int32", (-(2**31), 2**31 - 1)), ("uint32", (0, 2**32 - 1)),
    ("int64", (-(2**63), 2**63 - 1)), ("uint64", (0, 2**64 - 1)), ("bcd16", (0, 9999)), ("bcd32", (0, 99_999_999)),
    ("float32", None), ("float64", None), ("bit", None), ("text", None),
])  # fmt: skip
def test_a_whole_type_has_a_smallest_and_a_largest_number(type_, ends):
    assert limits(type_) == ends


def test_a_negative_scale_turns_the_values_round():
    assert reachable("int16", -0.1, 5.0) == pytest.approx((-3271.7, 3281.8))
    assert reachable("float32", 1.0, 0.0) == (-math.inf, math.inf)
    assert reachable("bit", 1.0, 0.0) == (0.0, 1.0)
    assert good_values(of_type("uint16", scale=0.1, low=-5.0, high=300.0)) == (0.0, 300.0)


@given(st.sampled_from([type_ for type_ in WIDTHS if "64" not in type_]), st.sampled_from([1.0, 0.1, -0.01, 25.0]),
       st.sampled_from([0.0, -40.0, 273.15]), st.floats(0, 1))  # fmt: skip
def test_the_raw_number_of_a_value_is_what_a_device_would_send(type_, scale, offset, share):
    register = of_type(type_, scale=scale, offset=offset)
    low, high = limits(type_) or (-1000, 1000)
    value = round(low + share * (high - low)) * scale + offset
    words = show(register, value)
    assert raw_number(register, value) == int("".join(f"{word:04x}" for word in words), 16)


@pytest.mark.parametrize(("type_", "more", "value"), [
    ("uint16", {}, -1.0), ("uint16", {}, 65_536.0), ("int16", {"scale": 0.1}, 0.05), ("bcd16", {}, 10_000.0),
    ("bit", {}, 2.0), ("text", {}, 0.0), ("float32", {}, 1e300), ("uint16", {"scale": 1e-300}, 1e300),
])  # fmt: skip
def test_what_a_type_cannot_be_has_no_raw_number(type_, more, value):
    assert raw_number(of_type(type_, **more), value) is None
