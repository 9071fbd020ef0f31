"""The line to one push target: what is owed goes out in order; what the MES does not take stops it, or is set aside."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from edgeagent.clock import Clock
from edgeagent.config import PushTable
from edgeagent.errors import CommandRefused, DeliveryError, EdgeAgentError, StoreError
from edgeagent.logs import Detail
from edgeagent.model.aside import SetAside
from edgeagent.model.events import Heartbeat, StoredEvent
from edgeagent.model.functions.push import PushTerm
from edgeagent.publish.notices import Notices
from edgeagent.publish.places import place_of
from edgeagent.publish.push.access import Access
from edgeagent.publish.push.answer import Answer
from edgeagent.publish.push.backoff import BackOff
from edgeagent.publish.push.batch import Batch, Item, Reading
from edgeagent.publish.push.beside import MES, Beside
from edgeagent.publish.push.post import Poster
from edgeagent.store import Archive, Consumer
from edgeagent.store.consumers import PUSH, PUSHED
from edgeagent.store.had import Had

_LOOK_S = 1.0
"""How often a stopped line looks whether somebody changed its files."""
_NOTE_S = 10.0
"""How often a place is written that moved over events which are not wanted."""
_DISK_S = 1.0
_LONG_S = 3600.0

log = logging.getLogger(__name__)


class _Rest(NamedTuple):
    """How long to wait, and whether something new in the journal ends that."""

    seconds: float
    is_idle: bool = False


class Line:
    """Runs as one task; one POST is under way at a time, so that nothing overtakes anything.

    Attributes:
        topics, machines: what the target is told of; all machines for None.
        told: called with what `fault` says whenever the state is another one.
        state: "starting"; "delivering"; "waiting", all is delivered; "stopped", the MES does not take what is next.
        reason: why it is stopped; None where it is not. said: what the MES said about it; it may differ each time.
        since_ns, last_success_ns: wall time of the state's beginning, and of the last POST that was taken.
        posts: outcome → how many. delivered: events that were taken.
    """

    def __init__(
        self, table: PushTable, access: Access, archive: Archive, notices: Notices, clock: Clock,
        back_off: BackOff | None = None,
    ) -> None:  # fmt: skip
        self.name = table.name
        self.url = table.url
        self.consumer = f"{PUSH}{table.name}"
        self.topics = table.topics or ("*",)
        self.machines = table.machines or None
        self.told: Callable[[str | None], object] = lambda _: None
        self.state: PushTerm = "starting"
        self.reason: str | None = None
        self.said = ""
        self.since_ns = clock.wall_ns()
        self.last_success_ns: int | None = None
        self.posts: Counter[str] = Counter()
        self.delivered = 0
        self._table = table
        self._access = access
        self._journal = archive.journal
        self._consumers = archive.consumers
        self._beside = Beside(table.name, archive, clock, table.most_rejected)
        self._notices = notices
        self._clock = clock
        self._poster = Poster(table.url, access, table.timeout_s)
        self._back_off = back_off or BackOff()
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._hears_commits = False
        self._due: deque[Batch] = deque()
        self._reading: Reading | None = None
        self._spoke_at = self._noted_at = self._next_try_at = 0.0

    # What others see and do

    def fault(self) -> str | None:
        """Why it is stopped, in words for people; None where it is not."""
        return f"{self.url} takes no events: {self.reason}" if self.reason else None

    def has_set_aside(self) -> str | None:
        """Say that events are set aside; None where none is."""
        count = len(self.set_aside())
        events = "1 event is" if count == 1 else f"{count} events are"
        return f"{events} set aside: edgeagent push status tells which" if count else None

    def set_aside(self) -> tuple[SetAside, ...]:
        """The events that are set aside."""
        return self._beside.all()

    @property
    def place(self) -> Consumer | None:
        """Where it stands on disk; None before it began for the first time."""
        return self._consumers.get(self.consumer)

    @property
    def head(self) -> Item | None:
        """The event that goes next, where it is known."""
        return self._due[0][0] if self._due else None

    @property
    def next_try_s(self) -> float | None:
        """Seconds until a stopped line tries again; None where it is not stopped, tries now, or with the next event."""
        if self.state != "stopped" or self._hears_commits or self._wake.is_set():
            return None
        left = self._next_try_at - _now()
        return left if left > 0 else None

    async def lag(self) -> int:
        """Count the events that are wanted and not acknowledged, up to 100 000. Raises StoreError."""
        place = self.place
        return await self._journal.count(place.acknowledged, self.topics, self.machines) if place else 0

    def retry(self) -> None:
        """Try now."""
        self._wake.set()

    async def send_again(self, events: Sequence[SetAside]) -> None:
        """Send events once more that are set aside, before whatever is next; raises StoreError, CommandRefused."""
        await self._beside.ask_for(events)
        self._wake.set()

    async def skip(self, sequence: int, reason: str, by: str, patience_s: float = 10.0) -> None:
        """Set the event aside at which the stopped line stands.

        Raises:
            CommandRefused: it is not stopped, stands at another event, or a POST is under way for too long.
            StoreError: it is not on disk yet.
        """
        try:
            async with asyncio.timeout(patience_s):
                await self._turn.acquire()
        except TimeoutError:
            raise CommandRefused("busy", f"{self.name} is trying at this moment; ask again.") from None
        try:
            head = self.head
            if self.state != "stopped" or head is None:
                raise CommandRefused("busy", f"{self.name} stands at no event; only a stopped line can be helped so.")
            if head.sequence != sequence:
                raise CommandRefused("outOfRange", f"{self.name} stands at event {head.sequence}, not {sequence}.")
            self._wake.set()
            if head.aside is not None:
                self._due.popleft()
                self._beside.stays(head.aside, head.message, by, reason)
            else:
                await self._put_aside(head, by, reason)
        finally:
            self._turn.release()

    # The task

    async def run(self) -> None:
        """Deliver for ever."""
        try:
            await self._take_up()
            while True:
                async with self._turn:
                    await self._take_turn()
                await self._rest()
        except EdgeAgentError:
            raise
        except Exception:
            self._become("stopped", "it failed unexpectedly, see the log")
            raise

    async def close(self) -> None:
        """End the connection; the task has ended."""
        with suppress(ValueError):
            self._journal.on_commit.remove(self._committed)
        self._consumers.present.discard(self.consumer)
        await self._poster.close()

    def _committed(self, _: Sequence[StoredEvent]) -> None:
        if self._hears_commits:
            self._wake.set()

    async def _take_up(self) -> None:
        """Find the place where it goes on. Raises DeliveryError, StoreError."""
        journal, topics, now_ns = self._journal, self.topics, self._clock.wall_ns()
        if self._committed not in journal.on_commit:
            journal.on_commit.append(self._committed)
        found = self.place
        if found is not None and found.owner != PUSHED:
            self._become("stopped", f"the consumer {self.consumer} belongs to {found.owner}, who may delete it")
            raise DeliveryError(f"push {self.name}: {self.reason}")
        place = place_of(found, journal)
        if found is None and self._table.begin == "now":
            if self._consumers.has_lost or journal.missing:
                log.warning("push %s: its place may have been lost with damaged data: it begins at the oldest event "
                            "that is kept, not now", self.name)  # fmt: skip
            else:
                place = place._replace(first=journal.committed_sequence + 1)
        if found is None:
            found = Consumer(
                self.consumer, PUSHED, topics, self.machines, place.stream, place.first - 1, now_ns, now_ns)
        self._consumers.present.add(self.consumer)
        found = replace(found, topics=topics, machines=self.machines)
        await self._consumers.put(found)
        await journal.settled(place.first - 1)
        previous = await journal.previous(place.first, topics, self.machines)
        self._reading = Reading(journal, self._notices, topics, self.machines, place.first, previous,
                                self._table.batch_events, self._table.batch_bytes)  # fmt: skip
        self._due.clear()
        if place.lost:
            done = place.first - 1
            self._due.append(Batch((Item(done, done, "Event.Gap", self._notices.passing("Event.Gap", place.lost)),)))
        await self._beside.begin(found)
        self._spoke_at = self._noted_at = _now()
        self._become("starting")

    async def _take_turn(self) -> None:
        self._hears_commits = True
        self._wake.clear()
        try:
            rest = await self._step()
        except StoreError as error:
            log.warning("push %s waits for the disk: %s", self.name, error)
            rest = _Rest(_DISK_S)
        if not rest.is_idle:
            self._hears_commits = False
            self._wake.clear()
        self._next_try_at = _now() + rest.seconds

    async def _step(self) -> _Rest:
        """Do the next thing; return how long to wait after it."""
        if not self._due:
            await self._fetch()
        if not self._due:
            return await self._idle()
        if self.state != "stopped":
            self._become("delivering")
        batch = self._due[0]
        begun = _now()
        answer = await self._post(batch)
        if answer.outcome == "stopped":
            return self._stop(answer)
        if answer.outcome == "rejected":
            return await self._narrow(batch, answer)
        self._due.popleft()
        self._succeeded()
        self.delivered += len(batch)
        if (aside := batch[0].aside) is not None:
            self._beside.taken_late(batch[0], aside)
            return _Rest(0)
        self._beside.taken()
        await self._note(batch[-1].done, self._clock.wall_ns())
        assert self._reading is not None, "_take_up came before"
        pace_s = len(batch) / self._table.catch_up_per_s if self._due or self._reading.is_behind else 0.0
        return _Rest(max(0.0, begun + pace_s - _now()))

    async def _fetch(self) -> None:
        """Put what is to be sent next into the line. Raises StoreError."""
        if item := await self._beside.asked_for():
            self._due.append(Batch((item,)))
            return
        assert self._reading is not None, "_take_up came before"
        if batch := await self._reading.batch():
            self._due.append(batch)

    async def _post(self, batch: Batch) -> Answer:
        key = batch.key(self._journal.stream)
        headers = {"Idempotency-Key": f'"{key}"'} if key else {}
        if batch[0].aside is not None:
            headers["Edgeagent-Redelivered"] = "true"
        answer = await self._poster.post(batch.body, headers)
        self.posts[answer.outcome] += 1
        return answer

    async def _narrow(self, batch: Batch, answer: Answer) -> _Rest:
        """Find out which event of a batch is rejected, or set it aside where it is alone."""
        item, reason = batch[0], f"{answer.reason}{f' ({answer.said})' if answer.said else ''}"
        if len(batch) > 1:
            self._due.popleft()
            self._due.extendleft(reversed(batch.halves))
            if answer.status == 413 and self._reading is not None:
                self._reading.narrow(len(batch.body))
            return _Rest(0)
        if item.aside is not None:
            self._due.popleft()
            self._beside.stays(item.aside, item.message, MES, reason)
        elif why := self._beside.why_not():
            return self._stop(answer._replace(reason=f"{why}, {answer.reason}"))
        else:
            await self._put_aside(item, MES, reason)
        return _Rest(0)

    async def _put_aside(self, item: Item, by: str, reason: str) -> None:
        """Keep the first event beside the line, and go beyond it. Raises StoreError."""
        self._consumers.require_room()
        first = self._due.popleft()
        if len(first) > 1:
            self._due.appendleft(Batch(first[1:]))
        place = self.place
        assert place is not None, "_take_up made it"
        await self._beside.put(item, place, by, reason)

    async def _note(self, done: int, seen_ns: int | None = None) -> None:
        """Write that nothing up to a number is owed. Raises StoreError."""
        place = self.place
        assert place is not None, "_take_up made it"
        self._noted_at = _now()
        moved = replace(place, stream=self._journal.stream, acknowledged=done, seen_ns=seen_ns or place.seen_ns)
        await self._consumers.put(moved, Had(self.topics, self.machines, place.acknowledged, done))

    async def _idle(self) -> _Rest:
        """Nothing is owed: keep the place on disk near the end, and say now and then that all is well."""
        assert self._reading is not None, "_take_up came before"
        if self.state != "stopped":
            self._become("waiting")
        done, place, rest_s = self._reading.next - 1, self.place, _LONG_S
        if place is not None and place.acknowledged < done:
            if _now() - self._noted_at >= _NOTE_S:
                await self._note(done)
            else:
                rest_s = max(0.0, self._noted_at + _NOTE_S - _now())
        every_s = self._table.heartbeat_s
        if every_s is None:
            return _Rest(rest_s, is_idle=True)
        if self.state == "stopped" or _now() - self._spoke_at >= every_s:
            beat = Heartbeat(self._journal.stream, done)
            answer = await self._post(Batch((Item(done, done, "", self._notices.passing("Event.Heartbeat", beat)),)))
            if answer.outcome == "stopped":
                return self._stop(answer)
            self._succeeded()  # an MES that does not want heartbeats is there all the same
            self._become("waiting")
        return _Rest(min(rest_s, max(0.0, self._spoke_at + every_s - _now())), is_idle=True)

    async def _rest(self) -> None:
        """Wait until it is time, somebody wants it, or something of a stopped line's files changed."""
        stamp = self._access.stamp() if self.state == "stopped" else None
        while (left := self._next_try_at - _now()) > 0 and not self._wake.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(left if stamp is None else min(left, _LOOK_S)):
                    await self._wake.wait()
            if stamp is not None and self._access.stamp() != stamp:
                return

    def _stop(self, answer: Answer) -> _Rest:
        said = f" ({answer.said})" if answer.said else ""
        log.warning("push %s is stopped: %s%s", self.name, answer.reason, Detail(said))
        self._become("stopped", answer.reason)
        self.said = answer.said
        return _Rest(self._back_off.failed(answer.wait_s))

    def _succeeded(self) -> None:
        if self.state == "stopped":
            log.info("push %s goes on", self.name)
        self._spoke_at = _now()
        self._back_off.succeeded(self._spoke_at)
        self.last_success_ns = self._clock.wall_ns()
        self._become("delivering")

    def _become(self, state: PushTerm, reason: str | None = None) -> None:
        before = self.state, self.reason
        if state != self.state:
            self.since_ns = self._clock.wall_ns()
        self.state, self.reason, self.said = state, reason, ""
        if before != (state, reason):
            self.told(self.fault())


def _now() -> float:
    return asyncio.get_running_loop().time()
