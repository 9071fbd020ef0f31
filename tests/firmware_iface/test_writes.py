"""Writes and their answers: vectors of the Modbus Application Protocol 1.1b3 and of Modbus over serial line."""

import pytest

from firmware_iface.frames.rtu import Confirmation, Refusal, framed
from firmware_iface.frames.writes import write

VECTORS = {
    "section 6.5, coil 173 on": (("coil", 172, [1]), "05 00 ac ff 00"),
    "coil 173 off": (("coil", 172, [0]), "05 00 ac 00 00"),
    "section 6.6, register 2 to 3": (("holding", 1, [3]), "06 00 01 00 03"),
    "section 6.11, ten coils from 20": (("coil", 19, [1, 0, 1, 1, 0, 0, 1, 1, 1, 0]), "0f 00 13 00 0a 02 cd 01"),
    "section 6.12, two registers from 2": (("holding", 1, [10, 0x0102]), "10 00 01 00 02 04 00 0a 01 02"),
}


@pytest.mark.parametrize("case", VECTORS)
def test_a_write_is_as_the_standard_prints_it(case):
    asked, pdu = VECTORS[case]
    assert write(*asked) == bytes.fromhex(pdu)


@pytest.mark.parametrize("asked", [
    ("input", 0, [1]), ("discrete", 0, [1]), ("holding", 0, []), ("holding", 0, [0] * 124), ("coil", 0, [0] * 1969),
    ("holding", 65535, [1, 2]), ("holding", -1, [1]), ("holding", 0, [65536]), ("holding", 0, [-1]), ("coil", 0, [2]),
])  # fmt: skip
def test_what_no_write_carries_is_refused(asked):
    with pytest.raises(ValueError, match=r"Modbus write|cannot be written"):
        write(*asked)


ONE, TWO = write("holding", 1, [3]), write("holding", 1, [10, 258])
RIGHT_ONE, RIGHT_TWO = framed(b"\x07" + ONE), framed(b"\x07" + TWO[:5])


def test_the_answer_to_one_value_is_the_request_once_more_where_nothing_is_echoed():
    answer = Confirmation(7, ONE, is_echoed=False)
    assert answer.request == RIGHT_ONE
    assert answer.feed(RIGHT_ONE[:5]) is None
    assert answer.feed(RIGHT_ONE[5:]) == RIGHT_ONE


@pytest.mark.parametrize("cut", range(len(RIGHT_ONE) + 1))
def test_an_echo_is_never_taken_for_the_answer_to_one_value(cut):
    answer = Confirmation(7, ONE, is_echoed=True)
    assert answer.feed(RIGHT_ONE[:cut]) is None
    assert answer.feed(RIGHT_ONE[cut:]) is None
    assert answer.feed(b"") is None
    assert answer.feed(RIGHT_ONE) == RIGHT_ONE
    assert answer.passed_over == 0


def test_an_echo_and_the_answer_in_one_piece_are_two():
    answer = Confirmation(7, ONE, is_echoed=True)
    assert answer.feed(b"\xff" + RIGHT_ONE * 2) == RIGHT_ONE
    assert answer.passed_over == 1


def test_a_refusal_behind_an_echo_is_heard():
    with pytest.raises(Refusal, match="illegal value"):
        Confirmation(7, ONE, is_echoed=True).feed(RIGHT_ONE + framed(b"\x07\x86\x03"))


@pytest.mark.parametrize("is_echoed", [False, True])
def test_the_answer_to_several_values_is_told_from_an_echo(is_echoed):
    answer = Confirmation(7, TWO, is_echoed)
    for byte in answer.request:
        assert answer.feed(bytes([byte])) is None
    assert answer.feed(RIGHT_TWO) == RIGHT_TWO
    assert Confirmation(7, TWO, is_echoed).feed(RIGHT_TWO) == RIGHT_TWO


@pytest.mark.parametrize("wrong", [
    "08 06 00 01 00 03", "07 10 00 01 00 03", "07 06 00 02 00 03", "07 06 00 01 00 04", "07 03 02 00 03",
])  # fmt: skip
def test_an_answer_to_something_else_is_passed_over(wrong):
    answer = Confirmation(7, ONE, is_echoed=False)
    frame = framed(bytes.fromhex(wrong))
    assert answer.feed(frame) is None
    assert answer.feed(RIGHT_ONE) == RIGHT_ONE
    assert answer.passed_over == len(frame)


@pytest.mark.parametrize("unit", [0, 248, 255])
def test_nobody_is_written_who_does_not_answer(unit):
    with pytest.raises(ValueError, match="1 to 247"):
        Confirmation(unit, ONE, is_echoed=False)
