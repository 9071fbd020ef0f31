"""Events of the past, read from the journal as anybody reads it: by Event.Read, with the rights of who asks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from edgeagent.errors import CommandRefused
from edgeagent.publish.opcua.event_filter import Filter
from edgeagent.publish.opcua.fields import moment
from edgeagent.publish.opcua.happenings import Happening
from edgeagent.publish.opcua.port import AgentPort
from edgeagent.publish.opcua.times import ns
from edgeagent.publish.opcua.turns import SLICE_S

_PAGE = 100
"""Events of one call."""

_MOST_PAGES = 10
"""Calls for one answer; a filter that lets little pass is answered with less than was wanted, and where to go on."""

_log = logging.getLogger(__name__)

_Event = Mapping[str, Any]


class Span(NamedTuple):
    """What of the journal is wanted; times in wall ns, ends included.

    Attributes:
        since_ns: where to begin; None where `next` says it. next: the sequence at which to go on, or 0.
        is_backward: from `since_ns` back to `end_ns`, newest first.
    """

    since_ns: int | None
    next: int
    end_ns: int
    is_backward: bool

    def is_beyond(self, event: _Event) -> bool:
        """Whether what is wanted has ended; what a clock tells that was not set proves nothing."""
        return event["clock"] == "trusted" and self._is_past_the_end(ns(moment(event["time"])))

    def has(self, event: _Event) -> bool:
        """Whether the event's time is in it."""
        time_ns = ns(moment(event["time"]))
        is_early = self.since_ns is not None and (
            time_ns > self.since_ns if self.is_backward else time_ns < self.since_ns
        )
        return not is_early and not self._is_past_the_end(time_ns)

    def _is_past_the_end(self, time_ns: int) -> bool:
        return time_ns < self.end_ns if self.is_backward else time_ns > self.end_ns


class EventHistory:
    """The journal.

    Args:
        made: makes the event that OPC UA tells of one of the journal.
        last: stream and last sequence of the journal, as far as this process has heard.
    """

    def __init__(
        self, port: AgentPort, space: AddressSpace, made: Callable[[_Event], Happening],
        last: Callable[[], tuple[str, int]],
    ) -> None:  # fmt: skip
        self._port = port
        self._space = space
        self._made = made
        self._last = last

    async def read(
        self, machines: Sequence[str], span: Span, wanted: ua.EventFilter, most: int, session: int | None
    ) -> tuple[list[Happening], int | None]:  # fmt: skip
        """Read events of some machines.

        Returns:
            At most `most` events, and the sequence at which to go on; None where there are no more.

        Raises:
            CommandRefused: as Event.Read says.
        """
        if session is None:
            raise CommandRefused("unauthenticated", "Nobody has said who asks.")
        reading = _Reading(self._port, machines, session, *self._last())
        clause = Filter(_log, self._space, wanted.WhereClause)
        place = span.next or await reading.first_place(span)
        found: list[Happening] = []
        for _ in range(_MOST_PAGES):
            events, following = await reading.page(place, span.is_backward)
            since = time.monotonic()
            for event in events:
                if time.monotonic() - since > SLICE_S:
                    await asyncio.sleep(0)
                    since = time.monotonic()
                if span.is_beyond(event):
                    return found, None
                happening = self._made(event) if span.has(event) else None
                if happening is not None and clause.eval(happening):
                    if len(found) == most:
                        return found, event["sequence"]
                    found.append(happening)
            if following is None:
                return found, None
            place = following
        return found, place


class _Reading:
    """One answer's calls."""

    def __init__(
        self, port: AgentPort, machines: Sequence[str], session: int, stream: str, last: int
    ) -> None:  # fmt: skip
        self._port = port
        self._machines = list(machines)
        self._session = session
        self._stream = stream
        self._last = last
        self._first = 1

    async def first_place(self, span: Span) -> int:
        """The sequence at which what is wanted begins, found by halving: times rise with sequences, nearly always."""
        answer = await self._port.call("Event.Read", {"from": "beginning", "limit": 1}, self._session)
        low: int = answer["firstSequence"]
        self._first = low
        high = self._last + 1
        since_ns = span.since_ns or 0
        while low < high:
            middle = (low + high) // 2
            time_ns = await self._time(middle)
            if time_ns is not None and (time_ns <= since_ns if span.is_backward else time_ns < since_ns):
                low = middle + 1
            else:
                high = middle
        return low - 1 if span.is_backward else low

    async def page(self, place: int, is_backward: bool) -> tuple[Iterable[_Event], int | None]:
        """Some events at a place and beyond, and where to go on; None at the end."""
        if not is_backward:
            if place > self._last:
                return (), None
            answer = await self._read(place, _PAGE)
            return answer["events"], answer["nextSequence"]
        if place < self._first:
            return (), None
        low = max(self._first, place - _PAGE + 1)
        events: list[_Event] = []
        following = low
        while following <= place:
            answer = await self._read(following, _PAGE)
            events += [event for event in answer["events"] if event["sequence"] <= place]
            if answer["nextSequence"] <= following:
                break
            following = answer["nextSequence"]
        return reversed(events), low - 1 if low > self._first else None

    async def _time(self, sequence: int) -> int | None:
        """When the first event at a sequence or after it happened, at any machine; None where there is none."""
        asked = {"from": {"stream": self._stream, "sequence": sequence}, "limit": 1}
        events = (await self._port.call("Event.Read", asked, self._session))["events"]
        return ns(moment(events[0]["time"])) if events else None

    async def _read(self, sequence: int, limit: int) -> Any:
        place = {"stream": self._stream, "sequence": sequence}
        asked = {"from": place, "machines": self._machines, "limit": limit}
        return await self._port.call("Event.Read", asked, self._session)
