"""The fault cases: what happens on the wire, and what must become of the points."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.fault_kit import faults as f
from tests.fault_kit.faults import Change, End, Fault, Gate
from tests.faults.rig import LEVEL, TEMPERATURE

GOOD, BAD, MENDED = "good", "bad", "bad, then good"
AT_ONCE = 1
BACK_OFF = 16
"""Beats of 2 s: the longest rest between two tries is 30 s."""
FAULT_BEATS = 5
ONE_A_SECOND = 10


@dataclass(frozen=True)
class Case:
    """A fault of unit 1 that stands for five beats.

    Attributes:
        quality: of the points while it stands; "bad, then good" when the agent finds a way around it.
        causes: what the failed requests are counted as; none where none may fail.
        again: most beats from the fault's end to a good one, that one counted.
        others: most beats that unit 2 loses.
        points: names of the points that it concerns, all others must stay good; all where empty.
        is_of_the_line: it concerns all that is on the line, unit 2 too.
        connects: most connections that the line accepts meanwhile; 10 are one a second.
        host: what the computer suffers at the same time: "step", "stall" or "busy".
        residue: most beats with a wrong value, where nothing on the wire can tell the first one.
        open: what the agent does not do yet for this case to be as it says; its test is then known to fail; where
            there is a residue, it may come to no more than that.
    """

    id: str
    wire: str
    fault: Fault
    quality: str
    causes: tuple[str, ...] = ()
    again: int = AT_ONCE
    others: int = 0
    points: tuple[str, ...] = ()
    is_of_the_line: bool = False
    connects: int = 0
    host: str = ""
    residue: int = 0
    open: str = ""

    @property
    def is_alone(self) -> bool:
        """Whether it would disturb the measuring of other cases."""
        return self.host in {"stall", "busy"}


def harmless(wire: str, case: str, text: str, change: Change = f.forward, **more: object) -> Case:
    return Case(case, wire, Fault(text, change), GOOD, **more)  # type: ignore[arg-type]


def bad(wire: str, case: str, text: str, change: Change, *causes: str, gate: Gate = Gate.OPEN, **more: object) -> Case:
    return Case(case, wire, Fault(text, change, gate), BAD, causes,
                **({"again": BACK_OFF, "connects": ONE_A_SECOND} | more))  # type: ignore[arg-type]


def refused(wire: str, case: str, text: str, code: int, again: int = AT_ONCE) -> Case:
    return bad(wire, case, text, f.exception(code), "refused", again=again, connects=0)


def swapped(value: float) -> bytes:
    raw = struct.pack(">f", value)
    return raw[2:] + raw[:2]


def holds(case: str, text: str, point: str, address: int, data: bytes, **more: object) -> Case:
    """The device itself holds something else at an address of the second block; nothing fails on the wire."""

    def change(held: bytes, first: int) -> bytes:
        at = 2 * (address - first)
        return held[:at] + data + held[at + len(data):] if first == 100 else held

    return Case(case, "TCP", Fault(text, f.registers(change)), BAD, points=(point,), **more)  # type: ignore[arg-type]


_RATE = "a value that is in range and stays is believed at the second read"

TCP = (
    bad("TCP", "T01", "reboot: connections are reset, new ones refused", f.forward, "unreachable", gate=Gate.REFUSE),
    bad("TCP", "T02", "accepts, then closes", f.forward, "unreachable", gate=Gate.CLOSE),
    bad("TCP", "T03", "accepts, never answers", f.drop, "silent"),
    bad("TCP", "T04", "reset in the middle of a frame", f.cut(End.RESET), "unreachable"),
    bad("TCP", "T05", "half-open: the peer is gone and nobody says so", f.forward, "silent", gate=Gate.SWALLOW),
    bad("TCP", "T06", "slow drip, longer than the time-out", f.drip(0.02), "silent"),
    harmless("TCP", "T07", "header in pieces", f.pieces(3, 8, apart_s=0.004)),
    harmless("TCP", "T08", "the frame twice in a segment", f.duplicate),
    bad("TCP", "T09", "transaction of another question", f.as_transaction(), "silent"),
    bad("TCP", "T10", "transaction 0", f.as_transaction(0), "bad answer"),
    bad("TCP", "T11", "always one answer behind", f.previous, "silent"),
    bad("TCP", "T12", "protocol other than 0", f.as_protocol(1), "silent"),
    bad("TCP", "T13", "length too short", f.as_length(more=-2), "bad answer"),
    bad("TCP", "T14", "length too long", f.as_length(more=4), "silent"),
    bad("TCP", "T15", "length 0", f.as_length(0), "silent", "bad answer", "unreachable"),
    bad("TCP", "T16", "length 65535", f.as_length(65535), "silent"),
    bad("TCP", "T17", "another unit answers", f.as_unit(9), "silent"),
    bad("TCP", "T18", "another function", f.as_function(3), "bad answer"),
    bad("TCP", "T19", "byte count other than the data", f.counted(8, 6), "bad answer"),
    bad("TCP", "T20", "odd byte count", f.counted(7, 7), "bad answer"),
    refused("TCP", "T21", "exception 1, illegal function", 1),
    Case("T22", "TCP", Fault("exception 2 to what spans a hole", f.hole(12)), MENDED, ("refused",)),
    refused("TCP", "T23", "exception 3, illegal value", 3),
    refused("TCP", "T24", "exception 4, device failure", 4),
    refused("TCP", "T25", "exception 5, acknowledged", 5),
    refused("TCP", "T26", "exception 6, busy", 6),
    refused("TCP", "T27", "exception 8, parity of memory", 8),
    refused("TCP", "T28", "exception 10, gateway has no path", 10, BACK_OFF),
    refused("TCP", "T29", "exception 11, gateway's target is silent", 11, BACK_OFF),
    bad("TCP", "T30", "exception for another function", f.exception(2, 3), "bad answer"),
    bad("TCP", "T31", "unknown function", f.as_function(0x65), "bad answer", "silent", "unreachable"),
    bad("TCP", "T32", "300 bytes of garbage", f.garbage(300), "silent", "bad answer", "unreachable"),
    bad("TCP", "T33", "another master has the only connection", f.forward, "unreachable", gate=Gate.CLOSE),
)

RTU = (
    bad("RTU", "R01", "a bit of the CRC flipped", lambda x: [x.answer[:-1] + bytes([x.answer[-1] ^ 4])], "bad answer"),
    bad("RTU", "R02", "one bit flipped, anywhere", f.corrupt, "bad answer"),
    bad("RTU", "R03", "truncated, anywhere", f.truncate, "bad answer"),
    harmless("RTU", "R04", "00 before the frame", f.noise(b"\x00")),
    harmless("RTU", "R05", "ff before the frame", f.noise(b"\xff\xff\xff")),
    harmless("RTU", "R06", "55 aa before the frame", f.noise(b"\x55\xaa")),
    harmless("RTU", "R07", "noise behind the frame", f.noise(after=b"\x00\xff\x13")),
    harmless("RTU", "R08", "the adapter echoes", f.echo),
    bad("RTU", "R09", "another unit answers", f.as_unit(9), "bad answer"),
    bad("RTU", "R10", "only the own question comes back", f.only_echo, "silent"),
    harmless("RTU", "R11", "a gap of 2 characters", f.pieces(5, apart_s=0.0002)),
    harmless("RTU", "R12", "gaps of 5 ms, more than 3.5 characters", f.pieces(5, 9, apart_s=0.005)),
    bad("RTU", "R13", "late, after the time-out", f.delay(0.15), "silent", "bad answer"),
    bad("RTU", "R14", "late, after the next question", f.previous_and_right, "silent", "bad answer"),
    harmless("RTU", "R15", "the answer twice", f.duplicate),
    bad("RTU", "R15 late", "each answer again, after the next question", f.duplicate_late, "bad answer"),
    bad("RTU", "R16", "silent", f.drop, "silent"),
    Case("R17", "RTU", Fault("somebody babbles", babble=f.babbling), BAD, ("bad answer", "silent"), BACK_OFF,
         FAULT_BEATS + BACK_OFF, is_of_the_line=True),
    bad("RTU", "R18", "another speed: random bytes", f.garbage(30), "bad answer", "silent"),
    bad("RTU", "R19", "adapter unplugged, plugged in again as another node", f.forward, "unreachable", gate=Gate.GONE,
        others=FAULT_BEATS + BACK_OFF, is_of_the_line=True),
    bad("RTU", "S10", "two units with one number, both at once", f.overlapped, "bad answer"),
    bad("RTU", "S10 in turn", "two units with one number, one after the other", f.other_first, "bad answer",
        residue=1),
)  # fmt: skip

SEMANTIC = (
    holds("S03", "word order swapped", "temperature", 102, swapped(TEMPERATURE)),
    holds("S03 plausible", "word order swapped, and what comes out is in range", "temperature", 102, swapped(180.25),
          residue=1, open=_RATE),
    holds("S04", "decimal point moved to the right", "level", 101, struct.pack(">H", round(LEVEL * 1000))),
    holds("S04 plausible", "decimal point moved to the left", "level", 101, struct.pack(">H", round(LEVEL)),
          residue=1, open=_RATE),
    holds("S05", "sentinel", "level", 101, b"\x7f\xff"),
)  # fmt: skip

HOST = (
    harmless("TCP", "H01", "NTP sets the clock by an hour, and back", host="step"),
    bad("TCP", "H02", "suspended: an hour is gone, the connection is dead", f.forward, "silent", gate=Gate.SWALLOW,
        host="step"),
    harmless("TCP", "H03", "the loop stands still for 2 s", host="stall"),
    harmless("TCP", "H05", "CPU at 100 %", host="busy"),
)  # fmt: skip

CASES = {case.id: case for case in (*TCP, *RTU, *SEMANTIC, *HOST)}

_TEXT = "tests/acquire/test_text_instrument.py"
_CONTROLLER, _ANALYSER = "test_a_controller_that_says", "test_an_analyser_that_says"
_LINES = "tests/firmware_iface/test_text_line.py"

ELSEWHERE = {
    "R20": ("permission denied", "tests/acquire/test_serial_line.py",
            "test_a_port_that_may_not_be_opened_is_unreachable"),
    "R21": ("port locked by another program", "tests/acquire/test_serial_line.py",
            "test_a_port_in_use_is_unreachable"),
    "S02": ("frozen heartbeat", "tests/acquire/test_watchdog.py",
            "test_values_of_a_controller_that_hangs_are_stale_until_it_moves_again"),
    "S08": ("map shifted by one register", "tests/acquire/test_recognition.py", "test_another_device_gives_no_value"),
    "S09": ("fingerprint changed", "tests/acquire/test_recognition.py", "test_another_device_gives_no_value"),
    "S06": ("counter wraps", "tests/capture/test_watch.py", "test_a_count_that_goes_round_is_one_more_reading"),
    "H04": ("disk full", "tests/journeys/test_full_disk.py",
            "test_a_full_disk_is_told_commands_are_refused_and_all_is_well_once_there_is_room"),
    "A01": ("CR missing", _TEXT, _ANALYSER),
    "A02": ("CR only, LF only", _LINES, "test_either_character_or_both_end_a_line"),
    "A03": ("NUL", _TEXT, _CONTROLLER),
    "A04": ("characters of eight bits", _TEXT, _CONTROLLER),
    "A05": ("checksum wrong", _TEXT, _CONTROLLER),
    "A06": ("checksum that is a control character", _TEXT, _CONTROLLER),
    "A07": ("checksum missing", _TEXT, _CONTROLLER),
    "A08": ("EOT: parameter unknown", _TEXT,
            "test_a_parameter_that_is_not_known_takes_no_other_with_it_and_is_told_once"),
    "A09": ("NAK", _TEXT, _CONTROLLER),
    "A10": ("very long line", _TEXT, _ANALYSER),
    "A11": ("two lines merged", _TEXT, _ANALYSER),
    "A12": ("variable width", _TEXT, _ANALYSER),
    "A13": ("-.0", _LINES, "test_minus_nothing_is_minus_zero"),
    "A14": ("----", _TEXT, _ANALYSER),
    "A15": ("+++++", _TEXT, _ANALYSER),
    "A16": ("!Sensor heating", _TEXT, "test_an_analyser_that_is_not_ready_says_why_once"),
    "A17": ("% becomes ppm", _TEXT, _ANALYSER),
    "A18": ("decimal comma", _TEXT, _ANALYSER),
}  # fmt: skip
"""Cases of other parts of the agent: what happens, and the file and the test that shows what becomes of it."""

UNTESTED = {
    "S01": ("frozen value", "good: it is not told from a constant one; a frozen device is, by its watchdog point"),
    "S07": ("device's clock wrong", "no effect: a device's time is never read, every stamp is the agent's own"),
}
"""Cases without a test: what happens, and what the points are."""
