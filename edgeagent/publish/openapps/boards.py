"""Answers about boards: those in the tunnel, and the records of those that left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Raw

from edgeagent.errors import CommandRefused
from edgeagent.model.boards import BoardTrace
from edgeagent.model.functions import OfMachine
from edgeagent.model.functions.boards import BoardsInProcess, BoardsOfMachine, FindBoards, GetBoard, GetTrace
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.outlet import Caller
from edgeagent.store.boards import Boards

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END_NS = (1 << 63) - 1


class BoardAnswers:
    """Board.*; records are passed on as the bytes that are stored."""

    def __init__(self, machines: Machines, boards: Boards) -> None:
        self._machines = machines
        self._boards = boards

    def handlers(self) -> dict[str, Handler]:
        """The functions answered here."""
        return {
            "Board.Get": self.get,
            "Board.GetTrace": self.trace,
            "Board.Find": self.find,
            "Board.GetInProcess": self.in_process,
        }

    async def get(self, wanted: GetBoard, _: Caller) -> Raw:
        """One record."""
        record = await self._boards.get(wanted.id)
        if record is None:
            raise CommandRefused("notFound", f"There is no record of a board {wanted.id!r} that left.")
        return Raw(record)

    async def trace(self, wanted: GetTrace, _: Caller) -> BoardTrace:
        """One trace."""
        trace = await self._boards.trace(wanted.id, wanted.max_points)
        if trace is None:
            raise CommandRefused("notFound", f"There is no trace of a board {wanted.id!r}.")
        return trace

    async def find(self, wanted: FindBoards, _: Caller) -> dict[str, Any]:
        """A page of records."""
        if wanted.machine is not None:
            self._machines.one(wanted.machine)
        records, cursor = await self._boards.find(
            barcode=wanted.barcode, recipe=wanted.recipe, verdict=wanted.verdict,
            since_ns=_wall_ns("since", wanted.since), until_ns=_wall_ns("until", wanted.until),
            machine=wanted.machine, limit=wanted.limit, cursor=wanted.cursor,
        )  # fmt: skip
        return {"boards": [Raw(record) for record in records], "cursor": cursor}

    async def in_process(self, wanted: OfMachine, _: Caller) -> BoardsInProcess:
        """The boards in the tunnels."""
        machines = self._machines.some(wanted.machine)
        return BoardsInProcess(tuple(BoardsOfMachine(live.machine.id, live.boards()) for live in machines))


def _wall_ns(name: str, stamp: str | None) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 time."""
    if stamp is None:
        return None
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandRefused("invalidParameters", f"{name}: write a time like 2026-11-21T21:53:00Z, not {stamp!r}.")
    wall_ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    if not 0 <= wall_ns <= _END_NS:
        raise CommandRefused("outOfRange", f"{name}: {stamp} is not between 1970 and 2262.")
    return wall_ns
