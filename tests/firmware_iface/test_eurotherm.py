"""The simulated controller against the vectors and figures of handbook HA026230."""

import struct

import pytest

from firmware_iface import catalog
from firmware_iface.frames.requests import Requests
from firmware_iface.frames.rtu import framed
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.eurotherm import TemperatureController
from firmware_iface.simulated.faults import FaultError, parse
from firmware_iface.simulated.loop import HIGH, Loop
from firmware_iface.simulated.oven import Oven
from firmware_iface.simulated.recipes import NotSimulated

SCALED = catalog.builtin("eurotherm2000")
IEEE = catalog.builtin("eurotherm2000-ieee")


def controller(target: float = 21.6, temperature: float = 17.8, *faults: str) -> TemperatureController:
    made = TemperatureController(SCALED, loop=Loop(target, temperature))
    for fault in faults:
        made.add_fault(parse(fault))
        made.advance(0.25)
    return made


def told(device: TemperatureController, frame: str) -> str:
    """What unit 2 answers on the line."""
    ((_, pdu),) = Requests([2]).feed(bytes.fromhex(frame))
    answer = device.answer(pdu)
    return framed(b"\x02" + answer).hex(" ").upper() if answer else ""


def integers(device: TemperatureController, address: int, count: int = 1) -> list[int]:
    answer = device.answer(struct.pack(">BHH", 3, address, count))
    return list(struct.unpack(f">{count}H", answer[2:]))


def test_the_handbooks_reading_with_integers_is_answered_byte_by_byte():
    device = controller(22.0, 18.0)
    device.faults.add(parse("decimal-point:0"), 0.0)
    list(device.faults.advance(0.0))
    assert told(device, "02 03 00 01 00 02 95 F8") == "02 03 04 00 12 00 16 E8 F8"


def test_the_handbooks_reading_at_full_resolution_is_answered_byte_by_byte():
    assert told(controller(), "02 03 00 01 00 02 95 F8") == "02 03 04 00 B2 00 D8 69 4E"


def test_the_handbooks_writes_are_taken_and_answered():
    device = controller()
    assert told(device, "02 06 00 02 00 FA A8 7A") == "02 06 00 02 00 FA A8 7A"
    assert device.loop.target == 25.0
    assert told(device, "02 10 00 A4 00 03 06 00 7B 00 96 00 FA 20 71") == "02 10 00 A4 00 03 C1 D8"
    assert device.loop.presets == [12.3, 15.0, 25.0]
    assert device.eeprom_writes == 4


def test_the_handbooks_status_of_a_broken_sensor_in_manual_is_answered():
    device = controller(180.0, 180.0)
    device.answer(struct.pack(">BHH", 6, 273, 1))
    device.loop.set_alarm(0, HIGH)
    device.add_fault(parse("sensor-break"))
    device.advance(0.25)
    assert told(device, "02 07 41 12") == "02 07 30 D2 24"
    assert integers(device, 74, 3) == [0x30, 0x430, 0x06]


def test_the_handbooks_loopback_is_echoed():
    assert told(controller(), "02 08 00 00 12 34 ED 4F") == "02 08 00 00 12 34 ED 4F"


@pytest.mark.parametrize(("request_", "answer"), [
    ("03 8001 0002", "83 02"), ("03 8002 0003", "83 02"), ("06 8004 0000", "86 02"), ("06 0001 0000", "86 02"),
    ("06 0002 7fff", "86 03"), ("03 0001 0000", "83 03"), ("03 0001 00ff", "83 03"), ("03 0001", "83 03"),
    ("01 0000 0001", "81 02"), ("05 0000 ff00", "85 02"), ("08 0001 1234", "88 03"), ("10 0002 0001 03 0000", "90 03"),
    ("10 0001 0001 02 0000", "90 02"), ("06 0003 0064", "86 03"), ("06 0111 0002", "86 03"), ("17 0000", ""),
    ("2b 0e 01 00", ""),
])  # fmt: skip
def test_only_exceptions_2_and_3_exist(request_, answer):
    assert controller().answer(bytes.fromhex(request_)).hex(" ") == answer.replace("  ", " ")


def test_an_unconfigured_parameter_reads_as_anything_and_a_block_write_to_it_is_lost():
    device = controller()
    assert integers(device, 4) != [0]
    assert device.answer(bytes.fromhex("10 0004 0001 02 0007".replace(" ", ""))) == bytes.fromhex("1000040001")
    assert integers(device, 4) != [7]
    assert device.eeprom_writes == 0
    assert device.answer(bytes.fromhex("0600040007")) == bytes.fromhex("8602")


