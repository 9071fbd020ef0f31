"""A tunnel of the ten-zone oven without physics: rows by hand, boards as lengths on a belt, barriers to the mm."""

from __future__ import annotations

from edgeagent.capture.lane import JudgedBy
from edgeagent.capture.pipeline import Pipeline
from edgeagent.model.events import Event
from edgeagent.model.machine import Limit, Machine, ProcessWindow
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import catalog

START_NS = 1_000_000_000_000
WALL_NS = 1_790_000_000_000_000_000
BEAT_NS = 100_000_000
SETPOINTS = {zone: 150.0 + 10 * zone for zone in range(1, 11)} | {11: 60.0, 12: 60.0}

WINDOW = ProcessWindow(peak=Limit(200, 300), time_above_liquidus=Limit(10, 200), soak=Limit(10, 200),
                       max_rise=Limit(0, 6), max_fall=Limit(-6, 0))


def machine(**more: object) -> Machine:
    return Machine("RO0001", (catalog.builtin("reflow10"),), "SN1", WINDOW, **more)


class Tunnel:
    """Feeds a pipeline beat by beat; `speed` in cm/min is what the encoder says, `slip` is true travel over that."""

    def __init__(
        self, speed: float = 78.0, the_machine: Machine | None = None, judged_by: JudgedBy | None = None
    ) -> None:
        self.machine = the_machine or machine()
        self.outlet_mm = self.machine.map.lanes[0].outlet_mm
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self.pipeline = Pipeline(self.machine, self.row, judged_by=judged_by)
        self.speed = speed
        self.slip = 1.0
        self.boards: list[list[float]] = []
        self.now_ns = START_NS
        self.set_s = 0.0
        """By how much somebody has set the clock."""
        self.events: list[Event] = []
        self.downstream_ready = True
        self.flicker: dict[str, list[bool]] = {}
        self.silent = ""
        for point in self.machine.points:
            self.row.quality[point.index] = Quality.GOOD
            self.row.values[point.index] = 0.0
            if point.is_text:
                self.row.texts[point.index] = ""
        self.settle()
        self.set("machine/state", 6)
        self.set("conveyor/1/speedSetpoint", speed)
        self.row.texts[self.machine.column["recipe/name"]] = "SAC305-A"
        self.set("recipe/version", 3)
        for group in range(len(self.machine.groups)):
            self._stamp(group)
        for group in range(1, len(self.machine.groups)):
            self.events += self.pipeline.feed(group, self.now_ns, self._wall())

    def settle(self) -> None:
        """Every zone at its setpoint."""
        for zone, setpoint in SETPOINTS.items():
            for side in ("top", "bottom"):
                self.set(f"zone/{zone}/{side}/temperature", setpoint)
                self.set(f"zone/{zone}/{side}/setpoint", setpoint)
        self.set("oxygen/1/concentration", 600)
        self.set("oxygen/1/setpoint", 600)
        self.set("oxygen/1/limit", 1000)

    def set(self, path: str, value: float) -> None:
        self.row.values[self.machine.column[path]] = value
        self.row.quality[self.machine.column[path]] = Quality.GOOD

    def good(self, path: str, good: bool) -> None:
        self.row.quality[self.machine.column[path]] = Quality.GOOD if good else Quality.BAD

    def insert(self, length: float = 180.0) -> None:
        """A board whose leading edge stands 1 mm before the inlet."""
        self.boards.append([-1.0, length])

    def run(self, seconds: float) -> list[Event]:
        """Feed that many seconds of beats; returns the events they made."""
        made: list[Event] = []
        for _ in range(round(seconds * 10)):
            made += self.beat()
        return made

    def beat_without(self, path: str) -> list[Event]:
        """A beat in which one point has no value."""
        self.silent = path
        made = self.beat()
        self.silent = ""
        return made

    def beat(self) -> list[Event]:
        self.now_ns += BEAT_NS
        self._move(BEAT_NS)
        self.set("conveyor/1/speed", self.speed)
        self.set("lane/1/inlet", self._level("inlet", 0.0))
        self.set("lane/1/outlet", self._level("outlet", self.outlet_mm))
        self.set("lane/1/downstreamReady", self.downstream_ready)
        if self.silent:
            self.set(self.silent, float("nan"))
            self.good(self.silent, False)
        self._stamp(0)
        return self._feed(0)

    def miss(self, seconds: float) -> list[Event]:
        """The device is silent: boards move on, beats are missed."""
        made: list[Event] = []
        motion = [p.index for p in self.machine.points if p.group == 0]
        for _ in range(round(seconds * 10)):
            self.now_ns += BEAT_NS
            self._move(BEAT_NS)
            for column in motion:
                self.row.quality[column] = Quality.BAD
                self.row.values[column] = float("nan")
            made += self._feed(0)
        self.good("machine/state", True)
        self.set("machine/state", 6)
        self.set("machine/emergencyStop", 0)
        self.set("machine/remote", 0)
        return made

    def away(self, seconds: float) -> None:
        """Nobody looks: boards move on, no beat at all."""
        self.now_ns += round(seconds * 1e9)
        self._move(round(seconds * 1e9))

    def feed(self, group: str) -> list[Event]:
        """A beat of another read group, as the row stands now."""
        index = next(g.index for g in self.machine.groups if g.name == group)
        self._stamp(index)
        return self._feed(index)

    def book_out(self, board: str | None = None, reason: str = "taken out", by: str = "anna") -> list[Event]:
        """Somebody took a board out, or without one found the tunnel empty; the events that this makes."""
        place = self.pipeline.place_of(board) if board else (None, None)
        made = self.pipeline.book_out(*place, reason, by, self.now_ns, self._wall())
        self.events += made
        return made

    def restart(self, shift_ns: int = 0, seconds: list[bytes] | None = None) -> None:
        """The agent is started again from its checkpoint; with a shift, on another boot of the computer."""
        checkpoint = self.pipeline.checkpoint()
        rows = [row for _, row in self.pipeline.history.rows()] if seconds is None else seconds
        self.now_ns += shift_ns
        self.pipeline = Pipeline.restored(self.machine, self.row, checkpoint, shift_ns, rows)

    def topics(self, events: list[Event] | None = None) -> list[str]:
        return [event.topic for event in (self.events if events is None else events)]

    def only(self, topic: str) -> list[Event]:
        return [event for event in self.events if event.topic == topic]

    def _feed(self, group: int) -> list[Event]:
        made = self.pipeline.feed(group, self.now_ns, self._wall())
        self.pipeline.second()
        self.events += made
        return made

    def _wall(self) -> int:
        return WALL_NS + self.now_ns - START_NS + round(self.set_s * 1e9)

    def _stamp(self, group: int) -> None:
        self.row.times[group], self.row.stamps[group] = self.now_ns, self._wall()

    def _move(self, ns: int) -> None:
        travel = self.speed / 6 * self.slip * ns / 1e9
        ahead = float("inf")
        for board in self.boards:
            place = board[0] + travel
            if not self.downstream_ready:
                place = min(place, max(board[0], self.outlet_mm + 5.0 if ahead == float("inf") else ahead))
            board[0] = place
            ahead = place - board[1]
        self.boards = [b for b in self.boards if b[0] - b[1] < self.outlet_mm + 50]

    def _level(self, barrier: str, place: float) -> bool:
        flicker = self.flicker.get(barrier)
        if flicker:
            return flicker.pop(0)
        return any(lead >= place > lead - length for lead, length in self.boards)
