"""Board.*: records of boards that left, and the boards inside."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from edgeagent.model.boards import BoardInProcess, BoardRecord
from edgeagent.model.functions.forms import (
    CommandParameters,
    Cursor,
    Limit,
    Machine,
    Parameters,
    Reason,
    Result,
    Text,
)


class GetBoard(Parameters, frozen=True):
    """One board by its id."""

    id: Text


class GetTrace(Parameters, frozen=True):
    """A board's trace, thinned to at most `maxPoints` points."""

    id: Text
    max_points: Annotated[int, Meta(ge=2, le=10_000)] = 1000


class FindBoards(Parameters, frozen=True):
    """Boards that left, newest first; times are RFC 3339 and concern the entry. `cursor` goes on where a page ended."""

    barcode: Text | None = None
    recipe: Text | None = None
    verdict: Literal["pass", "fail", "unknown"] | None = None
    since: Text | None = None
    until: Text | None = None
    machine: Machine = None
    limit: Limit = 50
    cursor: Cursor = None


class BoardsFound(Result, frozen=True):
    """A page of records; `cursor` is null on the last one."""

    boards: tuple[BoardRecord, ...]
    cursor: str | None


class RemoveBoard(CommandParameters, frozen=True, kw_only=True):
    """A board inside that somebody took out by hand."""

    id: Text
    reason: Reason


class ConfirmEmpty(CommandParameters, frozen=True, kw_only=True):
    """Somebody looked into the tunnel: nothing is in that lane, or in any."""

    lane: Annotated[int, Meta(ge=1, le=64)] | None = None
    reason: Reason


class BookedOut(Result, frozen=True):
    """The boards that were booked out, by id; their records are told as lost."""

    machine: str
    boards: tuple[str, ...]


class BoardsOfMachine(Result, frozen=True):
    """The boards in one machine's tunnel, first in first."""

    machine: str
    boards: tuple[BoardInProcess, ...]


class BoardsInProcess(Result, frozen=True):
    """The boards in all tunnels asked for."""

    machines: tuple[BoardsOfMachine, ...]
