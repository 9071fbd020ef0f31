"""Raw frames in words, and the documentation shows what is really printed."""

from pathlib import Path

import pytest

from edgeagent.recording.entries import End, Failure, Memory, Wire
from edgeagent.tools.frames import lines
from firmware_iface.frames.rtu import framed, request

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tools.md"
WALL = 1_795_316_224_123_000_000


@pytest.mark.parametrize(("is_sent", "data", "meaning"), [
    (True, request(5, 3, 10, 2), "unit 5: 2 holding registers from 10"),
    (True, request(5, 1, 768, 9), "unit 5: 9 coils from 768"),
    (False, framed(bytes([5, 3, 4, 0, 10, 0, 11])), "unit 5, function 3, 5 bytes"),
    (False, framed(bytes([5, 2, 3, 255, 255, 1])), "unit 5, function 2, 4 bytes"),
    (False, framed(bytes([5, 0x83, 2])), "unit 5 refuses function 3: illegal address (2)"),
    (True, bytes.fromhex("0001 0000 0006 01 04 0064 0032"), "unit 1: 50 input registers from 100"),
    (False, bytes.fromhex("0001 0000 0003 01 84 0b"), "unit 1 refuses function 4: gateway target is silent (11)"),
    (False, b"\x05\x03\x04\x00", None),
    (False, b"hello, is anybody there", None),
])  # fmt: skip
def test_a_frame_is_told_in_words_where_it_is_whole(is_sent, data, meaning):
    (line,) = lines([Wire("rs485", is_sent, data, 0, WALL)])
    way = "→" if is_sent else "←"
    assert line == f"2026-11-22T02:57:04.123Z rs485 {way} {data.hex(' ')}" + (f"  {meaning}" if meaning else "")


def test_the_documentation_shows_what_is_printed():
    shown = list(lines([
        Wire("rs485", True, request(5, 3, 10, 2), 0, WALL),
        Wire("rs485", False, framed(bytes([5, 3, 4, 0, 10, 0, 11])), 0, WALL + 8_000_000),
        Failure("rs485/5", "silent", "rs485/5: unit 5 did not answer in time", 0, WALL + 5_750_000_000),
    ]))  # fmt: skip
    assert "\n".join(shown) in DOCS.read_text()


def test_what_is_no_frame_is_told_too():
    memory = Memory("M1", None, 0, 0, False, (), 0, WALL, True)
    assert list(lines([memory, End("closed")])) == [
        "2026-11-22T02:57:04.123Z M1 is taken up", "end of the recording: closed"]
