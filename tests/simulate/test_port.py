import os
import tty
from pathlib import Path

import pytest

from edgeagent.simulate.port import Port, PortRefused

LINE = (9600, "none", 1)


def test_a_pty_gets_its_name_and_takes_it_away_again(tmp_path):
    name = tmp_path / "tty-oven"
    port = Port(str(name), *LINE)
    assert port.is_pty
    assert name.is_char_device()
    port.close()
    assert not name.is_symlink()


def test_a_pty_outlives_whoever_opens_and_closes_it(tmp_path):
    port = Port(str(tmp_path / "tty"), *LINE)
    for _ in range(3):
        other = os.open(tmp_path / "tty", os.O_RDWR | os.O_NOCTTY)
        os.write(other, b"\x03\x04\r\n")
        assert port.read() == b"\x03\x04\r\n"
        port.write(b"\x11\x13\n")
        assert os.read(other, 100) == b"\x11\x13\n"
        os.close(other)
        assert port.read() == b""
    port.close()


def test_the_link_of_a_simulation_that_was_killed_is_taken_over(tmp_path):
    name = tmp_path / "tty"
    name.symlink_to("/dev/pts/987654")
    port = Port(str(name), *LINE)
    assert name.is_char_device()
    port.close()


def test_a_live_pty_under_the_name_is_left_alone(tmp_path):
    first = Port(str(tmp_path / "tty"), *LINE)
    with pytest.raises(PortRefused, match="belongs to a pty that lives: stop what serves it"):
        Port(str(tmp_path / "tty"), *LINE)
    assert (tmp_path / "tty").is_char_device()
    first.close()


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("/nowhere")])
def test_something_else_under_the_name_is_left_alone(tmp_path, make):
    make(tmp_path / "tty")
    with pytest.raises(PortRefused, match="is something else already: choose another name"):
        Port(str(tmp_path / "tty"), *LINE)
    assert (tmp_path / "tty").is_symlink() or (tmp_path / "tty").exists()


def test_a_name_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(PortRefused, match="cannot be made: No such file or directory; choose another name"):
        Port(str(tmp_path / "no" / "tty"), *LINE)


def test_a_port_that_is_there_is_opened_as_it_is(tmp_path):
    master, slave = os.openpty()
    tty.setraw(master)
    try:
        port = Port(os.ttyname(slave), *LINE)
        assert not port.is_pty
        os.write(master, b"\x00\xff")
        assert port.read() == b"\x00\xff"
        port.close()
        with pytest.raises(PortRefused, match="cannot be opened"):
            Port("/dev/null", *LINE)
    finally:
        os.close(master)
        os.close(slave)


def test_what_nobody_reads_is_lost_and_never_waited_for(tmp_path):
    port = Port(str(tmp_path / "tty"), *LINE)
    for _ in range(1000):
        port.write(bytes(1000))
    port.close()
