"""A controller that hangs while its network part answers on: its values are old, whatever it says."""

import pytest

from edgeagent.acquire.plan import plan
from edgeagent.model.machine import Machine
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog
from firmware_iface.map_reader import MapError

MAP = """\
[map]
id = "controller"
version = "1"
title = "A controller"
kind = "instrument"
[machine]
manufacturer = "x"
model = "y"
[watchdog]
point = "controller/1/heartbeat"
within_s = 3
[groups.values]
period_ms = 500
[groups.values.points]
"controller/1/temperature" = { table = "input", address = 0, type = "uint16", unit = "degC", not_available = [0xFFFF] }
[groups.slow]
period_ms = 1000
[groups.slow.points]
"controller/1/heartbeat" = { table = "input", address = 9, type = "uint16", kind = "state" }
"""
TEMPERATURE, HEARTBEAT = 0, 1
S = 1_000_000_000


def loaded(tmp_path, text: str = MAP):
    (tmp_path / "map.toml").write_text(text)
    return catalog.load(tmp_path / "map.toml")


class Controller:
    """Read twice a second, its heartbeat once."""

    def __init__(self, tmp_path) -> None:
        machine = Machine("M", (loaded(tmp_path),))
        self.row = Row(2, 2)
        self._values, self._slow = plan(machine, 0, self.row)
        self._half = 2000

    def read(self, seconds: float, beats: bool = True, degrees: int = 100) -> int:
        for _ in range(round(2 * seconds)):
            self._half += 1
            now = self._half * S // 2
            if self._half % 2 == 0:
                beat = self._half // 2 if beats else 7
                self._slow.decode([beat.to_bytes(2, "big")], now, now)
            self._values.decode([degrees.to_bytes(2, "big")], now, now)
        return self.row.quality[TEMPERATURE]


def test_values_are_good_while_the_heartbeat_moves(tmp_path):
    controller = Controller(tmp_path)
    assert controller.read(0.5) == Quality.GOOD, "it is given the time to be seen moving"
    assert controller.read(30) == Quality.GOOD


def test_values_of_a_controller_that_hangs_are_stale_until_it_moves_again(tmp_path):
    controller = Controller(tmp_path)
    controller.read(10)
    assert controller.read(4, beats=False) == Quality.GOOD
    assert controller.read(1, beats=False) == Quality.STALE
    assert controller.row.values[TEMPERATURE] == 100.0, "what it last said can be seen"
    assert controller.read(60, beats=False, degrees=0xFFFF) == Quality.BAD, "no value is not an old value"
    assert controller.read(1.5) == Quality.GOOD


def test_an_outage_is_no_standstill(tmp_path):
    controller = Controller(tmp_path)
    controller.read(10)
    controller._half += 200
    assert controller.read(1) == Quality.GOOD


def test_a_watchdog_that_could_not_be_seen_moving_is_refused(tmp_path):
    with pytest.raises(MapError) as caught:
        loaded(tmp_path, MAP.replace("within_s = 3", "within_s = 1.5"))
    assert [str(fault).split(": ", 1)[1] for fault in caught.value.faults] == [
        "watchdog.within_s: 1.5 s is less than two reads of the group slow, which is read every 1000 ms"
        " (wait longer, or read it more often)"]
    with pytest.raises(MapError, match=r"watchdog\.point"):
        loaded(tmp_path, MAP.replace('point = "controller/1/heartbeat"', 'point = "controller/1/heart"'))
