"""Events on their way to all connections: each session is told what was committed, telemetry is offered to each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from edgeagent.clock import Clock
from edgeagent.model.events import StoredEvent
from edgeagent.model.samples import MeasuredValue
from edgeagent.publish.circles import Circles
from edgeagent.publish.fresh import Fresh
from edgeagent.publish.notices import Notices, Telemetry
from edgeagent.publish.session import Session, Wire
from edgeagent.publish.straight import Straight
from edgeagent.store.journal import Journal

_TURN = 32
"""Sessions that are told singly before the loop does something else: 2 ms at most."""


def _never(_: bytes) -> bool:
    return False


class Delivery:
    """Tells every session what was committed, and the newest telemetry; used on the event loop only.

    Args:
        heartbeat_s: longest silence of a subscription, in real seconds.
        patience_s: a message that a peer does not take in this time ends the connection, in real seconds.
    """

    def __init__(self, journal: Journal, clock: Clock, *, heartbeat_s: float = 10.0, patience_s: float = 60.0) -> None:
        self.notices = Notices(journal.stream, clock)
        self._journal = journal
        self._fresh = Fresh(journal, self.notices)
        self._circles = Circles(self._fresh)
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s
        self._sessions: set[Session] = set()
        self._news = asyncio.Event()
        journal.on_commit.append(self._committed)

    def session(
        self, send: Callable[[bytes], Awaitable[object] | None], hang_up: Callable[[str], object],
        form: Callable[[bytes], bytes] = bytes, send_at_once: Callable[[bytes], bool] = _never,
        straight: Straight | None = None,
    ) -> Session:  # fmt: skip
        """Open a session for a connection; see `Wire`."""
        wire = Wire(send, hang_up, form, send_at_once, straight)
        session = Session(
            wire, self._journal, self.notices, self._fresh, self._circles, self._heartbeat_s, self._patience_s,
            self._sessions.discard,
        )  # fmt: skip
        self._sessions.add(session)
        return session

    async def close(self) -> None:
        """End all sessions and wait until their tasks are gone."""
        self._journal.on_commit.remove(self._committed)
        tasks = [task for session in tuple(self._sessions) if (task := session.close())]
        await asyncio.gather(*tasks, return_exceptions=True)

    def hears(self, machine: str) -> bool:
        """Whether anybody is to be told a machine's telemetry."""
        return any(session.hears(machine) for session in self._sessions)

    def telemetry(self, machine: str, values: tuple[MeasuredValue, ...], time_ns: int) -> None:
        """Tell values that changed at a wall time; a session whose peer is slow gets only the newest of each."""
        told = Telemetry(machine, values, time_ns)
        for session in self._sessions:
            session.offer(told)

    async def next_commit(self) -> None:
        """Wait until more events are on disk, or are known to be lost."""
        await self._news.wait()

    def _committed(self, _: Sequence[StoredEvent]) -> None:
        self._news.set()
        self._news = asyncio.Event()
        self._fresh.renew()
        alone = [session for session in self._sessions if session.circle is None]
        self._tell(alone + self._circles.tell(asyncio.get_running_loop().time()))

    def _tell(self, sessions: list[Session]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for session in sessions[:_TURN]:
            session.tell(now)
        if waiting := sessions[_TURN:]:
            loop.call_soon(self._tell, waiting)
