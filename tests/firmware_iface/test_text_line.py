"""Lines of text: whole ones only, and what they say; nothing that is no number ever becomes one."""

import math
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_iface import catalog
from firmware_iface.frames.text_line import Answer, Lines, Phrases
from firmware_iface.instrument import Instrument, Reading, number, registers, status_bit

RAPIDOX = "d2.959E+05,-1.426E+01,2.000E+00,,23:19:40,14/01/00,,,ALM1&2,0"
RAPIDOX_E = "d2.959E+05,1.426E+01,2.000E-03,23:19:40,14/01/00,ALM1&2,0"
LUMINOX = "O 0213.5 T +24.3 P 1013 % 021.05 e 0000"

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)


def said(name: str, line: str):
    return Phrases(catalog.builtin(name).instrument, "1").understand(line)


def gauge(**more) -> Instrument:
    """An instrument that says a number and a unit."""
    given = {"protocol": "text-line", "poll": "?\r\n", "patterns": (r"(?P<level>[\d.]+) (?P<unit>\S+)",),
             "not_ready": ("wait.*",), "max_line": 20,
             "readings": (Reading(0, None, None, "level", "unit", "%"),)}  # fmt: skip
    return Instrument(**given | more)


NUMBERS = {
    "16.4": 16.4, "-99.9": -99.9, "123": 123.0, "+24.3": 24.3, "021.05": 21.05, "2.959E+05": 295_900.0, "5.": 5.0,
    ".5": 0.5, "-.0": -0.0, "  16.4": 16.4, "16.4   ": 16.4, "1e3": 1000.0,
}  # fmt: skip


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_has_a_decimal_point(text):
    assert number(text) == NUMBERS[text]


def test_minus_nothing_is_minus_zero():
    """A13"""
    assert math.copysign(1, number("-.0")) == -1


@pytest.mark.parametrize("text", ["", " ", "----", "+++++", "16,4", "1.000,5", "1_000", "nan", "inf", "-inf", "0x10",
                                  "16.4%", "1 6.4", ".", "-", "+-1", "1e", "1e999", "--1", "١٢", ">0030", "16.4\n"])
def test_what_is_no_number_has_no_value(text):
    assert math.isnan(number(text))


@given(st.text(max_size=12))
def test_every_other_text_is_a_plain_decimal_or_nothing(text):
    value = number(text)
    assert math.isnan(value) or (re.fullmatch(r" *[-+0-9.eE]+ *", text) and value == float(text))


def test_a_bit_is_taken_of_a_hexadecimal_word_only():
    assert [status_bit(">0030", bit) for bit in (3, 4, 5, 6)] == [0, 1, 1, 0]
    assert all(math.isnan(status_bit(text, 5)) for text in ("", "0030", ">", ">00G0", "48", ">123456789"))


def test_readings_become_registers_with_nothing_where_there_is_none():
    assert registers({4: 1.5}, 0, 12).hex(" ", 8) == "7ff8000000000000 3ff8000000000000 7ff8000000000000"
    assert registers({4: 1.5}, 4, 4).hex() == "3ff8000000000000"


def test_a_line_with_another_instruments_address_says_nothing_of_this_one():
    shared = gauge(patterns=(r"A(?P<address>\d+) (?P<level>[\d.]+) (?P<unit>\S+)",),
                   not_ready=(r"A(?P<address>\d+) wait",))
    phrases = Phrases(shared, "7")
    assert phrases.understand("A7 20.9 %").values == {0: 20.9}
    assert phrases.understand("A7 wait").values == {}
    assert phrases.understand("A17 20.9 %") is None
    assert phrases.understand("A17 wait") is None


def test_either_character_or_both_end_a_line():
    """A01, A02"""
    assert Lines(10).feed(b"one\r\ntwo\nthree\rfour") == ["one", "two", "three"]


@given(st.lists(printable, max_size=6), st.sampled_from(["\r\n", "\n", "\r"]), st.integers(1, 5))
def test_lines_are_put_together_of_any_pieces(lines, end, step):
    sent = "".join(line + end for line in lines).encode()
    reader = Lines(60)
    told = [line for at in range(0, len(sent), step) for line in reader.feed(sent[at:at + step])]
    assert told == [line for line in lines if line]


def test_a_line_that_is_too_long_is_dropped_up_to_its_end():
    """A10"""
    lines = Lines(5)
    assert lines.feed(b"12345\n123456\n12") == ["12345"]
    assert lines.feed(b"3456789" * 1000) == []
    assert lines.feed(b"20\n21\n") == ["21"]


def test_the_rest_of_a_line_is_no_line():
    assert Lines(20, is_inside=True).feed(b"1.05\n121.05\n") == ["121.05"]
    lines = Lines(20)
    assert lines.feed(b"12") == []
    assert lines.is_inside
    lines.drop()
    assert lines.feed(b"1.05\n20.9\n") == ["20.9"]


@given(st.lists(st.binary(max_size=100), max_size=30))
def test_a_babbling_instrument_holds_no_more_than_one_line(pieces):
    lines = Lines(30)
    for piece in pieces:
        lines.feed(piece)
        assert len(lines._buffer) <= 30


def test_both_variants_of_an_analyser_are_understood():
    assert said("oxygen-rapidox1100", RAPIDOX).values == {0: 295_900.0, 4: -14.26, 8: 2.0}
    assert said("oxygen-rapidox1100", RAPIDOX_E).values == {0: 295_900.0, 4: 14.26, 8: 0.002}


def test_a_streamed_line_is_understood():
    assert said("oxygen-luminox", LUMINOX).values == {0: 21.05, 4: 213.5, 8: 1013.0, 12: 24.3}


