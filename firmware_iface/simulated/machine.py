"""What every simulated machine is: time, settings and faults, and boards on belts; its heat is its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Mapping
from random import Random
from typing import ClassVar

from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.conveyor import Board, Conveyor, Feel
from firmware_iface.simulated.device import Value
from firmware_iface.simulated.faults import ANY, KINDS, LANE, MACHINE, Fault, FaultError, FaultList
from firmware_iface.simulated.feeding import Schedule
from firmware_iface.simulated.heaters import STEP_S
from firmware_iface.simulated.interlocks import Interlocks
from firmware_iface.simulated.panel import Read
from firmware_iface.simulated.recipes import NotSimulated, Recipe, width_setpoint
from firmware_iface.simulated.sequence import AT_REST, UNHEATED, Sequence
from firmware_iface.simulated.wire import Wire

RESET_SHOWN_S = 5.0
COOLED_BELOW = 60.0
"""°C, where the map does not say it."""

WARM_BELOW = (6.0, 10.0)


class Machine(ABC):
    """A simulated machine as a register map describes it; deterministic from its seed, its time is handed in.

    Attributes:
        time: seconds since it was made.
        settings: setpoints and limits by path.
        remote: what the panel's switch says; the machine only tells it, whoever commands from afar has to obey it.
        wire: what it does with requests.
        refusals: what a fault wanted and could not have, the latest; whoever tells them takes them out.
        warming: setpoints that a ready machine has to settle on again when they are changed.
    """

    OWN: ClassVar[Mapping[str, str | None]] = {}
    """Faults that only this kind of machine can have, with what their argument is."""

    warming: Collection[str] = ()

    def __init__(self, register_map: RegisterMap, recipe: Recipe, seed: int) -> None:
        self.map = register_map
        self.time = 0.0
        self.started_at = 0.0
        self.remote = True
        self.random = Random(seed)  # noqa: S311
        self.recipe = recipe
        self.settings = dict(recipe.settings)
        self.faults = FaultList({**MACHINE, **self.OWN, **ANY})
        self.refusals: deque[str] = deque(maxlen=100)
        self.conveyors = {lane.number: Conveyor(lane, self.settings[lane.speed_setpoint],
                                                self.settings[width_setpoint(lane.number)])
                          for lane in register_map.lanes}  # fmt: skip
        self._sequence = Sequence()
        self.interlocks = Interlocks(self.faults)
        self.wire = Wire(self, {
            "powerOn": self._power_on, "standby": self._sequence.stand_by, "powerOff": self.switch_off,
            "alarmReset": self._reset_alarms, "recipeStart": self._take_recipe,
        })  # fmt: skip
        self.scans: dict[int, tuple[int, int, str]] = {lane.number: (0, 0, "") for lane in register_map.lanes}
        """Lane → count, result, code of the last reading."""
        self._reset_at: float | None = None
        self._step_at = 0.0
        self._boards_made = 0
        self._schedules: list[Schedule] = []
        self._read: dict[str, Read] = {}

    def _panel(self, read: dict[str, Read]) -> None:
        """Take what reads each point; NotSimulated where the map has more."""
        if unknown := [register.path for register in self.map.registers if register.path not in read]:
            raise NotSimulated(f"the simulated machine knows nothing of {', '.join(unknown)}")
        self._read = read

    @property
    def boards(self) -> list[Board]:
        """Boards on all belts; in a lane the first is nearest to the outlet."""
        return [board for conveyor in self.conveyors.values() for board in conveyor.boards]

    @property
    def finished(self) -> list[Board]:
        """The last boards that left."""
        return [board for conveyor in self.conveyors.values() for board in conveyor.finished]

    @property
    def since_step_s(self) -> float:
        """Seconds since the last time step."""
        return self.time - self._step_at

    @property
    def uptime_s(self) -> int:
        """Whole seconds since the controller started; 0 while it starts."""
        return max(0, int(self.time - self.started_at))

    @property
    def is_rebooting(self) -> bool:
        """Whether the controller is starting again: no connection holds."""
        return self.faults.standing("controller-reboot")

    @property
    def is_silent(self) -> bool:
        """Whether nothing is answered."""
        return self.is_rebooting or self.wire.is_silent

    @property
    def was_cut_hot(self) -> bool:
        """Whether it was ever switched off with hot zones, which nothing cools then."""
        return self._sequence.was_cut_hot

    @property
    def is_heating(self) -> bool:
        """Whether the heaters are switched on."""
        return self.state not in UNHEATED

    @property
    def has_reset(self) -> bool:
        """Whether a reset from afar was taken a moment ago."""
        return self._reset_at is not None and self.time - self._reset_at < RESET_SHOWN_S

    @property
    def answer_delay_s(self) -> float:
        """Real seconds by which every answer is late."""
        return self.faults.argument("slow", 0.0) / 1000

    @property
    def state(self) -> str:
        """State of the machine, a key of `panel.STATES`."""
        return "emergencyStop" if self.faults.standing("emergency-stop") else self._sequence.mode

    def advance(self, seconds: float) -> None:
        """Let time go on; what happens does not depend on how it is cut into calls."""
        self.time += seconds
        while self._step_at + STEP_S <= self.time + 1e-9:
            self._step()

    def read(self, path: str) -> Value:
        """Value of a point now; NaN where its sensor has none, KeyError for a path that is not in the map."""
        return self._read[path]()

    def answer(self, request: bytes) -> bytes:
        """Answer a request PDU as the controller does now; empty where a fault swallows the answer."""
        return self.wire.answer(request)

    def write(self, path: str, value: float) -> None:
        """Set a setpoint or limit at the panel; a ready machine is in changeover until it has settled again.

        Raises:
            ValueError: outside its range. KeyError: no such setpoint.
        """
        self._check(path, value)
        if path in self.warming and self.state == "ready" and value != self.settings[path]:
            self._sequence.change_over()
        self.settings[path] = value

    def _check(self, path: str, value: float) -> None:
        if path not in self.settings:
            raise KeyError(path)
        self.wire.check(path, value)

    def start_recipe(self, name: str, version: int, setpoints: Mapping[str, float],
                     belt: float | Mapping[int, float]) -> None:  # fmt: skip
        """Start a recipe at the panel; setpoints by path, belt in cm/min for all lanes or by lane.

        Raises:
            ValueError: the machine does not heat, or a value is out of range; nothing was changed.
            KeyError: no such setpoint.
        """
        if self.state in UNHEATED:
            raise ValueError(f"a recipe starts in a machine that heats, not in state {self.state}")
        belts = belt if isinstance(belt, Mapping) else {lane.number: belt for lane in self.map.lanes}
        settings = {**setpoints, **{self.conveyors[lane].lane.speed_setpoint: speed for lane, speed in belts.items()}}
        for path, value in settings.items():
            self._check(path, value)
        self.settings |= settings
        self.recipe = type(self.recipe)(name, version, dict(self.settings))
        self._sequence.change_over()

    def warm_up(self) -> None:
        """Switch the heaters on at the panel."""
        self._sequence.warm_up()

    def cool_down(self) -> None:
        """Switch the heaters off at the panel; the belt goes on until the machine is cool."""
        self._sequence.cool_down()

    def switch_off(self) -> None:
        """Switch everything off at once, at the panel or from afar, however hot it is."""
        self._sequence.switch_off(is_cool=self._is_cool())

    def reset_alarms(self) -> None:
        """Reset all latches at the panel whose cause is gone."""
        self.interlocks.reset(at_panel=True)

    def _power_on(self) -> None:
        """Nothing happens while an interlock is open."""
        if self.state != "emergencyStop" and self.interlocks.may_start():
            self._sequence.power_on()

    def _reset_alarms(self) -> None:
        self._reset_at = self.time
        self.interlocks.reset(at_panel=False)

    def _take_recipe(self) -> None:
        if self.is_heating:
            self._sequence.change_over()

    def insert_board(self, barcode: str | None = None, length_mm: float = 180.0, tau_s: float = 48.5,
                     lane: int | None = None) -> Board:  # fmt: skip
        """Lay a board before the scanner, whether or not there is room; a barcode of None cannot be read.

        Args:
            lane: number; the first of the map by default.
        """
        lane = self.map.lanes[0].number if lane is None else lane
        conveyor = self.conveyors[lane]
        if conveyor.lane.scanner:
            count = (self.scans[lane][0] + 1) % 65_536
            self.scans[lane] = (count, 2, "") if barcode is None else (count, 1, barcode)
        board = self._board(barcode, length_mm, tau_s, conveyor.start_mm)
        conveyor.lay(board)
        return board

    def schedule(self, interval_s: float, count: int | None = None, lane: int | None = None) -> None:
        """Let boards enter every so many seconds, while the machine is ready and the inlet has room.

        Args:
            lane: number; all lanes in turn by default.
        """
        lanes = [each for each in self.conveyors if lane in (None, each)]
        self._schedules.append(Schedule(lanes, interval_s, count, self.time))

    def add_fault(self, fault: Fault) -> None:
        """Take a fault; one without start begins now.

        Raises:
            FaultError: the machine has no such part, or the fault's time is over.
        """
        kind = KINDS[fault.name]
        parts = {LANE: [lane_name(number) for number in self.conveyors], **self._parts()}.get(kind or "")
        if parts is not None and fault.argument not in parts and not (kind == LANE and fault.argument is None):
            raise FaultError(f"{fault.name}: no {kind} {fault.argument!r}: there are {', '.join(parts)}")
        self.faults.add(fault, self.time)

    @abstractmethod
    def _parts(self) -> Mapping[str, Collection[str]]:
        """Objects that faults can name, by the kind of their argument."""

    @abstractmethod
    def _hottest(self) -> float:
        """Temperature of the hottest zone that has to cool before belt and blowers may stop, °C."""

    @abstractmethod
    def _work(self) -> None:
        """Go on by one time step: belts, heat, and the machine's state."""

    def _step(self) -> None:
        for fault in self.faults.advance(self._step_at):
            self._begin(fault)
        if self.interlocks.advance(is_on=self._sequence.mode not in AT_REST):
            self._sequence.cool_down()
        self._feed()
        self._work()
        self._step_at += STEP_S

    def _board(self, barcode: str | None, length_mm: float, tau_s: float, place_mm: float) -> Board:
        self._boards_made += 1
        ambient = self.map.thermal.ambient_celsius
        return Board(self._boards_made, barcode, length_mm, tau_s, place_mm, ambient, ambient)

    def _begin(self, fault: Fault) -> None:
        first = next(iter(self.conveyors.values()))
        conveyor = next((each for n, each in self.conveyors.items() if lane_name(n) == fault.argument), first)
        if fault.name == "controller-reboot":
            self.started_at = (fault.start_s or 0.0) + (fault.duration_s or 0.0)
            self.wire.orders.clear()
            self._sequence.restart()
        elif fault.name == "board-removed":
            inside = [board for board in conveyor.boards if board.place_mm > conveyor.lane.inlet_mm]
            if inside:
                conveyor.boards.remove(inside[0])
            else:
                self.refusals.append("board-removed: there is no board in the tunnel")
        elif fault.name == "board-appears":
            if (place := conveyor.free_place(180.0)) is not None:
                conveyor.lay(self._board(None, 180.0, self.map.thermal.tau_s, place))
            else:
                self.refusals.append("board-appears: there is no room in the tunnel")

    def _feed(self) -> None:
        for schedule in self._schedules:
            if self.state == "ready" and schedule.is_due(self._step_at):
                lane = schedule.lane(lambda number: self.conveyors[number].has_room() and not self._stands(number))
                if lane is not None:
                    self.insert_board(f"SIM{self._boards_made + 1:06d}", lane=lane)
                    schedule.fed(self._step_at, lane)

    def _stands(self, lane: int) -> bool:
        """Whether a lane's belt is told to stand."""
        return self.faults.standing("belt-stop", lane_name(lane)) or self.state in ("emergencyStop", "off", "standby")

    def _carry(self, feel: Feel) -> int:
        """Move all belts and what lies on them; how many boards entered."""
        slip = self.faults.argument("belt-slip", 1.0)
        entered = 0
        for number, conveyor in self.conveyors.items():
            setpoint = 0.0 if self._stands(number) else self.settings[conveyor.lane.speed_setpoint]
            conveyor.drive(setpoint, slip, self._step_at, self.random)
            conveyor.stop_at(self.faults.standing("outlet-blocked", lane_name(number)))
            entered += len(conveyor.carry(feel, self._step_at))
            if self.state not in ("emergencyStop", "off"):
                conveyor.adjust(self.settings[width_setpoint(number)])
        return entered

    def _is_cool(self) -> bool:
        """Whether it is cold enough to stand by."""
        return self._hottest() < (self.map.power.safe_celsius if self.map.power else COOLED_BELOW)

    def _follow(self, farthest: float, is_fit: bool) -> None:
        """Let the machine's state follow; arguments as of `Sequence.follow`."""
        has_failed = all(map(self._stands, self.conveyors)) or bool(
            self.faults.objects("thermocouple-open") | self.faults.objects("pump-stop")
            or self.faults.standing("air-lost") or self.faults.standing("water-lost"))
        self._sequence.follow(self.state, farthest, is_fit=is_fit, is_cool=self._is_cool(), has_failed=has_failed)


def lane_name(number: int) -> str:
    """A lane as faults name it."""
    return f"lane/{number}"
