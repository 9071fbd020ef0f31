"""EI-Bisynch against the maker's own dumps: what is sent, and that only a whole, right answer is a value."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface.frames import bisynch
from firmware_iface.frames.bisynch import LONGEST, Answer, checksum, framed, request

PV = bytes.fromhex("02 50 56 31 36 2E 34 03 18")
"""The handbook's answer: PV of address 1 is 16.4."""

units = st.integers(1, 99)
mnemonics = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=2, max_size=2)
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=24)


def test_the_question_is_the_handbooks():
    assert request(1, "PV") == bytes.fromhex("04 30 30 31 31 50 56 05")
    assert request(47, "SL") == b"\x0444" + b"77SL\x05"


@pytest.mark.parametrize(("unit", "mnemonic"), [(0, "PV"), (100, "PV"), (1, "P"), (1, "PVX"), (1, "P\x03"), (1, "Pé")])
def test_a_question_that_cannot_be_is_refused(unit, mnemonic):
    with pytest.raises(ValueError, match=r"unit|mnemonic"):
        request(unit, mnemonic)


def test_the_checksum_is_the_handbooks():
    assert checksum(b"PV16.4\x03") == b"\x18"
    assert checksum(b"SL22.0\x03") == b"\x02", "equal to STX"


def test_the_answer_is_the_handbooks():
    assert Answer(1, "PV").feed(PV) == b"PV16.4"
    assert framed("PV", "16.4") == PV


def test_a_checksum_may_equal_any_control_character():
    """A06"""
    texts = [bytes([0x31, second, third]).decode() for second in range(0x20, 0x7F) for third in range(0x20, 0x7F)]
    for control in range(0x20):
        value = next(text for text in texts if checksum(f"PV{text}\x03".encode())[0] == control)
        frame = framed("PV", value)
        assert frame[-1] == control
        for cut in range(len(frame)):
            answer = Answer(1, "PV")
            assert answer.feed(frame[:cut]) is None
            assert answer.feed(frame[cut:]) == f"PV{value}".encode()


@given(units, mnemonics, values, st.lists(st.integers(0, 40), max_size=4))
def test_an_answer_is_found_in_any_pieces(unit, mnemonic, value, cuts):
    frame, answer, told = framed(mnemonic, value), Answer(unit, mnemonic), []
    edges = [0, *sorted(min(cut, len(frame)) for cut in cuts), len(frame)]
    for first, last in pairwise(edges):
        if frame[first:last]:
            told.append(answer.feed(frame[first:last]))
    assert told[-1] == (mnemonic + value).encode()
    assert set(told[:-1]) <= {None}


NOISE = {
    "the echo": request(1, "PV"), "a NUL": b"\0", "an EOT": b"\x04", "half an answer": PV[:5], "an STX": b"\x02",
    "an answer to another question": framed("SL", "22.0"), "an answer with a wrong checksum": PV[:-1] + b"\x19",
    "STX as the checksum before": framed("SL", "22.0") + b"\x02",
}  # fmt: skip


@pytest.mark.parametrize("noise", NOISE)
def test_an_answer_is_found_behind(noise):
    assert Answer(1, "PV").feed(NOISE[noise] + PV) == b"PV16.4"


def test_what_is_no_answer_and_no_echo_is_counted():
    answer = Answer(1, "PV")
    assert answer.feed(request(1, "PV") + framed("SL", "22.0") + PV) == b"PV16.4"
    assert answer.passed_over == len(framed("SL", "22.0"))
    assert answer.feed(b"\xff" * 500) is None
    assert answer.passed_over >= 470


WRONG = {
    "A05 a wrong checksum": PV[:-1] + b"\x19",
    "A07 no checksum": PV[:-1],
    "a flipped bit": PV[:4] + bytes([PV[4] ^ 1]) + PV[5:],
    "A03 a NUL in the value": b"\x02" + b"PV1\x006\x03" + checksum(b"PV1\x006\x03"),
    "A04 a character of eight bits": b"\x02" + b"PV1\xb26\x03" + checksum(b"PV1\xb26\x03"),
    "A10 a value without an end": b"\x02PV" + b"1" * 5000 + b"\x03",
    "another mnemonic": framed("SP", "16.4"),
}


@pytest.mark.parametrize("case", WRONG)
def test_no_value_comes_of(case):
    answer = Answer(1, "PV")
    assert answer.feed(WRONG[case]) is None
    assert answer.feed(b"") is None
    assert answer.feed(PV) == b"PV16.4" or case == "A07 no checksum"


@pytest.mark.parametrize(("sent", "reason"), [(b"\x04", "mnemonic"), (b"\x15", "not understood")])
def test_a_unit_that_has_no_such_value_says_so_with_one_character(sent, reason):
    """A08, A09: it has no checksum, so it counts only when nothing else came all the time."""
    for before in (b"", request(1, "PV")):
        answer = Answer(1, "PV")
        assert answer.feed(before + sent) is None
        assert answer.feed(b"") == sent
        assert answer.feed(b"") is None
    assert reason in bisynch.REFUSALS[sent]
    answer = Answer(1, "PV")
    assert answer.feed(b"\xff" + sent) is None
    assert answer.feed(b"") is None


def test_what_follows_an_answer_is_no_refusal():
    answer = Answer(1, "PV")
    assert answer.feed(PV + b"\x04") == b"PV16.4"
    assert answer.feed(b"") is None


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_a_babbling_line_holds_no_more_than_one_answer(pieces):
    answer = Answer(1, "PV")
    for piece in pieces:
        answer.feed(piece + b"\x02PV")
        assert len(answer._buffer) <= LONGEST


def is_right(frame: bytes, said: bytes) -> bool:
    """Whether mnemonic and value stand in the bytes as the handbook says, by plain search."""
    whole = b"\x02" + said + b"\x03"
    return said.startswith(b"PV") and whole + checksum(whole[1:]) in frame


@given(st.binary(max_size=200))
def test_random_bytes_are_no_value(noise):
    told = Answer(1, "PV").feed(noise)
    assert told is None or is_right(noise, told)


@pytest.mark.slow
def test_a_million_random_frames_give_no_value_that_is_not_there():
    chance, letters = random.Random(11), bytes(range(0x20, 0x7F)) + b"\x02\x03\x04\x15PPPVVV0123456789.-" * 4
    told = 0
    for _ in range(1_000_000):
        frame = b"\x02PV" * chance.randrange(2) + bytes(chance.choices(letters, k=chance.randrange(12)))
        answer = Answer(1, "PV")
        value = answer.feed(frame)
        assert value is None or is_right(frame, value)
        told += value is not None
        assert answer.feed(b"") in (None, *bisynch.REFUSALS)
    assert told < 5000, "about one in 128 of those that are framed right"
