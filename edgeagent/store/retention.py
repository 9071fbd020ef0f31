"""Keeps the store within its limits: what is too old or too much goes, a little at a time, boards and alarms last."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Collection
from functools import partial
from time import monotonic, perf_counter

from edgeagent.clock import Clock
from edgeagent.config import StoreTable
from edgeagent.model.events import Kind
from edgeagent.store.audit import segments
from edgeagent.store.backlog import T, Work
from edgeagent.store.consumers import Consumer, Consumers
from edgeagent.store.database import Database
from edgeagent.store.had import RECORDED
from edgeagent.store.journal import Journal
from edgeagent.store.sizes import Class, Sizes, measure
from edgeagent.store.steady import Steady
from edgeagent.store.transaction import at_one_moment
from edgeagent.store.trimming import Wanted, shrink, trim

ORDER: tuple[Class, ...] = ("traces", "events", "jobs", "counters", "alarms", "boards")
"""Which class goes before which when the whole is too large."""

_EVERY_S = 600.0
_FIRST_S = 20.0
_GRACE_S = 86_400.0
"""After a start those consumers that held back when the agent ended have so long to come back, for while it was off
nobody could be seen."""

_STEP_S = 0.005
"""How long a step may hold up the writer."""
_REST = 9
"""A step is followed by so many times its length in which the disk belongs to whoever writes."""
_LEAST, _MOST = 16, 2000
_PAGES = 64

_DAY_NS = 86_400_000_000_000
_MB = 1_000_000

_log = logging.getLogger(__name__)


class Retention:
    """Used on the event loop only.

    Attributes:
        sizes: what was measured last; None until then.
        gone: class → rows deleted since the start.
    """

    def __init__(
        self, database: Database, journal: Journal, consumers: Consumers, limits: StoreTable, clock: Clock,
        steady: Steady, rest: float = _REST,
    ) -> None:  # fmt: skip
        self._database = database
        self._journal = journal
        self._consumers = consumers
        self._limits = limits
        self._clock = clock
        self._steady = steady
        self._rest = rest
        self._began = monotonic()
        self._most = 200
        self._fault: str | None = None
        self.sizes: Sizes | None = None
        self.gone: dict[Class, int] = dict.fromkeys(ORDER, 0)

    def fault(self) -> str | None:
        """Say why the store is larger than it may be; None where it is not."""
        return self._fault

    async def run(self) -> None:
        """Look for ever."""
        await asyncio.sleep(_FIRST_S)
        while True:
            await self.look()
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Delete once all that may and must go; what was measured after it is in `sizes`.

        Raises:
            StoreError: the file cannot be read.
        """
        if self._journal.is_partial:
            return
        for name in self._consumers.present:
            self._consumers.saw(name, self._clock.wall_ns())
        # A clock that was set forward makes nothing old.
        now_ns = min(self._clock.wall_ns(), self._steady.now_ns())
        before = dict(self.gone)
        if self._clock.trusted:
            for name in ORDER:
                if days := getattr(self._limits.retention, name).days:
                    await self._trim(name, now_ns - days * _DAY_NS, None)
        over = await self._fit_classes()
        over = await self._fit_whole() or over
        over = over or await asyncio.to_thread(self._audit_fault)
        await self._shrink()
        if self._fault != over:
            _log.log(logging.WARNING if over else logging.INFO, "%s: %s", self._database.path,
                     over or "is within its limits again")  # fmt: skip
        self._fault = over
        went = {name: rows - before[name] for name, rows in self.gone.items() if rows > before[name]}
        if went:
            words = ", ".join(f"{rows} of {name}" for name, rows in went.items())
            _log.info("%s: retention deleted %s", self._database.path, words)

    def holders(self, kinds: Collection[Kind]) -> list[Consumer]:
        """The consumers that hold back some of these machines and topics, the furthest behind first."""
        now_ns = min(self._clock.wall_ns(), self._steady.now_ns())
        if monotonic() - self._began < _GRACE_S:
            now_ns = min(now_ns, self._steady.ended_ns or 0)
        active = self._consumers.active(now_ns - self._limits.consumer_days * _DAY_NS)
        holding = (it for it in active if any(it.wants(kind) for kind in kinds))
        return sorted(holding, key=lambda it: it.acknowledged)

    async def _fit_classes(self) -> str | None:
        """Keep the limit of each class; says why that of the boards cannot be kept."""
        sizes = await self._measure()
        for name in ORDER:
            limit = getattr(self._limits.retention, name, None)
            most = getattr(limit, "megabytes", 0) * _MB
            if most and (excess := sizes.classes[name].bytes - most) > 0:
                freed = await self._trim(name, None, excess)
                if name == "boards" and freed < excess:
                    used = sizes.classes[name].bytes - freed
                    return await self._too_much(used, most, "store.retention.boards.megabytes")
        return None

    async def _fit_whole(self) -> str | None:
        """Keep the limit of the whole, in the end by what a consumer waits for; says why it cannot be kept."""
        most = self._limits.megabytes * _MB
        sizes = await self._measure()
        for is_forced in (False, True):
            for name in ORDER:
                while most and sizes.used > most:
                    if not await self._trim(name, None, sizes.used - most, is_forced=is_forced):
                        break
                    sizes = await self._measure()
        return await self._too_much(sizes.used, most, "store.megabytes") if most and sizes.used > most else None

    async def _too_much(self, used: int, most: int, key: str) -> str:
        boards = [kind for kind in self._journal.kinds() if kind[1] in RECORDED]
        waiting = ", ".join([it.name for it in self.holders(boards) if await self._waits(it, boards)][:3])
        why = f"these have not acknowledged them: {waiting}" if waiting else "no consumer has acknowledged them"
        return (
            f"{used / _MB:.0f} MB are kept, more than {key} ({most // _MB}), and board records are not deleted before "
            f"an MES had them ({why}): let the MES acknowledge them, delete consumers that nobody needs, or raise {key}"
        )

    async def _waits(self, consumer: Consumer, kinds: Collection[Kind]) -> bool:
        """Whether a consumer has not acknowledged all that there is of some machines and topics."""
        topics = tuple(sorted({kind[1] for kind in kinds if consumer.wants(kind)}))
        return await self._journal.count(consumer.acknowledged, topics, consumer.machines) > 0

    def _audit_fault(self) -> str | None:
        most = self._limits.retention.audit.megabytes
        try:
            used = segments.size(self._database.path) // _MB
        except OSError as error:
            return f"the size of the audit record cannot be told: {error}"
        if not 0 < most < used:
            return None
        return (
            f"the audit record has {used} MB, more than store.retention.audit.megabytes ({most}), and is never deleted "
            "by the agent: raise it when the disk has room"
        )

    async def _trim(
        self, name: Class, before_ns: int | None, excess: int | None, *, is_forced: bool = False
    ) -> int:
        """Delete the oldest of a class until so many bytes are free, or all that is too old; returns the bytes."""
        freed = 0
        while excess is None or freed < excess:
            left = None if excess is None else excess - freed
            wanted = Wanted(before_ns, self._waited_for(is_forced), self._most, left)
            cut, took_s = await self._database.write(partial(_timed, partial(trim, name=name, wanted=wanted)))
            if not cut.rows:
                break
            freed += cut.bytes
            self.gone[name] += cut.rows
            self._journal.trimmed(cut.first_sequence, cut.newest)
            self._most = max(_LEAST, self._most // 2) if took_s > _STEP_S else min(_MOST, self._most + _LEAST)
            await asyncio.sleep(took_s * self._rest)
        return freed

    def _waited_for(self, is_forced: bool) -> dict[Kind, int]:
        """Up to where each machine and topic may go: what a consumer waits for stays, by force only records do."""
        kinds = [kind for kind in self._journal.kinds() if not is_forced or kind[1] in RECORDED]
        found: dict[Kind, int] = {}
        for consumer in self.holders(kinds):
            for kind in kinds:
                if consumer.wants(kind):
                    found[kind] = min(found.get(kind, consumer.acknowledged), consumer.acknowledged)
        return found

    async def _shrink(self) -> None:
        """Give pages back that are free, but for some."""
        given = _PAGES
        while given:
            given, took_s = await self._database.write(partial(_timed, partial(shrink, most=_PAGES)))
            await asyncio.sleep(took_s * self._rest)

    async def _measure(self) -> Sizes:
        self.sizes = await self._database.read(partial(at_one_moment, measure))
        return self.sizes


def _timed(work: Work[T], connection: sqlite3.Connection) -> tuple[T, float]:
    began = perf_counter()
    return work(connection), perf_counter() - began
