"""Every event that the agent tells: its topic, its data, and whether it is kept until delivered."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import Barcode, BoardEntered, BoardRecord, BoardTrace
from edgeagent.model.samples import MeasuredValue
from edgeagent.model.terms import ControlTerm, OutcomeTerm, ScanTerm, StateTerm


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    pass


class ConfigurationChanged(_Data, frozen=True):
    """Software, machine configuration or a parameter outside of the recipe changed, or the computer's clock was set."""

    what: str
    from_: str | float | bool | None = msgspec.field(name="from")
    to: str | float | bool | None
    by: str


class AlarmTold(_Data, frozen=True):
    """An alarm was raised, cleared or acknowledged."""

    alarm: Alarm
    by: str | None = None


class BarcodeRead(_Data, frozen=True):
    """A scanner read a code, or failed to; `missed` counts readings that were overwritten before they were seen."""

    barcode: str | None
    result: ScanTerm
    lane: int
    scanner: str
    position: float
    missed: int = 0


class ProcessStarted(_Data, frozen=True):
    """A board entered."""

    board: BoardEntered


class ProcessCompleted(_Data, frozen=True):
    """A board left; its whole record."""

    board: BoardRecord


class BoardLost(_Data, frozen=True):
    """A board did not come out in time; the record as far as it goes."""

    board: BoardRecord
    reason: str
    by: str | None = None


class BoardUnexpected(_Data, frozen=True):
    """A board came out, or stands inside, that nobody saw enter; the position in mm from the entrance."""

    lane: int
    position: float
    reason: str


class MachineStatusChanged(_Data, frozen=True):
    """The machine state changed."""

    from_: StateTerm = msgspec.field(name="from")
    to: StateTerm
    reason: str


class MachineBlockedChanged(_Data, frozen=True):
    """A lane's outlet is blocked, or free again."""

    blocked: bool
    lane: int
    reason: str


class MachineBusyChanged(_Data, frozen=True):
    """First board in or last board out of the machine."""

    busy: bool
    boards: int


class LaneBusyChanged(_Data, frozen=True):
    """First board in or last board out of one lane."""

    busy: bool
    lane: int
    boards: int


class MeasuredValueChanged(_Data, frozen=True):
    """Values that moved by more than their deadband, or whose longest silence passed."""

    values: tuple[MeasuredValue, ...]


class ControlChanged(_Data, frozen=True):
    """Control is local, remote or offline."""

    from_: ControlTerm = msgspec.field(name="from")
    to: ControlTerm
    by: str
    until: str | None = None


class RecipeStarted(_Data, frozen=True):
    """Another recipe is active."""

    recipe: str | None
    version: int | None
    previous: str | None
    by: str


class SettingChange(_Data, frozen=True):
    """One setpoint of the active recipe."""

    object: str
    name: str
    from_: float | None = msgspec.field(name="from")
    to: float | None
    unit: str | None


class RecipeSettingChanged(_Data, frozen=True):
    """Setpoints of the active recipe changed on the machine."""

    recipe: str | None
    changes: tuple[SettingChange, ...]
    by: str


class CommandExecuted(_Data, frozen=True):
    """A command ended, or was refused; `reason` says why it ended so, and may be a remark where it is done."""

    job: str
    request_id: str | None
    function: str
    by: str
    outcome: OutcomeTerm
    reason: str | None


class RecipeChanged(_Data, frozen=True):
    """A recipe that the agent keeps was made, changed or deleted; `version` is the newest."""

    recipe: str
    version: int
    by: str


class GapRange(_Data, frozen=True):
    """Wanted events between two numbers that cannot be delivered any more; both ends are among them.

    Attributes:
        count: how many they are; the numbers between them were not wanted, or are told by themselves.
        topics: which they are; empty where the disk lost what they were, and all numbers of the range may have been.
    """

    from_: int = msgspec.field(name="from")
    to: int
    count: int
    topics: tuple[str, ...] = ()


class EventGap(_Data, frozen=True):
    """Wanted events are gone; `lostAfter` of a stream that ended: nobody knows what else it had after this number."""

    stream: str
    ranges: tuple[GapRange, ...]
    lost_after: int | None = None


