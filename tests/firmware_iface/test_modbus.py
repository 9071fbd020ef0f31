import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.simulated import modbus
from firmware_iface.simulated.memory import Memory
from firmware_iface.simulated.oven import Oven

REFLOW = catalog.builtin("reflow10")


@pytest.fixture(scope="module")
def memory():
    return Memory(REFLOW, Oven(REFLOW).wire)


@pytest.mark.parametrize(("request_", "answer"), [
    ("02 0002 0003", "02 01 05"),
    ("03 0010 0001", "03 02 0003"),
    ("04 0001 0001", "04 02 0003"),
    ("06 0011 05dc", "06 0011 05dc"),
    ("10 0011 0002 04 05dc 05dd", "10 0011 0002"),
    ("03 0000 007e", "83 03"),
    ("03 0000 0000", "83 03"),
    ("03 0000", "83 03"),
    ("03 0033 0001", "83 02"),
    ("06 0011 ffff", "86 03"),
    ("06 0010 0003", "06 0010 0003"),
    ("06 0033 0001", "86 02"),
    ("05 0003 ff00", "05 0003 ff00"),
    ("05 0005 ff00", "85 02"),
    ("05 0000 1234", "85 03"),
    ("0f 0003 0003 01 05", "8f 02"),
    ("0f 0000 0003", "8f 03"),
    ("10 0011 0000 00", "90 03"),
    ("10 0011 0002 04 05dc", "90 03"),
    ("2b 0e 01 00", "ab 01"),
])  # fmt: skip
def test_a_request_has_this_answer(memory, request_, answer):
    assert modbus.answer(memory, bytes.fromhex(request_)) == bytes.fromhex(answer)


@given(st.binary(min_size=1, max_size=40))
def test_every_request_has_an_answer(memory, request_):
    answer = modbus.answer(memory, request_)
    assert 2 <= len(answer) <= 253
    assert answer[0] & 0x7F == request_[0] & 0x7F
