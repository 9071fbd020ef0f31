"""The agent's own alarms, as events, in the history, and over a restart."""

import re
from pathlib import Path

from edgeagent.clock import Clock
from edgeagent.own_alarms import OwnAlarms
from edgeagent.store import Checkpoints, Journal
from edgeagent.store.alarms import Alarms
from tests.store.samples import NOON, with_store

OVENS = ("RO0001", "RO0002")


class HandClock(Clock):
    now_ns = 1_000_000_000

    def wall_ns(self):
        return NOON + self.now_ns

    def monotonic_ns(self):
        return self.now_ns

    def pass_s(self, seconds):
        self.now_ns += round(seconds * 1e9)


def with_alarms(path, use, clock=None):
    """One life of an agent; returns the topics of its events with what is told of who ended them."""
    clock = clock or HandClock()

    async def live(database):
        journal = await Journal.open(database, clock)
        told = []
        journal.on_commit.append(lambda events: told.extend((e.topic, e.machine) for e in events))
        alarms = await OwnAlarms.open(OVENS, journal, Checkpoints(database, clock), clock)
        use(alarms, clock)
        await journal.settled(journal.last_sequence)
        found, _ = await Alarms(database).find()
        return told, found

    return with_store(path, live)


def test_a_fault_is_raised_once_at_every_machine_that_it_concerns_and_cleared_after_a_rest(tmp_path):
    fault = ["the disk is full"]

    def use(alarms, clock):
        alarms.watch("store", "storeRefuses", lambda: fault[0])
        for words in ("the disk is full", "the disk is full, 3 writes wait", None, "again", None):
            fault[0] = words
            alarms.look()
            clock.pass_s(1)
        assert [(a.code, a.text, a.object, a.severity, a.remote_reset) for a in alarms.of("RO0002")] == [
            ("storeRefuses", "the disk is full", "agent/store", "fault", False)
        ]
        clock.pass_s(10)
        alarms.look()
        assert not alarms.of("RO0001")

    told, history = with_alarms(tmp_path / "s.db", use)
    assert told == [(topic, oven) for topic in ("Alarm.Raised", "Alarm.Cleared") for oven in OVENS]
    assert {(it.machine, it.cleared_by) for it in history} == {(oven, "agent") for oven in OVENS}


def test_what_concerns_one_machine_is_not_told_at_another(tmp_path):
    def use(alarms, _):
        alarms.report("push/mes", "pushFails", "the MES does not answer", "warning", ["RO0002"])
        assert (len(alarms.of("RO0001")), len(alarms.of("RO0002"))) == (0, 1)

    assert with_alarms(tmp_path / "s.db", use)[0] == [("Alarm.Raised", "RO0002")]


def test_an_alarm_that_still_stands_after_a_restart_is_the_same_and_not_told_again(tmp_path):
    seen = []

    def use(alarms, _):
        alarms.watch("audit", "auditRefuses", lambda: "the disk is full")
        alarms.look()
        seen.append(alarms.of("RO0001"))

    assert len(with_alarms(tmp_path / "s.db", use)[0]) == 2
    assert with_alarms(tmp_path / "s.db", use)[0] == []
    assert seen[0] == seen[1]


def test_an_alarm_that_is_gone_after_a_restart_is_cleared_by_it_at_the_first_look(tmp_path):
    def before(alarms, _):
        alarms.watch("audit", "auditRefuses", lambda: "the disk is full")
        alarms.look()

    def after(alarms, _):
        alarms.watch("audit", "auditRefuses", lambda: None)
        alarms.look()

    with_alarms(tmp_path / "s.db", before)
    told, history = with_alarms(tmp_path / "s.db", after)
    assert told == [("Alarm.Cleared", oven) for oven in OVENS]
    assert {it.cleared_by for it in history} == {"restart"}


def test_an_alarm_of_which_nobody_tells_after_a_restart_is_cleared_after_a_minute(tmp_path):
    def before(alarms, _):
        alarms.report("push/mes", "pushFails", "the MES does not answer")

    def after(alarms, clock):
        alarms.look()
        assert alarms.of("RO0001")
        clock.pass_s(61)
        alarms.look()
        assert not alarms.of("RO0001")

    with_alarms(tmp_path / "s.db", before)
    assert with_alarms(tmp_path / "s.db", after)[0] == [("Alarm.Cleared", oven) for oven in OVENS]


def test_alarms_that_cannot_be_read_after_a_restart_are_forgotten_and_logged(tmp_path, caplog):
    async def spoil(database):
        clock = HandClock()
        Checkpoints(database, clock).save("the agent's alarms", b"[1")

    with_store(tmp_path / "s.db", spoil)
    assert with_alarms(tmp_path / "s.db", lambda alarms, _: alarms.look())[0] == []
    assert "cannot be read" in caplog.text


def test_what_somebody_ended_is_cleared_at_once_and_by_that_person(tmp_path):
    def use(alarms, clock):
        for _ in range(2):
            alarms.report("heat", "heatsUnfollowed", "it is on", "warning", OVENS[:1])
        assert not alarms.of("RO0002")
        alarms.report("heat", "heatsUnfollowed", None, machines=OVENS, by="mes")
        assert not alarms.of("RO0001")

    told, history = with_alarms(tmp_path / "s.db", use)
    assert told == [("Alarm.Raised", "RO0001"), ("Alarm.Cleared", "RO0001")]
    assert [(it.alarm.object, it.cleared_by) for it in history] == [("agent/heat", "mes")]


def test_every_alarm_of_the_agent_is_in_the_table_of_the_documents():
    house = Path(__file__).parents[1]
    source = (house / "edgeagent/wellbeing.py").read_text()
    codes = set(re.findall(r'"([a-z]+[A-Z]\w+)"', source))
    table = set(re.findall(r"^\| `(\w+)` \| `agent/", (house / "docs/reliability.md").read_text(), re.MULTILINE))
    assert len(codes) > 10
    assert codes == table - {"heatsUnfollowed"}