class Heartbeat(_Data, frozen=True):
    """Nothing happened; the stream stands at `lastSequence`."""

    stream: str
    last_sequence: int


class SubscriptionEnded(_Data, frozen=True):
    """A subscription on this connection ended without being asked to; `consumer` is null for one without."""

    subscription: str
    consumer: str | None
    reason: str


class Topic(NamedTuple):
    """What belongs to one event name."""

    data: type[msgspec.Struct]
    durable: bool
    text: str


TOPICS: dict[str, Topic] = {
    "Configuration.Changed": Topic(ConfigurationChanged, True, "software, configuration or a parameter changed"),
    "Alarm.Raised": Topic(AlarmTold, True, "a new alarm"),
    "Alarm.Cleared": Topic(AlarmTold, True, "an alarm ended"),
    "Alarm.Acknowledged": Topic(AlarmTold, True, "somebody took notice of an alarm"),
    "Board.BarcodeRead": Topic(BarcodeRead, True, "a scanner read a code, or failed to"),
    "Board.ProcessStarted": Topic(ProcessStarted, True, "a board entered"),
    "Board.ProcessCompleted": Topic(ProcessCompleted, True, "a board left: its record"),
    "Board.Lost": Topic(BoardLost, True, "a board did not come out in time"),
    "Board.Unexpected": Topic(BoardUnexpected, True, "a board came out, or stands inside, that nobody saw enter"),
    "Status.MachineStatusChanged": Topic(MachineStatusChanged, True, "the machine state changed"),
    "Status.MachineBlockedChanged": Topic(MachineBlockedChanged, True, "a lane's outlet is blocked, or free again"),
    "Status.MachineBusyChanged": Topic(MachineBusyChanged, True, "first board in, last board out of the machine"),
    "Status.LaneBusyChanged": Topic(LaneBusyChanged, True, "first board in, last board out of one lane"),
    "Status.MeasuredValueChanged": Topic(MeasuredValueChanged, False, "values moved, or their longest silence passed"),
    "Status.ControlChanged": Topic(ControlChanged, True, "local, remote or offline"),
    "Recipe.Started": Topic(RecipeStarted, True, "another recipe is active, whoever started it"),
    "Recipe.SettingChanged": Topic(RecipeSettingChanged, True, "a setpoint of the active recipe changed"),
    "Command.Executed": Topic(CommandExecuted, True, "a command ended, done or refused"),
    "Recipe.Created": Topic(RecipeChanged, True, "a recipe is kept that was not before"),
    "Recipe.Updated": Topic(RecipeChanged, True, "a kept recipe has a new version"),
    "Recipe.Deleted": Topic(RecipeChanged, True, "a kept recipe was deleted"),
    "Event.Gap": Topic(EventGap, False, "wanted events are gone"),
    "Event.Heartbeat": Topic(Heartbeat, False, "nothing happened for a while"),
    "Event.SubscriptionEnded": Topic(SubscriptionEnded, False, "another connection has the consumer, or it is deleted"),
}  # fmt: skip
"""Every event name that this agent sends."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened, not yet written: topic, when (wall ns), where, and what.

    Attributes:
        record, trace: kept in the same transaction as the event, for events that end a board.
    """

    topic: str
    time_ns: int
    machine: str
    data: Any
    record: BoardRecord | None = None
    trace: BoardTrace | None = None


Kind = tuple[str, str]
"""Machine and topic: what a subscription chooses by."""


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event on disk; `body` is the JSON of time, clock, machine and data without the opening brace."""

    sequence: int
    topic: str
    machine: str
    body: bytes


def matches(pattern: str, topic: str) -> bool:
    """Say whether a subscription's topic ("*", "Board.*", "Alarm.Raised") wants an event name."""
    return pattern in ("*", topic) or (pattern.endswith(".*") and topic.startswith(pattern[:-1]))


__all__ = ["TOPICS", "Barcode", "Event", "Kind", "StoredEvent", "Topic", "matches"]