@pytest.mark.parametrize("line", ["!Sensor heating", "!Initialising", "!No sensor or sensor fault",
                                  RAPIDOX[:-1] + "1", RAPIDOX_E[:-1] + "6"])
def test_an_analyser_that_is_not_ready_has_no_value_and_says_why(line):
    """A16"""
    told = said("oxygen-rapidox1100", line)
    assert told.values == {}
    assert set(told.causes) == {0, 4, 8}
    assert line in told.causes[0]


def test_a_sensor_with_an_error_has_no_value():
    for line in ("E 02", LUMINOX[:-1] + "1"):
        assert said("oxygen-luminox", line).values == {}


def test_a_reading_without_a_number_takes_no_other_with_it():
    """A14, A15"""
    for text in ("----", "+++++", ""):
        told = said("oxygen-rapidox1100", RAPIDOX.replace("2.959E+05", text))
        assert told.values == {4: -14.26, 8: 2.0}
        assert told.causes == {0: f"{text!r} is no number"}


STRANGE = {
    "A03 a NUL": RAPIDOX.replace("959", "9\x0059"),
    "A04 a character of eight bits": RAPIDOX.replace("959", "9\xb959"),
    "A11 two lines merged": RAPIDOX + RAPIDOX,
    "A11 a line begun in another": RAPIDOX[:20] + RAPIDOX,
    "A12 a digit lost": RAPIDOX.replace("2.959E", "2.95E"),
    "A18 a locale's comma": RAPIDOX.replace("2.959", "2,959"),
    "A18 commas everywhere": RAPIDOX.replace(".", ","),
    "the beginning lost": RAPIDOX[1:], "the end lost": RAPIDOX[:-1], "half": RAPIDOX[:30],
    "a state that is not known": RAPIDOX[:-1] + "7", "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_a_line_that_is_not_the_instruments_says_nothing(case):
    assert said("oxygen-rapidox1100", STRANGE[case]) is None


def test_every_truncation_and_every_lost_character_but_a_sign_says_nothing_or_the_truth():
    for name, line in (("oxygen-rapidox1100", RAPIDOX), ("oxygen-luminox", LUMINOX)):
        truth = said(name, line).values
        for at in (place for place, letter in enumerate(line) if letter != "-"):
            for damaged in (line[:at], line[:at] + line[at + 1:], line[at + 1:]):
                told = said(name, damaged)
                assert told is None or told.values.items() <= truth.items(), damaged


def test_a_number_in_another_unit_has_no_value():
    """A17"""
    phrases = Phrases(gauge(), "1")
    assert phrases.understand("20.9 %").values == {0: 20.9}
    told = phrases.understand("209 ppm")
    assert told.values == {}
    assert told.causes == {0: "its unit is 'ppm', not '%'"}


@pytest.mark.parametrize("letter", ["\0", "\x05", "\x7f", "\xb0", "\x1b"])
def test_a_line_with_anything_but_plain_text_says_nothing_whatever_the_pattern_takes(letter):
    """A03, A04"""
    phrases = Phrases(gauge(patterns=(r".*?(?P<level>[\d.]+) (?P<unit>%).*",)), "1")
    assert phrases.understand("is\t20.9 % now").values == {0: 20.9}
    for at in range(len("is 20.9 % now")):
        assert phrases.understand("is 20.9 % now"[:at] + letter + "is 20.9 % now"[at:]) is None


def test_an_address_in_the_line_must_be_the_instruments():
    gauges = gauge(poll="A{address}D1\r", patterns=(r"A(?P<address>\d+) (?P<level>\S+) (?P<unit>%)",))
    phrases = Phrases(gauges, "7")
    assert Answer(gauges, phrases, "7").request == b"A7D1\r"
    assert phrases.understand("A7 20.9 %").values == {0: 20.9}
    assert phrases.understand("A17 20.9 %") is None


ECHOES = {"none": b"", "on a line of its own": b"?\r\n", "without an end": b"?", "noise": b"xx\r\n"}


@pytest.mark.parametrize("echo", ECHOES)
def test_the_answer_is_found_behind_an_echo(echo):
    answer = Answer(gauge(), Phrases(gauge(), "1"), "1")
    assert answer.feed(ECHOES[echo]) is None
    assert answer.feed(b"20.9 %\r") == b"20.9 %"
    assert answer.passed_over == (2 if echo == "noise" else 0)
    assert answer.feed(b"\nwait a moment\r\n") == b"wait a moment"
    assert answer.feed(b"") is None


@given(st.binary(max_size=200))
def test_random_bytes_are_no_value(noise):
    for name in ("oxygen-rapidox1100", "oxygen-luminox"):
        instrument = catalog.builtin(name).instrument
        line = Answer(instrument, Phrases(instrument, "1"), "1").feed(noise + b"\n")
        assert line is None or said(name, line.decode()).values == {}, "at most that it is not ready"


@pytest.mark.slow
def test_a_million_random_lines_give_no_value_that_is_not_there():
    chance, phrases = random.Random(5), Phrases(catalog.builtin("oxygen-luminox").instrument, "1")
    for _ in range(1_000_000):
        line = bytearray(LUMINOX.encode())
        for _ in range(chance.randrange(1, 4)):
            line[chance.randrange(len(line))] = chance.randrange(256)
        for text in Lines(60).feed(bytes(line) + b"\r\n"):
            told = phrases.understand(text)
            if told and told.values:
                assert told.values[0] == float(text[26:32])
                assert text.endswith("e 0000")
