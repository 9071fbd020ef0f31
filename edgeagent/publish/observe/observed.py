"""What is looked at: the parts of a running agent that metrics and support are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgeagent.durations import Durations
from edgeagent.loop_lag import LoopLag
from edgeagent.publish.outlet import LiveMachine
from edgeagent.publish.tally import Tally
from edgeagent.store.audit import Audit
from edgeagent.store.database import Database
from edgeagent.store.journal import Journal
from edgeagent.store.retention import Retention


class ObservedMachine(LiveMachine, Protocol):
    """A machine that counts its values."""

    def qualities(self) -> tuple[int, int, int, int]:
        """How many values are good, uncertain, stale and bad now."""


class ObservedReader(Protocol):
    """What keeps the beat of one source."""

    name: str
    errors: Counter[str]
    writes: Counter[str]
    skipped: int
    lateness: Durations

    @property
    def reads(self) -> int:
        """Answers so far."""

    @property
    def durations(self) -> Durations | None:
        """How long reading took; None where nobody is asked."""


class ObservedLoad(Protocol):
    """What the OPC UA process has to do."""

    @property
    def sessions(self) -> int:
        """Clients that said who they are."""

    @property
    def items(self) -> int:
        """Monitored items."""

    @property
    def resident_bytes(self) -> int:
        """Its memory."""


class ObservedProcess(Protocol):
    """The OPC UA process."""

    @property
    def load(self) -> ObservedLoad:
        """As it said last."""

    @property
    def restarts(self) -> int:
        """How often it was started anew."""


class ObservedPush(Protocol):
    """The line to a push target."""

    name: str
    posts: Counter[str]
    delivered: int

    def fault(self) -> str | None:
        """Why it is stopped; None where it is not."""

    def set_aside(self) -> Sequence[object]:
        """The events that are set aside."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The parts of one agent; all are read on the event loop.

    Attributes:
        readers: machine id and reader.
        transports: name → how many connections and subscriptions there are.
        consumers: name and lag, in events, of each reader whose place is kept.
        audit: None where no record is kept. retention: None where nothing is deleted. opcua: None where it is not
            served.
    """

    machines: Sequence[ObservedMachine]
    readers: Sequence[tuple[str, ObservedReader]]
    database: Database
    journal: Journal
    tally: Tally
    transports: Mapping[str, Callable[[], tuple[int, int]]]
    loop_lag: LoopLag
    consumers: Callable[[], Iterable[tuple[str, int]]] = tuple
    audit: Audit | None = None
    pushes: Sequence[ObservedPush] = ()
    retention: Retention | None = None
    opcua: ObservedProcess | None = None
