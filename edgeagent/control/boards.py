"""Board.Remove and Board.ConfirmEmpty: what people do to the boards in a tunnel, taken into the account of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from edgeagent.clock import instant_ns
from edgeagent.control import interlocks
from edgeagent.control.ports import CommandedMachine, Context, Value
from edgeagent.control.procedure import Failed, Procedure, Unknown, Work
from edgeagent.errors import CommandRefused, StoreError
from edgeagent.model.commands import Job
from edgeagent.model.functions.boards import BookedOut, ConfirmEmpty, RemoveBoard

_LOOKED_S = 60.0
"""A board that entered within this time came after whoever looked had looked."""


class _BooksOut(Procedure):
    """What both have in common: the machine is not touched, and the answer comes when it is on disk."""

    answers_when_done = True

    def __init__(self, it: CommandedMachine, context: Context) -> None:
        self._it = it
        self._context = context
        self._ended: tuple[str, ...] = ()

    def before(self) -> dict[str, Value]:
        """The boards inside, for the audit."""
        return {"boards": " ".join(board.id for board in self._it.boards())}

    def answer(self, _: Job) -> Any:
        """The boards that were booked out."""
        return BookedOut(self._it.machine.id, self._ended)

    async def _written(self) -> None:
        journal = self._context.archive.journal
        try:
            await journal.settled(journal.last_sequence)
        except StoreError as error:
            raise Unknown(f"{len(self._ended)} boards were booked out, and that is not on disk: {error}.") from error


class Remove(_BooksOut):
    """One board was taken out by hand."""

    def __init__(self, it: CommandedMachine, asked: RemoveBoard, context: Context) -> None:
        super().__init__(it, context)
        self._asked = asked
        if all(board.id != asked.id for board in it.boards()):
            raise CommandRefused("notFound", f"There is no board {asked.id!r} inside; Board.GetInProcess lists them.",
                                 it.machine.id)  # fmt: skip

    async def run(self, work: Work) -> str | None:
        """Book it out."""
        await work.step("Book the board out")
        self._ended = self._it.remove_board(self._asked.id, self._asked.reason, self._context.caller.name)
        await self._written()
        if not self._ended:
            raise CommandRefused("notFound", f"The board {self._asked.id} had come out by itself.", self._it.machine.id)
        return None

    async def resume(self, work: Work) -> str | None:
        """The board is inside, or this could not have been made again."""
        raise Failed("The agent was restarted before the board was booked out; it still counts as inside.")


class Empty(_BooksOut):
    """Somebody looked into the tunnel, and nothing is inside."""

    def __init__(self, it: CommandedMachine, asked: ConfirmEmpty, context: Context) -> None:
        super().__init__(it, context)
        self._asked = asked
        lanes = [lane.number for lane in it.machine.map.lanes]
        if asked.lane is not None and asked.lane not in lanes:
            raise CommandRefused("notFound", f"There is no lane {asked.lane}; {it.machine.id} has "
                                             f"{', '.join(map(str, lanes)) or 'none'}.", it.machine.id)  # fmt: skip

    def interlocks(self) -> Iterator[str]:
        """A lane with something in a barrier is not empty, nor is one that a board has just entered."""
        if not self._it.status().connected:
            yield f"{self._it.machine.id} does not answer: nobody would notice what enters from now on."
            return
        yield from interlocks.barriers(self._it, self._asked.lane)
        for board in self._it.boards():
            ago_s = (self._context.clock.wall_ns() - instant_ns(board.entered_at)) / 1e9
            if self._asked.lane in (None, board.lane) and ago_s < _LOOKED_S:
                when = f"{ago_s:.0f} s ago, after anybody can have looked" if ago_s >= 0 else \
                    "at a time that is still to come by the clock of now, which was set back"
                yield (f"The board {board.id} entered lane {board.lane} {when}: look again in a minute, or take it "
                       "out and call Board.Remove.")  # fmt: skip

    async def run(self, work: Work) -> str | None:
        """Book everything out, unless something came since it was permitted."""
        await work.step("Take the tunnel for empty")
        if reasons := " ".join(self.interlocks()):
            raise CommandRefused("interlocked", reasons, self._it.machine.id)
        self._ended = self._it.confirm_empty(self._asked.lane, self._asked.reason, self._context.caller.name)
        await self._written()
        return f"{len(self._ended)} boards were booked out." if self._ended else None

    async def resume(self, work: Work) -> str | None:
        """What is inside is known, not what was booked out."""
        raise Unknown(f"The agent was restarted meanwhile; {len(self._it.boards())} boards count as inside now. Look "
                      "into the tunnel before it is called again.")  # fmt: skip
