"""A listener believes an answer only after the question that it belongs to."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_iface.frames.overheard import Conversation, Overheard
from firmware_iface.frames.rtu import framed, request
from tests.acquire.rtu_device import right

Q1, Q2 = request(1, 4, 100, 2), request(2, 4, 100, 2)
A1, A2 = right(Q1), right(Q2)
OTHER = framed(bytes([1, 4, 4]) + b"\x11\x11\x22\x22")
"""An answer of the same shape with other values."""
T1 = Overheard(1, 4, 100, 2, A1[3:-2])
T2 = Overheard(2, 4, 100, 2, A2[3:-2])


def heard(*frames: bytes) -> list[Overheard]:
    return Conversation().feed(b"".join(frames))


def test_a_question_and_its_answer_are_one_value():
    assert heard(Q1, A1) == [T1]
    assert heard(Q1, A1, Q2, A2, Q1, A1) == [T1, T2, T1]


def test_bytes_may_come_one_by_one():
    conversation = Conversation()
    assert [told for byte in Q1 + A1 + Q2 + A2 for told in conversation.feed(bytes([byte]))] == [T1, T2]


def test_bits_are_told_with_their_number():
    question = request(7, 2, 3, 11)
    assert heard(question, right(question)) == [Overheard(7, 2, 3, 11, right(question)[3:-2])]


def test_an_answer_without_its_question_is_no_value():
    assert heard(A1) == []
    assert heard(Q1, A2) == []
    assert heard(Q1, right(request(1, 3, 100, 2))) == []
    assert heard(Q1, right(request(1, 4, 100, 3))) == []


def test_a_late_answer_is_not_taken_for_the_next_question():
    """Unit 1 stays silent, is asked again, and then answers the first question before the second."""
    assert heard(Q1, Q1, OTHER, A1) == []
    assert heard(Q1, Q1, OTHER, A1, Q1, A1) == [], "the second answer came unasked: one more is not believed"
    assert heard(Q1, Q1, OTHER, A1, Q1, A1, Q1, A1) == [T1]


def test_an_unanswered_unit_costs_the_others_nothing():
    assert heard(Q1, Q2, A2, Q1, Q2, A2) == [T2, T2]


def test_a_refusal_is_no_value_and_no_doubt():
    assert heard(Q1, framed(b"\x01\x84\x02"), Q1, A1) == [T1]


def test_an_answer_is_not_taken_for_a_question_whose_answer_and_successor_were_spoilt():
    """The other master asked on, but neither the first answer nor the second question could be understood."""
    question, answer = request(1, 4, 200, 2), right(request(1, 4, 200, 2))
    spoilt = bytes([A1[0] ^ 1]) + A1[1:], question[:3] + b"\xff" + question[4:]
    assert heard(Q1, *spoilt, answer) == []
    assert heard(Q1, *spoilt, answer, Q1, A1, Q1, A1)[-1:] == [T1]


def test_an_answer_is_not_taken_for_a_question_after_which_others_were_heard():
    answer = right(request(1, 4, 200, 2))
    for between in (A2, framed(b"\x02\x84\x02"), framed(b"\x02\x06\x00\x05\x00\x64")):
        assert heard(Q1, between, answer) == []


def test_writes_of_the_other_master_are_passed_over():
    single = framed(b"\x01\x06\x00\x05\x00\x64")
    several = framed(b"\x01\x10\x00\x05\x00\x02\x04\x00\x01\x00\x02")
    taken = framed(b"\x01\x10\x00\x05\x00\x02")
    assert heard(single, single, Q1, A1, several, taken, Q1, A1) == [T1, T1]


def test_noise_before_and_between_frames_is_passed_over():
    assert heard(b"\x00", Q1, A1) == [T1]
    assert heard(b"\xff\xff\xff", Q1, b"", A1, b"\x55\xaa", Q2, A2, bytes(20)) == [T1, T2]


def test_a_frame_that_is_cut_short_is_given_up_in_silence():
    conversation = Conversation()
    assert conversation.feed(Q1 + A1[:-2]) == []
    conversation.silence()
    assert conversation.feed(A1[-2:] + Q1 + A1) == [], "the unit's earlier answer was not understood: doubted once"
    assert conversation.feed(Q1 + A1) == [T1]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600), st.lists(st.integers(1, 40), max_size=30))
def test_no_noise_becomes_a_value_or_is_kept(noise, cuts):
    conversation = Conversation()
    at = 0
    for cut in cuts:
        assert conversation.feed(noise[at:at + cut]) == []
        at += cut
    assert conversation.feed(noise[at:]) == []
    conversation.silence()
    for _ in range(3):
        told = conversation.feed(Q1 + A1 + Q2 + A2)
    assert told[-2:] == [T1, T2]


def test_every_flipped_bit_of_an_answer_is_refused():
    for bit in range(8 * len(A1)):
        spoilt = bytearray(A1)
        spoilt[bit >> 3] ^= 1 << (bit & 7)
        assert heard(Q1, bytes(spoilt)) == []


def test_a_long_conversation_with_faults_never_gives_a_wrong_value():
    """Lost, cut, spoilt and doubled answers of a master that asks on: what is told is what the unit meant then."""
    dice = random.Random(7)
    conversation, told = Conversation(), 0
    for turn in range(3000):
        data = turn.to_bytes(4, "big")
        question, answer = request(1 + turn % 3, 3, 0, 2), framed(bytes([1 + turn % 3, 3, 4]) + data)
        happens = dice.random()
        if happens < 0.1:
            answer = b""
        elif happens < 0.2:
            answer = answer[:dice.randrange(len(answer))]
        elif happens < 0.3:
            answer = dice.randbytes(dice.randrange(1, 9)) + answer
        for one in conversation.feed(question + answer):
            assert one.data == data
            told += 1
        conversation.silence()
    assert told > 1500


@pytest.mark.slow
def test_a_million_bad_frames_give_the_listener_no_value():
    """Only what the CRC cannot tell: a frame of the right head that fits by chance."""
    dice, lucky = random.Random(35), 0
    for turn in range(1_000_000):
        heard_ = bytearray(dice.randbytes(dice.randrange(1, 40)) if turn % 2 else A1)
        for _ in range(dice.randrange(1, 4) if turn % 2 == 0 else 0):
            heard_[dice.randrange(len(heard_))] ^= dice.randrange(1, 256)
        for told in Conversation().feed(Q1 + heard_):
            assert framed(bytes([1, 4, 4]) + told.data) in heard_
            lucky += told != T1
    print(f"\n{lucky} values whose CRC fits by chance")
    assert lucky <= 3 * 1_000_000 / 65_536
