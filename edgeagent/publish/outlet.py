"""The ports of this room: what it sees of a machine, and what every outlet may ask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from msgspec import Raw

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardInProcess, RecipeName
from edgeagent.model.callers import Caller
from edgeagent.model.events import EventGap
from edgeagent.model.functions.machines import MachineStatus
from edgeagent.model.machine import Machine
from edgeagent.model.samples import MeasuredValue
from edgeagent.model.users import Identity
from edgeagent.publish.cursors import Cursor


class LiveMachine(Protocol):
    """One machine as it stands now; called on the event loop, never waits."""

    @property
    def machine(self) -> Machine:
        """What does not change: points, map, id."""

    def status(self) -> MachineStatus:
        """State, lanes, recipe; state "unknown" while the machine does not answer."""

    def recipe(self) -> tuple[RecipeName, str | None]:
        """The recipe that runs as last read, and when it was first seen to run; None where unknown."""

    def values(self, objects: Collection[str] | None) -> tuple[MeasuredValue, ...]:
        """Values of some objects (names that `machine.points` has), or of all for None."""

    def alarms(self) -> tuple[Alarm, ...]:
        """The alarms that stand."""

    def boards(self) -> tuple[BoardInProcess, ...]:
        """The boards in the tunnel, first in first."""

    def firmware(self) -> str | None:
        """As the machine tells it; None where it does not."""

    def serial_number(self) -> str | None:
        """As configured or as the machine tells it; None where unknown."""


class Subscriptions(Protocol):
    """A connection that events can be pushed to."""

    def authenticate(self, token: str) -> Identity:
        """Let the peer say who it is, from its next call on.

        Raises:
            CommandRefused: unauthenticated, or tooMany after many wrong tokens.
        """

    async def subscribe(
        self, topics: tuple[str, ...], machines: tuple[str, ...] | None, first: int,
        cursor: Cursor | None = None, lost: EventGap | None = None,
    ) -> str:  # fmt: skip
        """Begin a flow of events at sequence `first` once the answer is sent; return its name.

        Args:
            cursor: of the consumer that listens.
            lost: what is told before the first event.

        Raises:
            CommandRefused: tooMany on this connection.
        """

    def unsubscribe(self, subscription: str) -> int | None:
        """End a flow; return the first sequence that it did not come to, None where there is none of that name."""


class Outlet(Protocol):
    """The functions of the agent, for every outlet alike."""

    async def call(self, function: str, parameters: bytes | Raw | None, caller: Caller) -> Any:
        """Call a function of the catalogue.

        Args:
            parameters: JSON of an object (by name) or of an array (by position); None where there are none.

        Returns:
            Anything that msgspec can encode.

        Raises:
            CommandRefused: unknown function, role too low, wrong parameters, or whatever the function refuses.
        """
