"""The simulated instruments say what the makers' documents show, and what the shipped maps understand."""

from firmware_iface import catalog
from firmware_iface.frames.bisynch import request
from firmware_iface.frames.text_line import Lines, Phrases
from firmware_iface.simulated.text_instruments import BisynchController, PolledAnalyser, StreamingSensor


def understood(name: str, said: bytes) -> list[dict[int, float]]:
    phrases = Phrases(catalog.builtin(name).instrument, "1")
    return [phrases.understand(line).values for line in Lines(120).feed(said)]


def test_the_controller_answers_as_the_handbook_shows():
    controller = BisynchController(1)
    controller.parameters["PV"] = "16.4"
    question = bytes.fromhex("04 30 30 31 31 50 56 05")
    assert controller.hear(question) == bytes.fromhex("02 50 56 31 36 2E 34 03 18")
    assert [controller.hear(question[at:at + 1]) for at in range(8)][-1] == bytes.fromhex("0250563136 2E340318")


def test_the_controller_answers_its_own_questions_only():
    controller = BisynchController(12)
    assert controller.hear(request(21, "PV")) == b""
    assert controller.hear(b"\x04\xff\x0411" + request(12, "XX")) == b"\x04"
    assert controller.hear(b"\x04" * 1000 + request(12, "PV")).startswith(b"\x02PV")


def test_the_analyser_says_what_its_manual_shows():
    analyser = PolledAnalyser()
    analyser.oxygen_ppm, analyser.cell_millivolt, analyser.pressure_bar = 295_900.0, -14.26, 2.0
    assert analyser.hear(b"D") == b"d2.959E+05,-1.426E+01,2.000E+00,,23:19:40,14/01/00,,,ALM1&2,0\r\n"
    analyser.has_gaps, analyser.cell_millivolt, analyser.pressure_bar = False, 14.26, 0.002
    assert analyser.hear(b"D") == b"d2.959E+05,1.426E+01,2.000E-03,23:19:40,14/01/00,ALM1&2,0\r\n"
    assert understood("oxygen-rapidox1100", analyser.hear(b"D")) == [{0: 295_900.0, 4: 14.26, 8: 0.002}]
    analyser.not_ready = "Sensor heating"
    assert analyser.hear(b"D") == b"!Sensor heating\r\n"
    assert understood("oxygen-rapidox1100", analyser.hear(b"DD")) == [{}, {}]
    assert analyser.hear(b"?") == b""


def test_the_sensor_streams_until_it_is_told_to_wait():
    sensor = StreamingSensor()
    sensor.oxygen_percent, sensor.partial_mbar = 21.05, 213.5
    assert sensor.second() == b"O 0213.5 T +24.3 P 1013 % 021.05 e 0000\r\n"
    assert understood("oxygen-luminox", sensor.second()) == [{0: 21.05, 4: 213.5, 8: 1013.0, 12: 24.3}]
    assert sensor.hear(b"A\r\n") == b"E 02\r\n", "it streams"
    assert sensor.hear(b"M 1") + sensor.hear(b"\r\n") == b"M 01\r\n"
    assert sensor.second() == b""
    assert sensor.hear(b"A\r\n").startswith(b"O 0213.5")
    sensor.status = 1
    assert understood("oxygen-luminox", sensor.hear(b"A\r\n")) == [{}]
