"""Answers about boards: those in the tunnel, and the records of those that left."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from edgeagent.errors import CommandRefused
from edgeagent.model.boards import BoardTrace
from edgeagent.model.callers import Caller
from edgeagent.model.functions import OfMachine
from edgeagent.model.functions.boards import BoardsInProcess, BoardsOfMachine, FindBoards, GetBoard, GetTrace
from edgeagent.publish.access import Handler
from edgeagent.publish.openapps.machines import Machines
from edgeagent.publish.openapps.times import asked_ns
from edgeagent.store.boards import Boards


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
            since_ns=asked_ns("since", wanted.since), until_ns=asked_ns("until", wanted.until),
            machine=wanted.machine, limit=wanted.limit, cursor=wanted.cursor,
        )  # fmt: skip
        return {"boards": [Raw(record) for record in records], "cursor": cursor}

    async def in_process(self, wanted: OfMachine, _: Caller) -> BoardsInProcess:
        """The boards in the tunnels."""
        machines = self._machines.some(wanted.machine)
        return BoardsInProcess(tuple(BoardsOfMachine(live.machine.id, live.boards()) for live in machines))
