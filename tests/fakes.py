"""Parts that implement the agent's ports without a machine."""

from __future__ import annotations

from collections.abc import Collection

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import Barcode, BoardInProcess, RecipeName
from edgeagent.model.functions.machines import LaneStatus, MachineStatus
from edgeagent.model.machine import Machine
from edgeagent.model.samples import MeasuredValue
from firmware_iface.registers import Capture, Device, Group, Lane, Register, RegisterMap, Thermal, Zone

ENTERED = "2026-11-21T21:53:00.123Z"


def register(path: str, address: int, **more: object) -> Register:
    """One holding register with a tenth of a degree."""
    given: dict[str, object] = {
        "path": path, "group": "fast", "kind": "measured", "table": "holding", "address": address, "type": "int16",
        "bit": None, "count": 1, "word_order": "big", "byte_order": "big", "scale": 0.1, "offset": 0.0,
        "not_available": (), "unit": "degC", "low": 0.0, "high": 400.0, "decimals": 1, "deadband": 0.5,
        "silence_s": 60.0, "writable": False, "text": path,
    }  # fmt: skip
    return Register(**(given | more))  # type: ignore[arg-type]


def small_map() -> RegisterMap:
    """A reflow oven of two zones and one lane."""
    zones = tuple(
        Zone(n, "heated", 100.0 + 400 * (n - 1), 400.0, (f"zone/{n}/top/temperature",), (f"zone/{n}/top/setpoint",))
        for n in (1, 2)
    )
    registers = [
        register(f"zone/{n}/top/{name}", 2 * n + k, kind=kind, writable=k == 1)
        for n in (1, 2)
        for k, (name, kind) in enumerate((("temperature", "measured"), ("setpoint", "setpoint")))
    ]
    registers += [
        register("lane/1/speed", 10, unit="cm/min"),
        register("lane/1/inlet", 11, type="bit", bit=0, kind="state", unit=None, decimals=None),
        register("recipe/name", 20, type="text", count=8, kind="state", unit=None, low=None, high=None, decimals=None),
    ]
    lane = Lane(1, 0.0, 1000.0, "lane/1/speed", "lane/1/speed", "lane/1/inlet", "lane/1/inlet", (), 0.0, None)
    return RegisterMap(
        id="small", version="1", title="A small oven", note="", kind="reflow", manufacturer="Nobody", model="Two",
        fingerprint="0badcafe", device=Device(), groups=(Group("fast", 100, 500),), registers=tuple(registers),
        lanes=(lane,), zones=zones, states=(), alarms=(), capture=Capture(), thermal=Thermal(), oxygen=(),
        firmware=None, serial=None, remote=None, recipe_name="recipe/name", recipe_version=None,
    )  # fmt: skip


class FakeMachine:
    """A machine that stands still; its alarms and temperature can be set."""

    def __init__(self, id: str = "RO0001") -> None:  # noqa: A002
        self.machine = Machine(id, (small_map(),))
        self.temperature = 175.4
        self.running = RecipeName("SAC305-A", 3)
        self.standing: tuple[Alarm, ...] = ()

    def switch(self) -> bool | None:
        return None

    def turn(self, control: str, by: str, until: str | None) -> None:
        """Nobody is told."""

    def status(self) -> MachineStatus:
        return MachineStatus(
            machine=self.machine.id, connected=True, state="running", since=ENTERED, reason="boards inside",
            control="local", busy=True, boards=1, lanes=(LaneStatus(1, True, 1, False, None),),
            recipe=RecipeName("SAC305-A", 3), alarms=len(self.standing),
        )  # fmt: skip

    def recipe(self) -> tuple[RecipeName, str | None]:
        return self.running, ENTERED

    def values(self, objects: Collection[str] | None) -> tuple[MeasuredValue, ...]:
        return tuple(
            MeasuredValue(point.object, point.name, self.temperature, point.unit, "good", ENTERED)
            for point in self.machine.points
            if objects is None or point.object in objects
        )

    def alarms(self) -> tuple[Alarm, ...]:
        return self.standing

    def boards(self) -> tuple[BoardInProcess, ...]:
        code, recipe = (Barcode("PCB0001"),), RecipeName("SAC305-A", 3)
        return (BoardInProcess("b1", code, 1, recipe, ENTERED, 412.5, 180.0, "certain", 187.3),)

    def firmware(self) -> str | None:
        return "4.2"

    def serial_number(self) -> str | None:
        return None
