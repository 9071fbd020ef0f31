from __future__ import annotations

import pytest

from edgeagent.clock import iso
from edgeagent.errors import CommandRefused
from edgeagent.model.alarms import Alarm
from edgeagent.model.events import AlarmTold, Event
from edgeagent.store import Journal, pages
from edgeagent.store.alarms import Alarms
from tests.store.samples import NOON, with_store

MINUTE = 60_000_000_000


def alarm(id, raised_ns):  # noqa: A002
    return Alarm(id, "E405", "zone 3 is too cold", "fault", "zone/3/top", iso(raised_ns), False)


def raised(id, at_ns, machine="RO0001"):  # noqa: A002
    return Event("Alarm.Raised", at_ns, machine, AlarmTold(alarm(id, at_ns)))


def cleared(id, raised_ns, at_ns, machine="RO0001"):  # noqa: A002
    return Event("Alarm.Cleared", at_ns, machine, AlarmTold(alarm(id, raised_ns), "machine"))


def kept(path, events, use):
    async def work(database):
        journal = await Journal.open(database)
        await journal.settled(journal.append(events))
        return await use(Alarms(database), database)

    return with_store(path, work)


async def pages_of(alarms, limit, **question):
    found, cursor = await alarms.find(limit=limit, **question)
    result = [*found]
    while cursor is not None:
        assert len(found) == limit
        found, cursor = await alarms.find(limit=limit, cursor=cursor, **question)
        assert found
        result += found
    return [record.alarm.id for record in result]


def test_an_alarm_is_remembered_from_its_raising_to_its_end(tmp_path):
    async def use(alarms, _):
        found, cursor = await alarms.find()
        assert cursor is None
        assert [(it.alarm.id, it.cleared_at, it.cleared_by) for it in found] == [
            ("a2", None, None), ("a1", iso(NOON + MINUTE), "machine")]  # fmt: skip
        assert {(it.acknowledged_at, it.acknowledged_by) for it in found} == {(None, None)}
        assert found[1].alarm == alarm("a1", NOON)
        assert found[1].machine == "RO0001"

    kept(tmp_path / "s.db", [raised("a1", NOON), raised("a2", NOON + 2), cleared("a1", NOON, NOON + MINUTE)], use)


def test_the_end_of_an_alarm_whose_raising_was_never_written_brings_it_into_the_history(tmp_path):
    async def use(alarms, _):
        found, _cursor = await alarms.find()
        assert [(it.alarm, it.cleared_at) for it in found] == [(alarm("a1", NOON), iso(NOON + MINUTE))]

    kept(tmp_path / "s.db", [cleared("a1", NOON, NOON + MINUTE)], use)


def test_pages_hold_the_alarms_of_a_machine_and_a_time_the_last_raised_first(tmp_path):
    events = [raised(f"a{n}", NOON + n // 2 * MINUTE, f"RO000{n % 3}") for n in range(20)]

    async def use(alarms, _):
        everything = [f"a{n}" for n in sorted(range(20), key=lambda n: (n // 2, f"a{n}"), reverse=True)]
        for limit in (1, 3, 50):
            assert await pages_of(alarms, limit) == everything
            assert await pages_of(alarms, limit, machine="RO0001") == [
                id for id in everything if int(id[1:]) % 3 == 1]  # fmt: skip  # noqa: A001
            span = {"since_ns": NOON + 2 * MINUTE, "until_ns": NOON + 4 * MINUTE}
            assert await pages_of(alarms, limit, **span) == ["a7", "a6", "a5", "a4"]
        with pytest.raises(CommandRefused, match="cursor"):
            await alarms.find(cursor="nonsense!")

    kept(tmp_path / "s.db", events, use)


def test_a_damaged_alarm_is_left_out_and_logged_and_its_end_brings_it_back(tmp_path, caplog):
    async def use(alarms, database):
        await database.write(lambda c: c.execute("UPDATE alarms SET body = x'7b7d' WHERE id = 'a1'") and None)
        assert await pages_of(alarms, 5) == ["a2"]
        assert "alarm a1 is damaged" in caplog.text
        await database.write(lambda c: c.execute("UPDATE alarms SET crc = 1 WHERE id = 'a2'") and None)
        assert await pages_of(alarms, 5) == []
        journal = await Journal.open(database)
        await journal.settled(journal.append([cleared("a1", NOON, NOON + MINUTE)]))
        assert await pages_of(alarms, 5) == ["a1"]

    kept(tmp_path / "s.db", [raised("a1", NOON), raised("a2", NOON + 2)], use)


def test_an_alarm_whose_time_is_none_is_refused_before_anything_is_numbered(tmp_path):
    async def use(database):
        journal = await Journal.open(database)
        told = AlarmTold(Alarm("a1", "E1", "too hot", "fault", "zone/1/top", "yesterday", False))
        with pytest.raises(ValueError, match="yesterday"):
            journal.append([Event("Alarm.Raised", NOON, "RO0001", told)])
        assert journal.last_sequence == 0

    with_store(tmp_path / "s.db", use)


@pytest.mark.parametrize(
    ("table", "time", "equal", "index"),
    [
        ("alarms", "raised_ns", {"machine": None}, "alarms_by_time"),
        ("alarms", "raised_ns", {"machine": "RO0001"}, "alarms_by_machine"),
        ("jobs", "accepted_ns", {"state": None, "machine": None}, "jobs_by_time"),
        ("jobs", "accepted_ns", {"state": "done", "machine": None}, "jobs_by_state"),
        ("jobs", "accepted_ns", {"state": None, "machine": "RO0001"}, "jobs_by_machine"),
    ],
)
@pytest.mark.parametrize("before", [None, (NOON, "a")])
def test_every_page_goes_by_an_index_and_sorts_nothing(tmp_path, table, time, equal, index, before):
    query, values = pages.newest(table, time, equal, NOON, None, before)

    async def use(database):
        return await database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {query}", (*values, 51)).fetchall())

    plan = [row[3] for row in with_store(tmp_path / "s.db", use)]
    assert len(plan) == 1
    assert f"SEARCH {table} USING INDEX {index} (" in plan[0]


def acknowledged(id, raised_ns, at_ns, by):  # noqa: A002
    return Event("Alarm.Acknowledged", at_ns, "RO0001", AlarmTold(alarm(id, raised_ns), by))


@pytest.mark.parametrize("is_over", [False, True])
def test_who_took_notice_first_stays_in_the_history_whether_the_alarm_stands_or_ended(tmp_path, is_over):
    taken = [acknowledged("a1", NOON, NOON + 2 * MINUTE, "anna"), acknowledged("a1", NOON, NOON + 3 * MINUTE, "ben")]
    end = cleared("a1", NOON, NOON + MINUTE)

    async def use(alarms, _):
        found = await alarms.get("a1")
        assert (found.acknowledged_at, found.acknowledged_by) == (iso(NOON + 2 * MINUTE), "anna")
        assert (found.cleared_at, found.cleared_by) == (iso(NOON + MINUTE), "machine")
        assert await alarms.get("a2") is None

    kept(tmp_path / "s.db", [raised("a1", NOON), *([end, *taken] if is_over else [*taken, end])], use)
