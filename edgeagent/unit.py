"""One machine in the running agent: its row and its pipeline, and how beats become events on disk."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edgeagent.capture.pipeline import MemoryUnreadable, Pipeline
from edgeagent.clock import boot_id
from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import RecipeName
from edgeagent.model.events import TOPICS, Event
from edgeagent.model.machine import Judging, Machine
from edgeagent.model.samples import Row, qualities

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edgeagent.acquire.recorder import Recorder
    from edgeagent.clock import Clock
    from edgeagent.config import MachineTable
    from edgeagent.model.boards import BoardInProcess
    from edgeagent.model.functions.machines import MachineStatus
    from edgeagent.model.samples import MeasuredValue
    from edgeagent.store import Checkpoints, Journal
    from edgeagent.store.journal import Kept
    from edgeagent.store.states import States
    from firmware_iface.registers import RegisterMap

_CHECKPOINT_NS = 1_000_000_000


class Unit:
    """A machine as the agent runs it and as outlets see it.

    Args:
        telemetry: called with machine id, values and wall time (ns) when values are worth telling.
        recorder: takes when the machine was taken up and when each beat was told.
        states: takes the machine's state at each beat that keeps its pace.
        judged_by: machine and recipe → what its boards are judged by; the configuration's where it says None.
        hears: says whether anybody wants a machine's telemetry, which is not made otherwise; None where somebody does.
        own_alarms: machine → the alarms of the agent itself that stand at it.
    """

    def __init__(
        self, table: MachineTable, maps: tuple[RegisterMap, ...], clock: Clock, journal: Journal,
        checkpoints: Checkpoints, telemetry: Callable[[str, tuple[MeasuredValue, ...], int], None],
        recorder: Recorder | None = None, states: States | None = None,
        hears: Callable[[str], bool] | None = None,
        judged_by: Callable[[str, RecipeName], Judging | None] | None = None,
        own_alarms: Callable[[str], tuple[Alarm, ...]] | None = None,
    ) -> None:  # fmt: skip
        self.machine = Machine.configured(table, maps)
        self.row = Row(len(self.machine.points), len(self.machine.groups))
        self._judged_by = partial(judged_by, self.machine.id) if judged_by else None
        self.pipeline = Pipeline(self.machine, self.row, judged_by=self._judged_by)
        self.resumed = ""
        """How the machine's memory was found at start, in words for the log."""
        self.on_beat: list[Callable[[int], None]] = []
        """Called with the group after each beat, once all else is done."""
        self._clock = clock
        self._journal = journal
        self._checkpoints = checkpoints
        self._telemetry = telemetry
        self._recorder = recorder
        self._states = states
        self._hears = hears
        self._own_alarms = own_alarms or (lambda _: ())
        self._saved_ns = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def resume(self) -> None:
        """Take up where the last checkpoint stands: boards are carried on by the first good beat."""
        saved = await self._checkpoints.load(self.machine.id)
        history = await self._checkpoints.history(self.machine.id, 0) if saved else []
        now, wall = self._clock.moment()
        if self._recorder:
            self._recorder.taken_up(self.machine.id, saved, history, now, wall)
        if saved is None:
            self.resumed = "no earlier state; boards that are inside already will be told as unexpected"
            return
        away_ns = wall - saved.saved_wall_ns
        is_same_boot = bool(saved.boot) and saved.boot == boot_id()
        if is_same_boot:
            away_ns = now - saved.saved_monotonic_ns
        shift = now - saved.saved_monotonic_ns - max(0, away_ns)
        seconds = [body for _, body in history]
        try:
            self.pipeline = Pipeline.restored(self.machine, self.row, saved.body, shift, seconds, self._judged_by)
        except MemoryUnreadable as error:
            self._give_up(saved.body, str(error), now, wall)
            return
        is_known = is_same_boot or (self._clock.trusted and self.pipeline.knew_time)
        if away_ns < 0 or not is_known:
            self.pipeline.doubt_all("how long nobody looked cannot be known")
        if shift:
            self._checkpoints.forget(self.machine.id, 1 << 62)
            for time_ns, second in self.pipeline.history.rows():
                self._checkpoints.record(self.machine.id, time_ns, second)
            self.save()
        since = f"{away_ns / 1e9:.1f} s after" if away_ns >= 0 else "an unknown time (the clock went back) after"
        perhaps = "" if away_ns < 0 or is_known else "perhaps (the clock is not known to be set) "
        self.resumed = f"{len(self.pipeline.boards())} boards inside, {perhaps}{since} the last checkpoint"

    def _give_up(self, checkpoint: bytes, fault: str, now_ns: int, wall_ns: int) -> None:
        """Begin anew, and tell what ends so."""
        self.pipeline = Pipeline(self.machine, self.row, judged_by=self._judged_by)
        reason = f"the agent's earlier state could not be used after a restart: {fault}"
        ended = self.pipeline.give_up(checkpoint, reason, now_ns, wall_ns)
        if ended:
            self._append(ended)
        lost = sum(event.topic == "Board.Lost" for event in ended)
        self.resumed = f"the earlier state cannot be used ({fault}); {lost} boards are told as lost"

    def beat(self, group: int) -> None:
        """A group of the row is new, or was missed: capture, journal, telemetry."""
        now, wall = self._clock.moment()
        if self._recorder:
            self._recorder.beat(self.machine, group, self.row, now, wall)
        events = self.pipeline.keep_time(now, wall, self._clock.trusted) if group == self.machine.pace else []
        events += self.pipeline.feed(group, now, wall)
        if self._states and group == self.machine.pace:
            self._states.see(self.machine.id, self.pipeline.state, now, wall)
        if events:
            self._append(events)
            self._saved_ns = now
        if group == self.machine.pace:
            self._remember(now)
            self._wake()
        if (self._hears is None or self._hears(self.machine.id)) and (values := self.pipeline.telemetry(group)):
            self._telemetry(self.machine.id, tuple(values), wall)
        for heard in self.on_beat:
            heard(group)

    def _append(self, events: Sequence[Event], rows: Sequence[Kept] = ()) -> int:
        return self._journal.append(events, (self.machine.id, self.pipeline.checkpoint()),
                                    "trusted" if self._clock.trusted else "untrusted", rows)

    def _remember(self, now: int) -> None:
        """Write history once a second while boards are inside, a checkpoint also while one is about to enter."""
        second = self.pipeline.second()
        if second:
            self._checkpoints.record(self.machine.id, now, second)
        is_due_soon = self.pipeline.has_boards or self.pipeline.is_approached
        if now - self._saved_ns >= (_CHECKPOINT_NS if is_due_soon else 30 * _CHECKPOINT_NS):
            self._saved_ns = now
            self._checkpoints.save(self.machine.id, self.pipeline.checkpoint())
            self._checkpoints.forget(self.machine.id, self.pipeline.oldest_ns)

    def save(self) -> None:
        """Write the checkpoint now, at a clean end."""
        self._checkpoints.save(self.machine.id, self.pipeline.checkpoint())
        if self._states:
            self._states.keep(self.machine.id)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # As the control room sees it; a recording takes what it tells, and a replay tells it again

    def switch(self) -> bool | None:
        """The panel's switch: whether it allows remote control; None where there is none, or it is not known."""
        return self.pipeline.switch(self._clock.monotonic_ns())

    async def next_beat(self) -> None:
        """Wait until the pace-keeping group was read again, or missed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            if future in self._waiting:
                self._waiting.remove(future)

    def tell(self, *events: Event, rows: Sequence[Kept] = ()) -> int:
        """Put events, and rows that belong to them, into the journal with the checkpoint; return the last sequence."""
        self._direct("tell", [(event.topic, event.time_ns, event.data) for event in events])
        return self._append(events, rows)

    def turn(self, control: str, by: str, until: str | None) -> None:
        """Take over another control state and tell it; nothing where it is the same."""
        now, wall = self._direct("turn", (control, by, until))
        if events := self.pipeline.turn(control, by, until, now, wall):
            self._append(events)

    def expect(self, values: Mapping[str, float | str], by: str) -> None:
        """Tell changes to these values, which somebody is about to write, as that person's."""
        plain = {path: value if isinstance(value, str) else float(value) for path, value in values.items()}
        now, _ = self._direct("expect", (plain, by))
        self.pipeline.expect(plain, by, now)

    def expect_no_more(self, paths: Collection[str]) -> None:
        """Take back what was expected last of these points: it was surely not written."""
        self._direct("expect_no_more", (list(paths),))
        self.pipeline.expect_no_more(paths)

    def recipe_started(self, recipe: RecipeName, by: str) -> None:
        """Know what recipe the machine was given over the agent, and tell it unless the machine told it already."""
        now, wall = self._direct("recipe_started", (recipe.name, recipe.version, by))
        if events := self.pipeline.start_recipe(recipe, by, now, wall):
            self._append(events)

    def hold_ready(self, reason: str | None) -> None:
        """Boards that enter from now on are not ready for processing, for this reason; None ends it."""
        self._direct("hold_ready", (reason,))
        self.pipeline.hold_ready(reason or "")

    def remove_board(self, board: str, reason: str, by: str) -> tuple[str, ...]:
        """End a board that somebody took out of the tunnel; return its id, or nothing where it is not inside."""
        place = self.pipeline.place_of(board)
        return self.book_out(*place, reason, by) if place else ()

    def confirm_empty(self, lane: int | None, reason: str, by: str) -> tuple[str, ...]:
        """Somebody looked into the tunnel, and nothing is in that lane, or in any; return the boards that end so."""
        return self.book_out(lane, None, reason, by)

    def book_out(self, lane: int | None, number: int | None, reason: str, by: str) -> tuple[str, ...]:
        """End boards as `Pipeline.book_out` does, into the journal with the checkpoint; return their ids."""
        now, wall = self._direct("book_out", (lane, number, reason, by))
        events = self.pipeline.book_out(lane, number, reason, by, now, wall)
        self._append(events)
        self._saved_ns = now
        return tuple(event.record.id for event in events if event.record)

    def directed(self, said: str, arguments: bytes) -> None:
        """Do again what the control room told once, as a recording has it.

        Raises:
            KeyError: a board that is booked out is not inside.
        """
        told = msgspec.json.decode(arguments)
        if said == "tell":
            self.tell(*(Event(topic, time_ns, self.machine.id, msgspec.convert(data, TOPICS[topic].data))
                        for topic, time_ns, data in told))  # fmt: skip
        elif said == "turn":
            self.turn(*told)
        elif said == "expect":
            self.expect(*told)
        elif said == "expect_no_more":
            self.expect_no_more(*told)
        elif said == "recipe_started":
            name, version, by = told
            self.recipe_started(RecipeName(name, version), by)
        elif said == "hold_ready":
            self.hold_ready(*told)
        elif said == "book_out":
            self.book_out(*told)

    def _direct(self, said: str, arguments: object) -> tuple[int, int]:
        """Record what the control room tells; return the moment, monotonic and on the wall."""
        now, wall = self._clock.moment()
        if self._recorder:
            self._recorder.directed(self.machine.id, said, msgspec.json.encode(arguments), now, wall)
        return now, wall

    # As outlets see it

    def status(self) -> MachineStatus:
        """State, control, lanes and recipe."""
        status = self.pipeline.status(self._clock.monotonic_ns())
        own = len(self._own_alarms(self.machine.id))
        return msgspec.structs.replace(status, alarms=status.alarms + own) if own else status

    def recipe(self) -> tuple[RecipeName, str | None]:
        """The recipe that runs as last read, and since when."""
        return self.pipeline.recipe()

    def values(self, objects: Collection[str] | None) -> tuple[MeasuredValue, ...]:
        """Values with quality and time; of all objects for None."""
        return self.pipeline.values(objects, self._clock.monotonic_ns())

    def recent(self, since_ns: int) -> tuple[Sequence[int], Sequence[float], Sequence[int], int]:
        """The rows of the last minutes, from a wall time on; see `Pipeline.recent`, but for the times: wall ns."""
        shift = self._clock.wall_ns() - self._clock.monotonic_ns()
        times, values, quality, width = self.pipeline.recent(since_ns - shift)
        return [time + shift for time in times], values, quality, width

    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that stand, and then those of the agent itself."""
        return self.pipeline.alarms() + self._own_alarms(self.machine.id)

    def boards(self) -> tuple[BoardInProcess, ...]:
        """The boards inside."""
        return self.pipeline.boards()

    def fault(self) -> str | None:
        """Say that the machine does not answer, or None."""
        return None if self.status().connected else "does not answer"

    def qualities(self) -> tuple[int, int, int, int]:
        """How many values are good, uncertain, stale and bad now."""
        return qualities(self.machine, self.row, self._clock.monotonic_ns())

    def firmware(self) -> str | None:
        """Firmware as the machine tells it."""
        return self.pipeline.text(self.machine.map.firmware)

    def serial_number(self) -> str | None:
        """Serial number as configured, or as the machine tells it."""
        return self.machine.serial_number or self.pipeline.text(self.machine.map.serial)
