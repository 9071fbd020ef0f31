import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface.frames.requests import Requests
from firmware_iface.frames.rtu import framed

READ = bytes.fromhex("0203 0001 0002 95F8")
WRITE = bytes.fromhex("0210 00A4 0003 06 007B 0096 00FA 2071")
STATUS = bytes.fromhex("0207 4112")
LOOP = bytes.fromhex("0208 0000 1234 ED4F")
OTHERS = (framed(bytes.fromhex("0503 0001 0002")), framed(bytes.fromhex("0503 04 0012 0016")))


@pytest.mark.parametrize("frame", [READ, WRITE, STATUS, LOOP])
def test_a_request_of_a_handbook_is_found_in_whatever_pieces_it_comes(frame):
    for cut in range(len(frame)):
        requests = Requests([2])
        assert requests.feed(frame[:cut]) == []
        assert requests.feed(frame[cut:]) == [(2, frame[1:-2])]


@pytest.mark.parametrize("noise", ["00", "ff", "55aa", "02", "0203", "0210", "021000a40003f0", "0207", "020300010002"])
def test_noise_and_halves_before_a_request_do_not_hide_it(noise):
    requests = Requests([2])
    assert requests.feed(bytes.fromhex(noise)) == []
    assert requests.feed(READ) == [(2, READ[1:-2])]
    assert requests.feed(STATUS) == [(2, STATUS[1:-2])]


def test_what_others_ask_and_answer_is_passed_over():
    requests = Requests([2, 7])
    seventh = framed(bytes.fromhex("0706 0002 00FA"))
    everybody = framed(bytes.fromhex("0006 0002 00FA"))
    heard = OTHERS[0] + OTHERS[1] + READ + OTHERS[0] + OTHERS[1] + seventh + everybody
    assert requests.feed(heard) == [(2, READ[1:-2]), (7, seventh[1:-2]), (0, everybody[1:-2])]


@pytest.mark.parametrize("bit", range(8 * len(READ)))
def test_a_request_with_one_wrong_bit_is_none(bit):
    wrong = bytearray(READ)
    wrong[bit // 8] ^= 1 << bit % 8
    assert Requests([2]).feed(bytes(wrong) + bytes(300)) == []


@given(st.lists(st.binary(max_size=40)), st.integers(1, 247))
def test_after_any_noise_a_request_is_found_and_little_is_held(noise, unit):
    requests = Requests([unit])
    for heard in noise:
        requests.feed(heard)
    asked = struct.pack(">BHH", 3, 1, 2)
    assert requests.feed(framed(bytes([unit]) + asked))[-1] == (unit, asked)
    for _ in range(10):
        requests.feed(bytes([unit, 16, 0, 0, 0, 1]) * 20)
    assert len(requests._buffer) <= 256 + 120
