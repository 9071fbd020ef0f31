"""Boards, events and an open store for the tests of the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from edgeagent.clock import iso
from edgeagent.model.boards import (
    Barcode,
    BoardRecord,
    BoardTrace,
    ConveyorRecord,
    InsideRecord,
    MachineName,
    ProfileRecord,
    RecipeName,
    SampleRecord,
    Verdict,
)
from edgeagent.model.commands import Job, JobState, JobStep
from edgeagent.model.events import BarcodeRead, BoardUnexpected, Event, ProcessCompleted
from edgeagent.store import Database

T = TypeVar("T")
NOON = 1_795_262_400_000_000_000


def with_store(path: Path, use: Callable[[Database], Awaitable[T]], retry_s: float = 0.01) -> T:
    async def main() -> T:
        database = Database(path, retry_s)
        database.open()
        try:
            return await use(database)
        finally:
            database.close()

    return asyncio.run(main())


def board(
    id: str,  # noqa: A002
    entered_ns: int = NOON,
    codes: tuple[str, ...] = (),
    recipe: str | None = "SAC305-A",
    process: str = "pass",
    machine: str = "RO0001",
) -> BoardRecord:
    return BoardRecord(
        id=id, barcodes=tuple(Barcode(code) for code in codes), machine=MachineName(machine, None, "reflow10", "f0"),
        agent="0.1.0", lane=1, side=None, pass_=1, order=None, operator=None, length_mm=180.0, identity="certain",
        recipe=RecipeName(recipe, 3), entered_at=iso(entered_ns), exited_at=iso(entered_ns + 300_000_000_000),
        utc_offset="+01:00", process_ready=True,
        conveyor=ConveyorRecord("cm/min", 70.0, 70.1, 69.8, 70.3, "good"), oxygen=(), zones=(),
        profile=ProfileRecord("nominal", None, 240.8, 78.2, 98.4, 2.17, -1.57, None, ()),
        while_inside=InsideRecord(), samples=SampleRecord(3200, 3200, 0, 0.0), verdict=Verdict(process, "unknown", ()),
    )  # fmt: skip


def job(
    id: str = "j1",  # noqa: A002
    accepted_ns: int = NOON, state: JobState = "running", machine: str = "RO0001",
) -> Job:  # fmt: skip
    step = JobStep("3 of 24 setpoints written", iso(accepted_ns), None)
    return Job(id=id, function="Recipe.Start", machine=machine, request_id="r1", by="mes", state=state, steps=(step,),
               accepted_at=iso(accepted_ns))  # fmt: skip


def left(record: BoardRecord, trace: BoardTrace | None = None) -> Event:
    return Event("Board.ProcessCompleted", NOON, record.machine.id, ProcessCompleted(record), record, trace)


def scanned(code: str, machine: str = "RO0001") -> Event:
    return Event("Board.BarcodeRead", NOON, machine, BarcodeRead(code, "read", 1, "scanner/1", 0.0))


def unexpected(machine: str = "RO0001") -> Event:
    return Event("Board.Unexpected", NOON, machine, BoardUnexpected(1, 0.0, "nobody saw it enter"))
