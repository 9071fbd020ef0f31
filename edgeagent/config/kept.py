"""The tables of the configuration file on what is kept: how much, for how long, and room on its disk."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from edgeagent.config.table import Table

Days = Annotated[int, Meta(ge=0, le=36_500, description="how long it is kept; 0 for ever")]
Megabytes = Annotated[int, Meta(ge=0, le=100_000_000, description="how much of it is kept; 0 for no limit")]


class EventsKept(Table, frozen=True):
    """Events but those of boards and alarms."""

    days: Days = 90
    megabytes: Megabytes = 1000


class AlarmsKept(Table, frozen=True):
    """Alarms and their events; one that stands is always kept."""

    days: Days = 1095
    megabytes: Megabytes = 500


class BoardsKept(Table, frozen=True):
    """Board records and the events of boards; a record that no consumer has acknowledged is always kept."""

    days: Days = 3650
    megabytes: Megabytes = 0


class TracesKept(Table, frozen=True):
    """The traces of boards."""

    days: Days = 90
    megabytes: Megabytes = 4000


class JobsKept(Table, frozen=True):
    """Commands that ended."""

    days: Days = 365
    megabytes: Megabytes = 200


class CountersKept(Table, frozen=True):
    """How boards ended and how long machines were in a state, which Production.GetCounters counts."""

    days: Days = 3650


class AuditKept(Table, frozen=True):
    """The audit record, which is never deleted by the agent."""

    megabytes: Annotated[
        int, Meta(ge=0, le=100_000_000, description="what is told as a fault when the record is larger; 0 never")
    ] = 2000


class RetentionTable(Table, frozen=True):
    """How long what is kept is kept, and how much of it; the oldest goes."""

    events: EventsKept = EventsKept()
    alarms: AlarmsKept = AlarmsKept()
    boards: BoardsKept = BoardsKept()
    traces: TracesKept = TracesKept()
    jobs: JobsKept = JobsKept()
    counters: CountersKept = CountersKept()
    audit: AuditKept = AuditKept()


class StoreTable(Table, frozen=True):
    """How large the store may become, and room on its disk."""

    megabytes: Annotated[
        int,
        Meta(ge=0, le=100_000_000, description="of all that is kept; boards and alarms go last; 0 for no limit"),
    ] = 20_000
    consumer_days: Annotated[
        int,
        Meta(ge=0, le=3650, description="a consumer not seen for so long holds back nothing of what is to be deleted"),
    ] = 14
    retention: RetentionTable = RetentionTable()
    free_megabytes: Annotated[
        int, Meta(ge=0, le=1_000_000, description="where less is free an alarm tells it; 0: never")
    ] = 200
    reserve_megabytes: Annotated[
        int, Meta(ge=0, le=1024, description="kept for the alarm and the last events of a full disk; 0: nothing")
    ] = 4
