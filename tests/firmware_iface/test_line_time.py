import pytest

from firmware_iface.line_time import (
    answer_bytes,
    character_s,
    explain,
    explain_group,
    group_share,
    request_s,
    share,
    silence_s,
)
from firmware_iface.registers import SerialSettings
from firmware_iface.spans import Span
from tests.firmware_iface.test_catalog import _load
from tests.firmware_iface.test_map_language import DRIVE

USUAL = SerialSettings(9600)


@pytest.mark.parametrize(("settings", "bits"), [
    (SerialSettings(9600, "even", 1), 11), (SerialSettings(9600, "odd", 1), 11), (SerialSettings(9600, "none", 2), 11),
    (SerialSettings(9600, "none", 1), 10), (SerialSettings(9600, "even", 2), 12),
])  # fmt: skip
def test_a_character_has_a_start_bit_eight_data_bits_parity_and_stop_bits(settings, bits):
    assert character_s(settings) == pytest.approx(bits / 9600)


@pytest.mark.parametrize(("baud", "milliseconds"), [(9600, 4.0104), (19_200, 2.0052), (38_400, 1.75), (115_200, 1.75)])
def test_the_silence_is_of_three_and_a_half_characters_up_to_19200(baud, milliseconds):
    assert silence_s(SerialSettings(baud)) * 1000 == pytest.approx(milliseconds, abs=1e-4)


@pytest.mark.parametrize(("baud", "milliseconds"), [(9600, 319), (19_200, 165), (38_400, 89), (115_200, 39)])
def test_a_read_of_125_registers_takes_as_long_as_the_notes_say(baud, milliseconds):
    whole = Span("holding", 0, 125, ())
    assert answer_bytes(whole) == 255
    assert request_s(SerialSettings(baud), answer_bytes(whole), 10, 0) * 1000 == pytest.approx(milliseconds, abs=0.6)


def test_bits_are_answered_eight_in_a_character():
    assert [answer_bytes(Span("coil", 0, count, ())) for count in (1, 8, 9, 2000)] == [6, 6, 7, 255]


def test_a_pause_longer_than_the_silence_takes_its_place():
    without, short, long = (request_s(USUAL, 7, 0, pause_ms) for pause_ms in (0, 4, 104))
    assert without == short == pytest.approx(15 * 11 / 9600 + 2 * silence_s(USUAL))
    assert long - without == pytest.approx(0.104 - silence_s(USUAL))


def test_the_share_is_what_all_requests_of_all_groups_take(tmp_path):
    drive = _load(tmp_path, DRIVE)
    state, once = drive.groups
    # 9 holding registers; then a coil, and 9 input registers.
    nine, coil = request_s(drive.line, 23, 20, 5), request_s(drive.line, 6, 20, 5)
    assert group_share(drive, state, drive.line) == pytest.approx(nine / 0.5)
    assert group_share(drive, once, drive.line) == pytest.approx((nine + coil) / 10)
    assert share(drive, drive.line) == pytest.approx(nine / 0.5 + (nine + coil) / 10)
    assert share(drive, SerialSettings(115_200)) < share(drive, drive.line)


def test_the_arithmetic_is_told_in_words(tmp_path):
    drive = _load(tmp_path, DRIVE)
    assert explain_group(drive, drive.groups[0], drive.line) == (
        "a read takes 64.5 ms = 8 characters asked + 23 answered, of 1.146 ms at 9600 baud,"
        " + a silence of 4.0 ms + a pause of 5 ms + a latency of 20 ms; 1 read every 500 ms is 13% of the line")
    told = explain(drive, SerialSettings(9600))
    assert "once: the longest read takes" in told
    assert "; 2 reads every 10000 ms are 1% of the line" in told
    assert told.endswith("; together 14% of the line")
