"""Answers are found by length and checksum: any noise, any split, no flip, no truncation, no echo becomes data."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface.frames.rtu import EXCEPTION, Answer, Refusal, crc16, expected, framed, request

VENDORS = [
    "02 03 00 01 00 02 95 F8",
    "02 03 04 00 12 00 16 E8 F8",
    "02 03 04 00 B2 00 D8 69 4E",
    "02 06 00 02 00 FA A8 7A",
    "02 07 41 12",
    "02 07 30 D2 24",
    "02 08 00 00 12 34 ED 4F",
    "02 10 00 A4 00 03 06 00 7B 00 96 00 FA 20 71",
    "02 10 00 A4 00 03 C1 D8",
    "01 10 21 05 00 02 04 03 E8 FC 18 66 BB",
    "01 03 21 02 00 02 6F F7",
    "01 03 04 17 70 00 00 FE 5C",
]
"""Frames as Eurotherm (HA026230), Omron (H175) and Delta (C2000) print them."""

units = st.integers(1, 247)
frequent = st.sampled_from(b"\x00\xff\x55\xaa\x01\x03\x04\x06\x84")
noise = st.binary(max_size=40) | st.lists(frequent, max_size=40).map(bytes)


@st.composite
def exchanges(draw):
    """(question, its answer's data)"""
    function = draw(st.sampled_from([1, 2, 3, 4]))
    count = draw(st.integers(1, 2000 if function < 3 else 125) | st.integers(1, 4))
    question = (draw(units), function, draw(st.integers(0, 65536 - count)), count)
    size = expected(function, count) - 5
    return question, draw(st.binary(min_size=size, max_size=size))


def frame(question, data):
    unit, function, _, _ = question
    return framed(bytes([unit, function, len(data)]) + data)


def in_pieces(answer: Answer, heard: bytes, cuts: list[int]) -> list[bytes]:
    """All answers that are told when the bytes come cut at the given places."""
    edges = [0, *sorted(cut % (len(heard) + 1) for cut in cuts), len(heard)]
    told = (answer.feed(heard[a:b]) for a, b in pairwise(edges))
    return [data for data in told if data is not None]


@pytest.mark.parametrize("vector", VENDORS)
def test_the_vendors_frames_have_the_vendors_checksums(vector):
    vector = bytes.fromhex(vector)
    assert framed(vector[:-2]) == vector
    assert crc16(vector) == 0


def test_a_question_and_its_answer_are_those_of_the_handbook():
    assert request(2, 3, 1, 2) == bytes.fromhex(VENDORS[0])
    answer = Answer(2, 3, 1, 2)
    assert answer.length == expected(3, 2) == 9
    assert answer.feed(bytes.fromhex(VENDORS[2])) == bytes.fromhex("00B2 00D8")


@pytest.mark.parametrize("question", [(0, 3, 0, 1), (248, 3, 0, 1), (1, 5, 0, 1), (1, 3, 0, 126), (1, 1, 0, 2001),
                                      (1, 4, 0, 0), (1, 4, 65535, 2)])  # fmt: skip
def test_what_no_answer_can_carry_is_not_asked(question):
    with pytest.raises(ValueError, match=r"unit|function"):
        request(*question)


@given(exchanges(), noise, noise, st.lists(st.integers(0, 600), max_size=12))
def test_an_answer_is_found_in_any_noise_and_any_split(exchange, before, after, cuts):
    question, data = exchange
    answer = Answer(*question)
    whole = frame(question, data)
    if answer.request.startswith(whole):
        return
    try:
        told = in_pieces(answer, before + whole + after, cuts)
    except Refusal:
        pytest.fail("noise was taken for a refusal")
    assert told[:1] == [data]


@given(exchanges(), st.data())
def test_no_single_flipped_bit_makes_data(exchange, draw):
    question, data = exchange
    whole = bytearray(frame(question, data))
    bit = draw.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    try:
        assert Answer(*question).feed(bytes(whole)) is None
    except Refusal:
        assert whole[1] == question[1] | 0x80


def test_none_of_all_single_flips_and_truncations_of_one_answer_is_data():
    question, data = (1, 4, 7, 60), bytes(range(120))
    whole = frame(question, data)
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        assert Answer(*question).feed(bytes(flipped)) is None
    for length in range(len(whole)):
        answer = Answer(*question)
        assert answer.feed(whole[:length]) is None
        assert answer.feed(whole[length:]) == data


@given(exchanges(), noise, st.lists(st.integers(0, 600), max_size=6))
def test_an_echo_is_passed_over(exchange, before, cuts):
    question, data = exchange
    answer = Answer(*question)
    whole = frame(question, data)
    if answer.request.startswith(whole):
        return
    assert in_pieces(answer, before + answer.request, cuts) == []
    assert in_pieces(answer, whole, cuts) == [data]


def requests_that_look_like_answers() -> list[tuple[int, int, int, int]]:
    """Questions whose first seven bytes are, checksum and all, an answer to themselves."""
    return [
        (unit, 3, address, 1)
        for unit in range(1, 9) for address in range(0x0200, 0x0300)
        if crc16(request(unit, 3, address, 1)[:7]) == 0
    ]  # fmt: skip


def test_a_request_that_looks_like_its_own_answer_is_not_data():
    questions = requests_that_look_like_answers()
    assert questions
    for question in questions:
        for lost in (0, 1):
            answer = Answer(*question)
            assert answer.feed(answer.request[:8 - lost]) is None
            assert answer.feed(frame(question, b"\x12\x34")) == b"\x12\x34"


@given(exchanges(), units, st.integers(1, 4), st.binary(max_size=20))
def test_frames_of_others_are_passed_over(exchange, unit, function, others_data):
    question, data = exchange
    stranger = framed(bytes([unit, function, len(others_data)]) + others_data)
    if (unit, function, len(others_data)) == (question[0], question[1], len(data)):
        return
    answer = Answer(*question)
    whole = frame(question, data)
    if answer.request.startswith(whole):
        return
    assert answer.feed(stranger) is None
    assert answer.feed(whole) == data


@given(units, st.sampled_from([1, 2, 3, 4]), st.integers(0, 255), st.lists(st.integers(0, 5), max_size=3))
def test_an_exception_to_this_function_is_a_refusal(unit, function, code, cuts):
    with pytest.raises(Refusal) as caught:
        in_pieces(Answer(unit, function, 100, 3), framed(bytes([unit, function | 0x80, code])), cuts)
    assert caught.value.code == code
    assert EXCEPTION.get(code, "exception") in str(caught.value)


@given(units, st.sampled_from([(3, 4), (4, 3), (1, 2)]))
def test_an_exception_to_another_function_is_nothing(unit, functions):
    asked, answered = functions
    assert Answer(unit, asked, 100, 3).feed(framed(bytes([unit, answered | 0x80, 2]))) is None


@given(st.lists(st.binary(max_size=300), max_size=60), exchanges())
def test_a_babbling_line_holds_no_more_than_one_answer(pieces, exchange):
    question, _ = exchange
    answer = Answer(*question)
    for piece in pieces:
        try:
            answer.feed(piece + answer.request[:2])
        except Refusal:
            continue
        assert len(answer._buffer) < answer.length + 8


def test_two_answers_at_once_are_told_one_after_the_other():
    answer = Answer(1, 3, 0, 1)
    first, second = frame((1, 3, 0, 1), b"\x00\x6f"), frame((1, 3, 0, 1), b"\x00\xde")
    assert answer.feed(first + second) == b"\x00\x6f"
    assert answer.feed(b"") == b"\x00\xde"
