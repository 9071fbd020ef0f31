"""The ports of this room: the machine that is commanded, the way to its registers, and what a procedure is given."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeagent.clock import Clock
from edgeagent.config import ControlTable, MachineTable
from edgeagent.control.remote import Remote
from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardInProcess, RecipeName
from edgeagent.model.callers import Caller
from edgeagent.model.events import Event
from edgeagent.model.functions.machines import MachineStatus
from edgeagent.model.machine import Machine
from edgeagent.model.samples import MeasuredValue, Row
from edgeagent.store import Archive
from edgeagent.store.journal import Kept

Written = float | str
"""What is written to a point: a number in the point's unit, 0 or 1 for a bit, or a text."""

Value = float | bool | str | None
"""What a point says: a number in its unit, true or false, a text; None where it says nothing that is good."""


Allows = Callable[[], None]
"""Raises where a write must not go out."""

AsNow = Callable[[Caller], Caller]
"""Gives a caller with what it may at this moment; one who may nothing any more is not authenticated."""


class Report(Protocol):
    """Tells an alarm of the agent itself at some machines."""

    def __call__(
        self, part: str, code: str, fault: str | None, severity: str = "fault", machines: Sequence[str] | None = None,
        by: str | None = None,
    ) -> None:  # fmt: skip
        """Say in words what is wrong, again and again if need be, or with None that it is over, and who ended it."""


class Reach(Protocol):
    """The way to a machine's registers, whatever source each is at."""

    async def write(self, path: str, value: Written, allows: Allows) -> None:
        """Write one point, ahead of what is read.

        Args:
            allows: asked when the turn on the wire has come, just before it goes out.

        Raises:
            MachineError: it was not written, or nobody knows whether it was.
            ValueError: the point has no such register or cannot hold the value.
            Whatever `allows` raises: nothing was sent.
        """

    async def refresh(self, paths: Sequence[str]) -> None:
        """Read the groups of these points anew; the machine's row holds what was read when this returns.

        Raises:
            MachineError: they could not be read.
        """

    def why_not(self, path: str) -> str | None:
        """Say why a point cannot be written by the way that the agent has to it; None where it can."""


class CommandedMachine(Protocol):
    """One machine as a command sees it; on the event loop, and only `next_beat` waits."""

    @property
    def machine(self) -> Machine:
        """What does not change: points, map, id."""

    @property
    def row(self) -> Row:
        """All values as they stand now."""

    def status(self) -> MachineStatus:
        """State, control, lanes, recipe."""

    def boards(self) -> tuple[BoardInProcess, ...]:
        """The boards in the tunnel, first in first."""

    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that stand."""

    def recipe(self) -> tuple[RecipeName, str | None]:
        """The recipe that runs as last read, and since when."""

    def values(self, objects: Collection[str] | None) -> tuple[MeasuredValue, ...]:
        """Values of some objects, or of all for None; `stale` where they are too old."""

    def switch(self) -> bool | None:
        """The panel's remote switch; None where the map has none or it was not read good for too long."""

    def tell(self, *events: Event, rows: Sequence[Kept] = ()) -> int:
        """Put events into the journal in one transaction with the machine's checkpoint; return the last sequence.

        Args:
            rows: are kept with the events; not without any.
        """

    def turn(self, control: str, by: str, until: str | None) -> None:
        """Tell `Status.ControlChanged` where control was another, note it at the boards, show it in `status`."""

    def remove_board(self, board: str, reason: str, by: str) -> tuple[str, ...]:
        """End a board that somebody took out of the tunnel; return its id, or nothing where it is not inside.

        Its end is in the journal, and on disk with the events of this moment.
        """

    def confirm_empty(self, lane: int | None, reason: str, by: str) -> tuple[str, ...]:
        """Somebody looked into the tunnel, and nothing is in that lane, or in any; return the boards that end so."""

    def expect(self, values: Mapping[str, Written], by: str) -> None:
        """Settings that somebody is about to change over this agent: told with `by`; others are the machine's own."""

    def expect_no_more(self, paths: Collection[str]) -> None:
        """Take back what was expected last of these points: it was surely not written."""

    def recipe_started(self, recipe: RecipeName, by: str) -> None:
        """The machine was given this recipe: known and told from now on, if it does not tell it itself."""

    def hold_ready(self, reason: str | None) -> None:
        """Boards that enter from now on are not `processReady`, for this reason; None ends it."""

    async def next_beat(self) -> None:
        """Wait until the pace-keeping group was read again, or missed."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a procedure is given beside the machine and its parameters.

    Attributes:
        caller: who asks. settings: the machine's table of the configuration. remote: who has control of it.
        archive: everything that is kept, recipes among it.
        rules: the configuration's table of commands.
    """

    caller: Caller
    clock: Clock
    settings: MachineTable
    remote: Remote
    archive: Archive
    rules: ControlTable
