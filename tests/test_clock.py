"""Whether the clock is set, where the kernel may not be asked."""

import os
import time

import pytest

from edgeagent import clock
from edgeagent._core import kernel
from edgeagent.clock import Clock


@pytest.fixture
def sandbox(monkeypatch, tmp_path):
    """The kernel refuses adjtimex; the file that systemd-timesyncd touches is here."""

    monkeypatch.setattr(kernel, "clock_state", lambda: -1)
    monkeypatch.setattr(clock, "_TIMESYNCD", tmp_path / "synchronized")
    return tmp_path / "synchronized"


def test_a_clock_that_nobody_knows_of_is_not_trusted(sandbox):
    assert not Clock().trusted


def test_a_clock_that_timesyncd_set_lately_is_trusted(sandbox):
    sandbox.touch()
    assert Clock().trusted


def test_a_clock_that_timesyncd_set_long_ago_is_not(sandbox):
    sandbox.touch()
    os.utime(sandbox, times=(time.time() - 7000,) * 2)
    assert not Clock().trusted
