"""What is too old or too much goes, exactly told; what nobody had stays."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeagent import cli
from edgeagent.clock import Clock, iso
from edgeagent.config import StoreTable
from edgeagent.errors import StoreError
from edgeagent.model.alarms import Alarm
from edgeagent.model.boards import BoardTrace
from edgeagent.model.events import AlarmTold, Event, GapRange, MachineStatusChanged, matches
from edgeagent.store import Archive, Consumer, Database, jobs
from edgeagent.store.backup import back_up
from edgeagent.store.events import unknown
from edgeagent.store.had import Had
from edgeagent.store.restoring import lay
from edgeagent.store.retention import Retention
from edgeagent.store.salvage import Salvaged, Table, keep
from tests.store.samples import NOON, board, job, left, scanned

DAY_NS = 86_400_000_000_000
MACHINES = ("RO0001", "RO0002")


class StandingClock(Clock):
    """Shows what a test says, and is taken to be set."""

    def __init__(self, wall_ns: int = NOON) -> None:
        super().__init__()
        self.wall = wall_ns
        self.is_set = True

    def wall_ns(self) -> int:
        return self.wall

    @property
    def trusted(self) -> bool:
        return self.is_set


class Passing:
    """A time that nobody sets: as much goes by as on the clock, until that is set."""

    def __init__(self, clock: StandingClock) -> None:
        self._clock = clock
        self.set_forward_ns = 0
        self.ended_ns: int | None = NOON

    def now_ns(self) -> int:
        return self._clock.wall - self.set_forward_ns


class Store:
    """An open store with its retention; `limits` as the configuration has them."""

    def __init__(self, archive: Archive, clock: StandingClock, limits: dict[str, Any]) -> None:
        self.archive = archive
        self.journal = archive.journal
        self.clock = clock
        table = msgspec.convert(limits, StoreTable)
        self.steady = Passing(clock)
        self.retention = Retention(archive.database, archive.journal, archive.consumers, table, clock,
                                   self.steady, rest=0)  # type: ignore[arg-type]
        self.retention._began -= 1e9  # long ago: consumers had their time to come back

    async def append(self, *events: Event) -> int:
        last = self.journal.append(events)
        await self.journal.settled(last)
        return last

    async def consumer(self, name: str, *topics: str, at: int = 0, seen_ns: int | None = None) -> None:
        seen = self.clock.wall if seen_ns is None else seen_ns
        await self.archive.consumers.put(
            Consumer(name, "mes", topics or ("*",), None, self.journal.stream, at, NOON, seen)
        )

    async def acknowledge(self, name: str, sequence: int) -> None:
        it = self.archive.consumers.get(name)
        assert it is not None
        moved = msgspec.structs.replace(it, acknowledged=sequence)
        await self.archive.consumers.put(moved, Had(it.topics, it.machines, it.acknowledged, sequence))

    async def told(self, first: int = 1, *topics: str, limit: int = 7, machines: tuple[str, ...] | None = None
                   ) -> list[int | GapRange]:  # fmt: skip
        """Everything that a reader is told from a number on, in order."""
        found: list[int | GapRange] = []
        while first <= self.journal.committed_sequence:
            events, following, gaps = await self.journal.read(first, topics or ("*",), machines, limit)
            assert following > first
            found += sorted([*(event.sequence for event in events), *gaps], key=place)
            first = following
        assert [place(it) for it in found] == sorted(place(it) for it in found)
        return found

    async def rows(self, table: str) -> int:
        query = f"SELECT count(*) FROM {table}"
        count: int = (await self.archive.database.read(lambda c: c.execute(query).fetchone()))[0]
        return count


def place(it: int | GapRange) -> int:
    return it.from_ if isinstance(it, GapRange) else it


@asynccontextmanager
async def opened(path: Path, clock: StandingClock | None = None, **limits: Any):
    database = Database(path, 0.01)
    database.open()
    clock = clock or StandingClock()
    try:
        yield Store(await Archive.open(database, clock), clock, limits)
    finally:
        await asyncio.to_thread(database.close)


def state(reason: str = "", at_ns: int = NOON, machine: str = "RO0001") -> Event:
    return Event("Status.MachineStatusChanged", at_ns, machine, MachineStatusChanged("ready", "running", reason))


def finished(id: str, at_ns: int = NOON, machine: str = "RO0001") -> Event:  # noqa: A002
    return msgspec.structs.replace(left(board(id, at_ns, (f"C-{id}",), machine=machine)), time_ns=at_ns)


def run(use: Callable[[Store], Awaitable[None]], path: Path, **limits: Any) -> None:
    async def main() -> None:
        async with opened(path, **limits) as store:
            await use(store)

    asyncio.run(main())


OLD = {"retention": {"events": {"days": 10}, "boards": {"days": 20}}}


def test_events_that_are_too_old_go_and_boards_stay_for_longer(tmp_path):
    async def use(store):
        await store.append(state("a"), finished("b1"), state("b"), state("c", NOON + 9 * DAY_NS))
        store.clock.wall = NOON + 11 * DAY_NS
        await store.retention.look()
        assert await store.told() == [GapRange(1, 1, 1, ("Status.MachineStatusChanged",)), 2,
                                      GapRange(3, 3, 1, ("Status.MachineStatusChanged",)), 4]  # fmt: skip
        assert await store.told(1, "Board.*") == [2], "nothing that was wanted is gone"
        assert store.journal.first_sequence == 2
        assert await store.journal.previous(2, ("*",), None) == 1
        assert store.retention.gone["events"] == 2

    run(use, tmp_path / "s.db", **OLD)


def test_nothing_goes_by_its_age_while_the_clock_is_not_known_to_be_set(tmp_path):
    async def use(store):
        await store.append(state(), state())
        store.clock.wall, store.clock.is_set = NOON + 1000 * DAY_NS, False
        await store.retention.look()
        assert await store.told() == [1, 2]

    run(use, tmp_path / "s.db", **OLD)


def test_what_happened_before_the_clock_was_set_is_as_old_as_what_came_after_it(tmp_path):
    dead = NOON - 9000 * DAY_NS

    async def use(store):
        async def append(clock, *events):
            await store.journal.settled(store.journal.append(events, clock=clock))

        await append("untrusted", state("boot", dead), finished("b1", dead), state("boot", dead))
        await append("trusted", state("set"))
        await append("untrusted", msgspec.structs.replace(scanned("X"), time_ns=dead + 20_000 * DAY_NS))
        await append("trusted", scanned("Y"))
        await store.consumer("mes")
        await store.acknowledge("mes", 6)
        store.clock.wall = NOON + DAY_NS
        await store.retention.look()
        assert await store.told() == [1, 2, 3, 4, 5, 6]
        assert await store.archive.boards.get("b1")
        await append("trusted", state("late", NOON + 8 * DAY_NS))
        store.clock.wall = NOON + 12 * DAY_NS
        await store.retention.look()
        assert [it for it in await store.told(1, "Status.*") if isinstance(it, int)] == [7]
        assert await store.archive.boards.get("b1")
        store.clock.wall = NOON + 21 * DAY_NS
        await store.acknowledge("mes", 7)
        await store.retention.look()
        assert await store.rows("events") == await store.rows("boards") == 0

    run(use, tmp_path / "s.db", **OLD)


def test_nothing_goes_and_no_gap_is_told_while_older_events_may_still_come_from_a_damaged_file(tmp_path):
    async def use(store):
        await store.append(state("a"), state("b"), scanned("X"))
        salvaged = Salvaged("2026-11-21T12:00:00Z", "s.db.corrupt", "a trial", {"events": Table(until=1)})

        def damage(connection, lost=(1,)):
            connection.executemany("DELETE FROM events WHERE sequence = ?", [(number,) for number in lost])
            keep(connection, salvaged)

        await store.archive.database.write(damage)
        store.journal._tail.forget(4)
        store.clock.wall = NOON + 11 * DAY_NS
        await store.retention.look()
        assert await store.rows("events") == 2
        with pytest.raises(StoreError, match="being taken over"):
            await store.told()
        assert await store.told(2) == [2, 3]
        salvaged.is_done = True
        await store.archive.database.write(damage)
        assert await store.told() == [GapRange(1, 1, 1), 2, 3]

    run(use, tmp_path / "s.db", **OLD)


def test_what_retention_deleted_is_not_lost_where_a_damaged_file_is_taken_over(tmp_path):
    async def use(store):
        await store.append(state(), finished("b1"), state(), finished("b2"), state(), finished("b3"), state())
        store.clock.wall = NOON + 11 * DAY_NS
        await store.retention.look()
        assert await store.rows("events") == 3
        await store.archive.database.write(lambda c: c.execute("DELETE FROM events WHERE sequence = 4").rowcount)
        assert await store.archive.database.read(unknown) == [(4, 4)]

    run(use, tmp_path / "s.db", **OLD)


def test_nothing_goes_by_its_age_when_the_clock_was_only_set_forward(tmp_path):
    async def use(store):
        await store.append(state(), state())
        store.clock.wall = NOON + 1000 * DAY_NS
        store.steady.set_forward_ns = 1000 * DAY_NS
        await store.retention.look()
        assert await store.told() == [1, 2]

    run(use, tmp_path / "s.db", **OLD)


def test_a_board_that_no_consumer_has_acknowledged_never_goes_by_itself(tmp_path):
    async def use(store):
        await store.append(finished("b1"), finished("b2"), finished("b3"))
        await store.consumer("late", at=1)
        await store.consumer("alarms", "Alarm.*")
        await store.acknowledge("late", 2)
        await store.acknowledge("alarms", 3)
        store.clock.wall = NOON + 1000 * DAY_NS
        await store.retention.look()
        assert await store.told() == [1, GapRange(2, 2, 1, ("Board.ProcessCompleted",)), 3]
        assert await store.archive.boards.get("b2") is None
        assert await store.archive.boards.find(barcode="C-b2") == ([], None)
        assert await store.archive.boards.get("b1") and await store.archive.boards.get("b3")
        assert await store.rows("board_barcodes") == 2

    run(use, tmp_path / "s.db", **OLD)


def test_a_consumer_holds_back_what_it_wants_until_it_was_not_seen_for_too_long(tmp_path):
    async def use(store):
        await store.append(*(state(str(n)) for n in range(6)))
        await store.consumer("mes", at=2, seen_ns=NOON + 10 * DAY_NS)
        await store.consumer("other", "Board.*", seen_ns=NOON + 10 * DAY_NS)
        store.clock.wall = NOON + 20 * DAY_NS
        await store.retention.look()
        assert await store.told() == [GapRange(1, 2, 2, ("Status.MachineStatusChanged",)), 3, 4, 5, 6]
        store.clock.wall = NOON + 25 * DAY_NS
        await store.retention.look()
        assert await store.told(3) == [GapRange(3, 6, 4, ("Status.MachineStatusChanged",))]

    run(use, tmp_path / "s.db", **OLD)


def test_whoever_listens_now_holds_back_however_long_it_acknowledges_nothing(tmp_path):
    async def use(store):
        await store.append(state(), state())
        await store.consumer("mes", seen_ns=NOON)
        store.archive.consumers.present.add("mes")
        store.clock.wall = NOON + 100 * DAY_NS
        await store.retention.look()
        assert await store.told() == [1, 2]
        assert store.archive.consumers.get("mes").seen_ns == store.clock.wall

    run(use, tmp_path / "s.db", **OLD)


def test_no_number_is_used_again_when_everything_went_and_the_agent_starts_anew(tmp_path):
    async def first(store):
        await store.append(state(), scanned("X"), finished("b1"))
        await store.consumer("mes")
        await store.acknowledge("mes", 3)
        store.clock.wall = NOON + 1000 * DAY_NS
        await store.retention.look()
        assert await store.rows("events") == await store.rows("boards") == 0
        assert store.journal.first_sequence == 4
        store.stream = store.journal.stream
        return store.journal.stream

    async def main() -> None:
        async with opened(tmp_path / "s.db", **OLD) as store:
            stream = await first(store)
        async with opened(tmp_path / "s.db", **OLD) as store:
            assert (store.journal.stream, store.journal.first_sequence, store.journal.last_sequence) == (stream, 4, 3)
            assert await store.told() == [
                GapRange(1, 3, 3, ("Board.BarcodeRead", "Board.ProcessCompleted", "Status.MachineStatusChanged"))
            ]
            assert await store.journal.previous(4, ("Board.*",), None) == 3
            assert await store.append(state()) == 4
            assert (await store.told(4)) == [4]

    asyncio.run(main())


def test_the_limit_of_a_class_in_megabytes_takes_the_oldest(tmp_path):
    async def use(store):
        await store.append(*(state("x" * 5000) for _ in range(400)), finished("b1"))
        await store.retention.look()
        usage = store.retention.sizes.classes["events"]
        assert 0.8e6 < usage.bytes <= 1e6
        gap, *kept = await store.told(limit=500)
        assert (gap.from_, gap.to, gap.count) == (1, kept[0] - 1, kept[0] - 1)
        assert kept[-1] == 401
        assert store.retention.fault() is None

    run(use, tmp_path / "s.db", retention={"events": {"megabytes": 1}})


def test_when_the_whole_is_too_large_what_is_waited_for_goes_before_a_board_that_nobody_had(tmp_path):
    async def use(store):
        await store.consumer("mes")
        await store.consumer("panel")
        boards = [finished(f"b{n}") for n in range(600)]
        await store.append(*(state("x" * 5000) for _ in range(300)), *boards)
        await store.acknowledge("panel", 900)
        await store.retention.look()
        assert await store.rows("boards") == 600
        assert await store.rows("events") == 600
        assert "board records are not deleted before an MES had them" in store.retention.fault()
        assert "(these have not acknowledged them: mes)" in store.retention.fault()
        await store.acknowledge("mes", 900)
        await store.retention.look()
        assert await store.rows("boards") < 600
        assert store.retention.fault() is None

    run(use, tmp_path / "s.db", megabytes=1)


def test_pages_that_are_free_are_given_back_to_the_disk(tmp_path):
    async def use(store):
        await store.append(*(state("x" * 5000) for _ in range(2000)))
        size = (await store.archive.database.read(lambda c: c.execute("PRAGMA page_count").fetchone()))[0]
        await store.retention.look()
        after = (await store.archive.database.read(lambda c: c.execute("PRAGMA page_count").fetchone()))[0]
        assert after < size * 0.7

    run(use, tmp_path / "s.db", retention={"events": {"megabytes": 1}})


def test_a_backup_and_a_restore_know_what_is_gone(tmp_path):
    path, backup = tmp_path / "s.db", tmp_path / "b.db"
    went = GapRange(1, 2, 2, ("Board.BarcodeRead", "Status.MachineStatusChanged"))

    async def main() -> None:
        async with opened(path, **OLD) as store:
            await store.append(state(), scanned("X"), finished("b1"))
            store.clock.wall = NOON + 30 * DAY_NS
            await store.retention.look()
            assert await store.told() == [went, 3]
            await asyncio.to_thread(back_up, path, backup)
            await store.append(state(), state())
        await asyncio.to_thread(lay, backup, path)
        async with opened(path, **OLD) as store:
            assert store.journal.first_sequence == 3
            assert await store.append(state()) == 6
            assert await store.told() == [went, 3, GapRange(4, 5, 2), 6], "of the last two nobody knows what they were"

    asyncio.run(main())


def test_counters_go_by_their_own_age_and_an_alarm_that_stands_stays(tmp_path):
    async def use(store):
        def told(topic, id, at_ns):  # noqa: A002
            alarm = Alarm(id, "E100", "too hot", "fault", "zone/1/top", iso(NOON), False)
            return Event(topic, at_ns, "RO0001", AlarmTold(alarm))

        await store.append(told("Alarm.Raised", "a1", NOON), told("Alarm.Raised", "a2", NOON), finished("b1"),
                           told("Alarm.Cleared", "a1", NOON + DAY_NS))  # fmt: skip
        store.clock.wall = NOON + 4 * DAY_NS
        await store.retention.look()
        assert [each.alarm.id for each in (await store.archive.alarms.find())[0]] == ["a2"]
        assert await store.told(1, "Alarm.*") == [GapRange(1, 2, 2, ("Alarm.Raised",)),
                                                  GapRange(4, 4, 1, ("Alarm.Cleared",))]  # fmt: skip
        counted = await store.archive.counters.count("RO0001", 0, 1 << 62)
        assert sum(it.boards for it in counted) == 1
        store.clock.wall = NOON + 6 * DAY_NS
        await store.retention.look()
        assert await store.archive.counters.first_ns("RO0001") is None
        assert await store.archive.boards.get("b1"), "nobody had its record"

    run(use, tmp_path / "s.db", retention={"alarms": {"days": 2}, "counters": {"days": 5}})


def test_an_alarm_of_a_time_when_the_clock_was_not_set_goes_with_its_end(tmp_path):
    dead = NOON - 9000 * DAY_NS

    async def use(store):
        def stood(id, at_ns):  # noqa: A002
            alarm = Alarm(id, "E100", "too hot", "fault", "zone/1/top", iso(at_ns), False)
            return [Event(topic, at_ns, "RO0001", AlarmTold(alarm)) for topic in ("Alarm.Raised", "Alarm.Cleared")]

        await store.append(*stood("a0", NOON))
        await store.journal.settled(store.journal.append(stood("a1", dead), clock="untrusted"))
        await store.append(state("", NOON + DAY_NS))
        store.clock.wall = NOON + DAY_NS
        await store.retention.look()
        assert await store.archive.alarms.get("a1")
        store.clock.wall = NOON + 4 * DAY_NS
        await store.retention.look()
        assert await store.archive.alarms.get("a1") is None

    run(use, tmp_path / "s.db", retention={"alarms": {"days": 2}})


def test_traces_have_a_limit_of_their_own(tmp_path):
    async def use(store):
        values = [float(n % 300) for n in range(50)]
        for number in range(3):
            record = board(f"b{number}", NOON + number * DAY_NS)
            trace = BoardTrace(record.id, [n / 2 for n in range(50)], values, {"zone/1/top": values})
            await store.append(left(record, trace))
        store.clock.wall = NOON + 2 * DAY_NS + 1
        await store.retention.look()
        kept = [await store.archive.boards.trace(f"b{number}", 100) for number in range(3)]
        assert [trace is not None for trace in kept] == [False, True, True]
        assert await store.rows("boards") == 3

    run(use, tmp_path / "s.db", retention={"traces": {"days": 2}})


def test_jobs_that_ended_go_and_those_that_run_stay(tmp_path):
    async def use(store):
        for id, at in (("old", "done"), ("runs", "running")):  # noqa: A001
            await store.archive.database.write(
                lambda c, id=id, at=at: jobs.put(c, job(id, NOON, at)))  # noqa: A006
        store.clock.wall = NOON + 400 * DAY_NS
        await store.retention.look()
        assert await store.archive.jobs.get("old") is None
        assert await store.archive.jobs.get("runs")

    run(use, tmp_path / "s.db")


def test_a_job_of_a_time_when_the_clock_was_not_set_is_as_old_as_those_before_it(tmp_path):
    async def use(store):
        for id, at_ns in (("before", NOON), ("dead battery", 946_684_800 * 10**9), ("after", NOON)):  # noqa: A001
            await store.archive.database.write(
                lambda c, id=id, at_ns=at_ns: jobs.put(c, job(id, at_ns, "done")))  # noqa: A006
        await store.retention.look()
        assert await store.rows("jobs") == 3
        store.clock.wall = NOON + 400 * DAY_NS
        await store.retention.look()
        assert await store.rows("jobs") == 0

    run(use, tmp_path / "s.db")


def test_an_audit_record_that_is_too_large_is_told_and_stays(tmp_path):
    async def use(store):
        record = tmp_path / "s.db.audit.000000000001"
        record.write_bytes(b"x" * 3_000_000)
        await store.retention.look()
        assert "is never deleted by the agent" in store.retention.fault()
        assert record.stat().st_size == 3_000_000

    run(use, tmp_path / "s.db", retention={"audit": {"megabytes": 2}})


def test_for_a_day_after_the_start_a_consumer_holds_back_that_did_when_the_agent_ended_and_no_other(tmp_path):
    async def use(store):
        store.retention._began = time.monotonic()
        await store.append(state(), scanned("X"))
        await store.consumer("mes", "Status.*", seen_ns=NOON - 13 * DAY_NS)
        await store.consumer("abandoned", "Board.*", seen_ns=NOON - 15 * DAY_NS)
        store.clock.wall = NOON + 100 * DAY_NS
        await store.retention.look()
        assert await store.told() == [1, GapRange(2, 2, 1, ("Board.BarcodeRead",))]
        store.steady.ended_ns = None
        await store.append(scanned("Y"))
        store.clock.wall += 100 * DAY_NS
        await store.retention.look()
        assert await store.rows("events") == 2

    run(use, tmp_path / "s.db", **OLD)


def test_the_status_of_a_store_says_what_is_kept_and_who_waits(tmp_path, capsys):
    async def use(store):
        await store.append(state(), finished("b1"), finished("b2"))
        await store.consumer("mes", "Board.*")
        await store.acknowledge("mes", 2)

    run(use, tmp_path / "s.db")
    assert cli.main(["store", "status", "--store", str(tmp_path / "s.db"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["firstSequence"], told["lastSequence"], told["neverHad"]) == (1, 3, 1)
    assert told["classes"]["boards"]["rows"] == 2
    (holding,) = told["holding"]
    assert (holding["consumer"], holding["owner"], holding["waiting"]) == ("mes", "mes", 1)
    assert cli.main(["store", "status", "--store", str(tmp_path / "s.db")]) == 0
    words = capsys.readouterr().out
    assert "records of boards that no consumer has acknowledged: 1" in words
    assert "mes of mes waits for 1 events after 2" in words
    assert cli.main(["store", "status", "--store", str(tmp_path / "nothing.db")]) == 1


# Whatever happens in whatever order

KINDS = [(topic, machine) for machine in MACHINES for topic in ("status", "board", "scan")]
FILTERS = [(("*",), None), (("Board.*",), None), (("Status.*", "Board.BarcodeRead"), ("RO0002",)),
           (("Board.ProcessCompleted",), ("RO0001",))]  # fmt: skip


def happening(number: int, kind: tuple[str, str], at_ns: int) -> Event:
    topic, machine = kind
    if topic == "board":
        return finished(f"{machine}-{number}", at_ns, machine)
    if topic == "scan":
        return msgspec.structs.replace(scanned(f"C{number}", machine), time_ns=at_ns)
    return state(str(number), at_ns, machine)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from(KINDS), min_size=1, max_size=12)),
        st.tuples(st.just("acknowledge"), st.integers(0, len(FILTERS) - 1), st.integers(1, 15)),
        st.tuples(st.just("trim"), st.integers(0, 48)),
        st.tuples(st.just("restart"), st.none()),
    ),
    min_size=4, max_size=25,
)  # fmt: skip


def expected(all_events: dict[int, tuple[str, str]], first: int, topics: tuple[str, ...],
             machines: tuple[str, ...] | None) -> list[int]:  # fmt: skip
    return [
        n for n, (machine, topic) in all_events.items()
        if n >= first and (machines is None or machine in machines) and any(matches(each, topic) for each in topics)
    ]  # fmt: skip


async def verify(store: Store, all_events: dict[int, tuple[str, str]], first: int, topics: tuple[str, ...],
                 machines: tuple[str, ...] | None) -> list[int | GapRange]:  # fmt: skip
    """Every wanted event is told, or is in a gap that says exactly how many went, in order."""
    wanted = expected(all_events, first, topics, machines)
    told = await store.told(first, *topics, machines=machines, limit=5)
    kept = {it for it in told if isinstance(it, int)}
    went = sorted(set(wanted) - kept)
    assert kept <= set(wanted)
    covered = []
    for gap in (it for it in told if isinstance(it, GapRange)):
        inside = [n for n in went if gap.from_ <= n <= gap.to]
        assert (inside[0], inside[-1], len(inside)) == (gap.from_, gap.to, gap.count)
        assert set(gap.topics) == {all_events[n][1] for n in inside}
        assert not any(gap.from_ <= n <= gap.to for n in kept)
        covered += inside
    assert covered == went
    return told


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(actions=ACTIONS, inactive=st.sampled_from([set(), {1}, {0, 1, 3}, {0, 1, 2, 3}]))
def test_every_consumer_sees_every_wanted_event_or_a_gap_that_covers_it_exactly(tmp_path_factory, actions, inactive):
    path = tmp_path_factory.mktemp("retention") / "s.db"
    all_events: dict[int, tuple[str, str]] = {}
    had: set[int] = set()
    clock = StandingClock()
    limits = {"consumer_days": 1, "retention": {name: {"days": 1} for name in ("events", "boards", "alarms")}}

    async def part(rest: list[tuple[str, Any]]) -> None:
        async with opened(path, clock, **limits) as store:
            for n, (topics, machines) in enumerate(FILTERS):
                if store.archive.consumers.get(f"c{n}") is None:
                    await store.archive.consumers.put(
                        Consumer(f"c{n}", "mes", topics, machines, store.journal.stream, 0, NOON, 0)
                    )
                if n not in inactive:
                    store.archive.consumers.present.add(f"c{n}")
            while rest:
                name, *values = rest.pop(0)
                if name == "restart":
                    break
                await act(store, name, *values)
            for topics, machines in FILTERS:
                await verify(store, all_events, 1, topics, machines)

    async def act(store: Store, name: str, *values: Any) -> None:
        if name == "append":
            clock.wall += 3_600_000_000_000
            first = store.journal.last_sequence + 1
            events = [happening(first + n, kind, clock.wall) for n, kind in enumerate(values[0])]
            assert await store.append(*events) == first + len(events) - 1
            all_events.update((first + n, (event.machine, event.topic)) for n, event in enumerate(events))
        elif name == "acknowledge":
            consumer = store.archive.consumers.get(f"c{values[0]}")
            told = await verify(store, all_events, consumer.acknowledged + 1, consumer.topics, consumer.machines)
            if values[0] not in inactive:
                assert all(isinstance(it, int) for it in told), "nothing that an active consumer waits for goes"
            some = told[: values[1]]
            if some:
                end = some[-1].to if isinstance(some[-1], GapRange) else some[-1]
                had.update(it for it in some if isinstance(it, int))
                await store.acknowledge(consumer.name, end)
        else:
            clock.wall += values[0] * 3_600_000_000_000
            await store.retention.look()
            everything = await store.told()
            kept = {it for it in everything if isinstance(it, int)}
            for n, (_, topic) in all_events.items():
                assert n in kept or topic != "Board.ProcessCompleted" or n in had, "nobody had it"

    rest = list(actions)
    while rest:
        asyncio.run(part(rest))


@pytest.mark.parametrize("first", [1, 4096, 9000])
def test_gaps_are_exact_over_very_many_events(tmp_path, first):
    async def use(store):
        for _ in range(10):
            await store.append(*(state(machine=MACHINES[n % 2]) for n in range(1000)), finished(f"b{_}"))
        store.clock.wall = NOON + 11 * DAY_NS
        await store.retention.look()
        told = await store.told(first, "Status.*", machines=("RO0002",), limit=100)
        last = store.journal.last_sequence
        assert sum(gap.count for gap in told) == sum(
            1 for n in range(first, last + 1) if n % 1001 and n % 1001 % 2 == 0)
        assert {gap.topics for gap in told} == {("Status.MachineStatusChanged",)}

    run(use, tmp_path / "s.db", **OLD)
