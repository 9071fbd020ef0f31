"""Simulated instruments that speak text, served and read from the command line."""

import json
import signal
import subprocess

import pytest
import serial

from firmware_iface.frames import bisynch
from tests.test_cli import EDGEAGENT, edgeagent

LINES = {
    "eurotherm2000-bisynch": "data_bits = 7\nmaster = true",
    "oxygen-rapidox1100": 'parity = "none"\nmaster = true',
    "oxygen-luminox": 'parity = "none"',
}
"""Map → how its line is configured."""


@pytest.fixture
def serve(tmp_path):
    """Start a simulation on a pty; its port, once it can be used."""
    served = []

    def start(number, *maps, parity="none"):
        port = tmp_path / f"tty-{number}"
        words = [word for name in maps for word in ("--map", name)]
        command = [*EDGEAGENT, "simulate", "--serial", port, "--baud", "9600", "--parity", parity, *words]
        served.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        told = served[-1].stdout.readline()
        return port, told

    yield start
    for process in served:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == ""
        assert process.returncode == 0


def test_instruments_are_simulated_and_checked_from_the_command_line(tmp_path, serve):
    lines = sources = ""
    for number, (name, line) in enumerate(LINES.items()):
        port, _ = serve(number, name)
        lines += f'[[lines]]\nid = "line{number}"\nport = "{port}"\nbaud = 9600\n{line}\n'
        sources += f'[[machines.sources]]\nkind = "serial-instrument"\nmap = "{name}"\nline = "line{number}"\n'
    (tmp_path / "agent.toml").write_text(
        f'{lines}[[machines]]\nid = "M1"\n{sources}rename = {{ "analyser/1" = "analyser/2" }}\n')
    ended = edgeagent("check", "agent.toml", "--live", "--json", "--seconds", "2.5", cwd=tmp_path)
    points = {one["point"]: one for one in map(json.loads, ended.stdout.splitlines())}
    assert ended.returncode == 0, ended.stderr
    assert points["controller/1/temperature"]["value"] == 183.4
    assert points["analyser/1/concentration"]["value"] == 812.5
    assert points["analyser/2/concentration"]["value"] == 209_500
    assert "no question of a master" not in ended.stderr, "a line of text is not listened to for Modbus"


def test_bisynch_units_share_a_line_at_its_speed(serve):
    port, told = serve(1, "eurotherm2000-bisynch:4", "eurotherm2000-bisynch:12", parity="even")
    assert told == (f"simulated eurotherm2000-bisynch as unit 4, eurotherm2000-bisynch as unit 12 on {port}"
                    " at 9600 7E1\n")  # fmt: skip
    with serial.Serial(str(port), 9600, timeout=2) as line:
        for unit in (4, 12):
            line.write(bisynch.request(unit, "PV"))
            assert line.read(10) == bisynch.framed("PV", "183.4")
        line.timeout = 0.3
        line.write(bisynch.request(5, "PV"))
        assert line.read(10) == b""


@pytest.mark.parametrize(("options", "reason"), [
    (["--map", "oxygen-luminox"], "--serial: an instrument that speaks text needs a line"),
    (["--map", "oxygen-luminox", "--serial", "x", "--fault", "silent"], "--fault: an instrument that speaks text"),
    (["--map", "oxygen-luminox", "--map", "reflow10:2", "--serial", "x"], "only EI-Bisynch units, can share a line"),
    (["--map", "eurotherm2000-bisynch:100", "--serial", "x"], "unit 100: EI-Bisynch has the addresses 1 to 99"),
])  # fmt: skip
def test_what_no_line_of_text_can_be_is_refused(tmp_path, options, reason):
    ended = edgeagent("simulate", *options, cwd=tmp_path)
    assert ended.returncode == 78
    assert reason in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