def test_the_ieee_region_holds_floats_high_word_first_and_padded_whole_numbers():
    device = controller(21.6, 17.8)
    assert struct.pack(">4H", *integers(device, 0x8002, 4)) == struct.pack(">ff", 17.8, 21.6)
    assert integers(device, 0x8000 + 2 * 107, 2) == [0x0304, 0x8000]
    wrote = device.answer(b"\x10" + struct.pack(">HHBf", 0x8004, 2, 4, 23.75))
    assert (wrote, device.loop.target) == (bytes.fromhex("1080040002"), 23.75)


def test_the_decimal_point_moves_the_integers_and_not_the_floats():
    device = controller(21.6, 17.8)
    before = integers(device, 0x8004, 2)
    for places, raw in (("0", 22), ("1", 216), ("2", 2160)):
        device.faults.clear()
        device.faults.add(parse(f"decimal-point:{places}"), 0.0)
        list(device.faults.advance(0.0))
        assert integers(device, 2) == [raw]
        assert integers(device, 0x8004, 2) == before


@pytest.mark.parametrize("register_map", [SCALED, IEEE], ids=lambda m: m.id)
def test_a_map_lies_on_the_controller_as_the_handbook_has_it(register_map):
    number = {"temperature": 1, "setpoint": 2, "output": 3, "workingSetpoint": 5, "alarm1Setpoint": 13,
              "alarm2Setpoint": 14, "firmwareCode": 107, "instrumentCode": 122, "customerCode": 629}  # fmt: skip
    bits = {"alarm1": 0, "alarm2": 1, "alarm3": 2, "alarm4": 3, "manual": 4, "sensorBreak": 5, "loopBreak": 6,
            "heaterFail": 7}  # fmt: skip
    for register in register_map.registers:
        name = register.path.rpartition("/")[2]
        if name in bits:
            assert (register.address, register.bit) == (74, bits[name])
        elif register.type == "float32":
            assert register.address == 0x8000 + 2 * number[name]
            assert register.word_order == "big"
        else:
            assert register.address == number[name]


def test_a_cold_loop_comes_to_its_target_and_holds_it():
    device = simulated(SCALED, cold=True)
    assert device.state == "auto"
    device.advance(900)
    readings = []
    for _ in range(120):
        device.advance(1)
        readings.append(integers(device, 1)[0] / 10)
    assert all(abs(celsius - 180) < 2 for celsius in readings)
    assert len(set(readings)) > 3


def test_a_load_that_is_open_is_told_first_as_a_heater_and_then_as_a_loop():
    device = simulated(SCALED)
    device.add_fault(parse("load-open"))
    device.advance(10)
    assert integers(device, 74)[0] & 0xC0 == 0x80
    device.advance(600)
    assert integers(device, 74)[0] & 0xC0 == 0xC0


def test_a_broken_sensor_drives_the_reading_up_and_takes_the_power_away():
    device = simulated(IEEE)
    device.advance(10)
    device.add_fault(parse("sensor-break"))
    device.advance(1)
    assert device.state == "sensorBreak"
    assert integers(device, 1) == [13720]
    assert integers(device, 3) == [0]


def test_words_take_2_to_10_ms_and_blocks_up_to_500():
    device = controller()
    words, blocks = [], []
    for _ in range(200):
        integers(device, 1)
        words.append(device.answer_delay_s)
        integers(device, 1, 125)
        blocks.append(device.answer_delay_s)
    assert 0.002 <= min(words) < max(words) <= 0.010
    assert min(blocks) >= 0.002
    assert 0.1 < max(blocks) <= 0.5


@pytest.mark.parametrize("fault", ["belt-stop", "heater-dead:zone/1/top"])
def test_a_fault_of_an_oven_is_none_of_a_controller(fault):
    with pytest.raises(FaultError, match=r"this device cannot have .*: there are sensor-break, load-open"):
        controller().add_fault(parse(fault))
    with pytest.raises(FaultError, match="this device cannot have sensor-break: there are heater-dead"):
        Oven(catalog.builtin("reflow10")).add_fault(parse("sensor-break"))


def test_a_map_with_an_address_that_the_controller_does_not_have_is_refused(tmp_path):
    text = (catalog._MAPS / "eurotherm2000.toml").read_text().replace("address = 107", "address = 108")
    (tmp_path / "other.toml").write_text(text)
    with pytest.raises(NotSimulated, match="knows nothing of controller/1/firmwareCode"):
        simulated(catalog.load(tmp_path / "other.toml"))
    foreign = text.replace('"Eurotherm"', '"Nobody"').replace("= 108", "= 107")
    (tmp_path / "other.toml").write_text(foreign)
    with pytest.raises(NotSimulated, match="no simulated device speaks this map of kind instrument"):
        simulated(catalog.load(tmp_path / "other.toml"))


def test_what_speaks_text_is_not_simulated_and_says_so():
    with pytest.raises(NotSimulated, match="eurotherm2000-bisynch speaks text"):
        simulated(catalog.builtin("eurotherm2000-bisynch"))
