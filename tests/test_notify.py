"""What systemd is told, over a socket as systemd's own."""

import os
import socket
import time

import pytest

from edgeagent.notify import Notifier


@pytest.fixture
def systemd(tmp_path):
    """A datagram socket where systemd's would be."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_it_tells_systemd_what_the_protocol_says(systemd):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    before = time.monotonic_ns() // 1000
    for tell in (notifier.ready, notifier.alive, notifier.reloading, notifier.stopping):
        tell()
    assert [systemd.recv(1000) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
    first, _, second = systemd.recv(1000).decode().partition("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert systemd.recv(1000) == b"STOPPING=1"
    notifier.close()
    notifier.ready()


def test_a_status_is_one_line_and_told_when_it_is_another_one(systemd):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    for words in ("1 machine:\nRO0001 ready", "1 machine: RO0001 ready", "READY=1\nx" * 1000):
        notifier.status(words)
    notifier.alive()
    assert systemd.recv(9000) == b"STATUS=1 machine: RO0001 ready"
    assert len(long := systemd.recv(9000)) == len("STATUS=") + 500
    assert b"\n" not in long
    assert systemd.recv(9000) == b"WATCHDOG=1"
    notifier.close()


def test_an_address_with_a_leading_at_is_an_abstract_one():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel gives a free abstract address
        listening.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": "@" + listening.getsockname()[1:].decode()})
        notifier.ready()
        assert listening.recv(100) == b"READY=1"
        notifier.close()


@pytest.mark.parametrize(("variables", "watchdog_s"), [
    ({"WATCHDOG_USEC": "30000000"}, 30.0),
    ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
    ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "soon"}, None),
    ({}, None),
])  # fmt: skip
def test_a_watchdog_waits_only_where_systemd_says_so_of_this_process(systemd, variables, watchdog_s):
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname(), **variables})
    assert notifier.watchdog_s == watchdog_s
    notifier.close()


def test_a_socket_that_is_gone_is_a_warning_and_told_again_when_it_is_back(tmp_path, caplog):
    place = str(tmp_path / "notify")
    notifier = Notifier({"NOTIFY_SOCKET": place})
    notifier.status("1 machine: RO0001 ready")
    assert "systemd cannot be told STATUS" in caplog.text
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(place)
        listening.settimeout(5)
        notifier.status("1 machine: RO0001 ready")
        assert listening.recv(100) == b"STATUS=1 machine: RO0001 ready"
    notifier.close()


def test_nobody_is_told_anything_without_systemd():
    notifier = Notifier({"WATCHDOG_USEC": "30000000"})
    notifier.ready()
    notifier.status("well")
    assert notifier.watchdog_s is None
