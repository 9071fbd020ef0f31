"""What operators do to boards and alarms: booked out, taken notice of, reset where the map lets it be from afar."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from edgeagent.control.alarms import Acknowledge, Reset, ResetAll
from edgeagent.control.allowance import Allowance
from edgeagent.control.boards import Empty, Remove
from edgeagent.control.procedure import Unknown, Withdrawn
from edgeagent.errors import CommandRefused, StoreError
from edgeagent.model.alarms import AlarmRecord
from edgeagent.model.functions.alarms import AcknowledgeAlarm, ResetAlarm
from edgeagent.model.functions.boards import ConfirmEmpty, RemoveBoard
from edgeagent.model.functions.forms import CommandParameters
from edgeagent.store.steady import Steady
from tests.control.bench import HandClock
from tests.control.rig import HandWork, Stand, cold, done, warm
from tests.store.samples import with_store


class History:
    """The alarms that are on disk."""

    def __init__(self, *records: AlarmRecord) -> None:
        self.records = {record.alarm.id: record for record in records}

    async def get(self, id: str) -> AlarmRecord | None:  # noqa: A002
        return self.records.get(id)


async def settled(_: int) -> None: ...


def kept(it: Stand, *records: AlarmRecord) -> Stand:
    it.context.archive.alarms = History(*records)
    it.context.archive.journal = SimpleNamespace(last_sequence=1, settled=settled)
    return it


def standing(it: Stand, code: str):
    return next(alarm for alarm in it.alarms() if alarm.code == code)


def fed(it: Stand, seconds: float = 30) -> str:
    """A board inside; its id."""
    it.device.insert_board("PCB1")
    it.run(seconds, 0.1)
    return it.boards()[0].id


def test_a_board_that_was_taken_out_is_booked_out_by_whoever_says_so():
    it = kept(warm())
    board = fed(it)
    work = HandWork(it, Remove(it, RemoveBoard(id=board, reason="it fell down"), it.context))
    done(work)
    assert work.procedure.answer(None).boards == (board,)
    (lost,) = [event for event in it.events if event.topic == "Board.Lost"]
    assert (lost.record.id, lost.data.reason, lost.data.by) == (board, "it fell down", "anna")
    with pytest.raises(CommandRefused, match="no board") as refused:
        Remove(it, RemoveBoard(id=board, reason="again"), it.context)
    assert refused.value.kind == "notFound"


def empty(it: Stand, lane: int | None = None) -> HandWork:
    return HandWork(it, Empty(it, ConfirmEmpty(lane=lane, reason="looked"), it.context))


def test_a_tunnel_is_not_taken_for_empty_with_something_in_a_barrier():
    it = kept(warm())
    it.device.insert_board("PCB1")
    it.run(15, 0.1)
    reasons = list(empty(it).procedure.interlocks())
    assert any("covers the inlet barrier of lane 1" in reason for reason in reasons)


def test_a_tunnel_is_not_taken_for_empty_right_after_a_board_entered():
    it = kept(warm())
    board = fed(it, 40)
    (reason,) = empty(it).procedure.interlocks()
    assert f"The board {board} entered lane 1" in reason
    it.run(60, 0.1)
    assert done(empty(it)) == "1 boards were booked out."
    assert not it.boards()


def test_a_board_that_enters_after_it_was_permitted_is_not_booked_out():
    it = kept(warm())
    work = empty(it)
    assert not list(work.procedure.interlocks())

    async def slow_disk(text: str) -> None:
        it.device.insert_board("PCB1")
        it.run(40, 0.1)

    work.step = slow_disk
    with pytest.raises(CommandRefused, match="entered lane 1") as refused:
        done(work)
    assert refused.value.kind == "interlocked"
    assert len(it.boards()) == 1


def test_a_clock_that_was_set_back_makes_no_board_that_has_just_entered_an_old_one():
    it = kept(warm())
    fed(it, 40)
    wall_ns = it.clock.wall_ns()
    it.clock.wall_ns = lambda: wall_ns - 3_600_000_000_000
    (reason,) = empty(it).procedure.interlocks()
    assert "set back" in reason and "Board.Remove" in reason


def test_boards_that_were_booked_out_and_are_not_on_disk_are_not_told_as_if_nothing_had_happened():
    it = kept(warm())
    board = fed(it)

    async def full(_: int) -> None:
        raise StoreError("the disk is full")

    it.context.archive.journal.settled = full
    with pytest.raises(Unknown, match="1 boards were booked out, and that is not on disk: the disk is full"):
        done(HandWork(it, Remove(it, RemoveBoard(id=board, reason="it fell down"), it.context)))


def test_a_machine_that_does_not_answer_cannot_be_kept_an_eye_on():
    it = kept(warm())
    it.fault("silent")
    it.run(10)
    (reason,) = empty(it).procedure.interlocks()
    assert "does not answer" in reason


def test_a_lane_that_is_none_is_not_found():
    with pytest.raises(CommandRefused, match="no lane 3"):
        empty(kept(cold()), 3)


def acknowledge(it: Stand, alarm: str) -> HandWork:
    return HandWork(it, Acknowledge(it, AcknowledgeAlarm(id=alarm), it.context))


def lost_air() -> Stand:
    """Compressed air was lost for a moment: its alarm is latched."""
    it = warm()
    it.fault("air-lost@0+5")
    it.run(10)
    return kept(it)


def test_an_alarm_is_taken_notice_of_once_whether_it_is_on_disk_yet_or_not():
    it = lost_air()
    alarm = standing(it, "E082")
    work = acknowledge(it, alarm.id)
    done(work)
    (event,) = work.told
    assert (event.topic, event.data.alarm, event.data.by) == ("Alarm.Acknowledged", alarm, "anna")
    assert work.procedure.answer(None).acknowledged_by == "anna"
    record = AlarmRecord("RO0001", alarm, "2026-11-21T21:00:00.000Z", "machine", "2026-11-21T22:00:00.000Z", "ben")
    work = acknowledge(kept(it, record), alarm.id)
    done(work)
    assert work.told == []
    answer = work.procedure.answer(None)
    assert (answer.acknowledged_by, answer.acknowledged_at) == ("ben", "2026-11-21T22:00:00.000Z")


def test_an_alarm_that_ended_can_be_taken_notice_of_and_one_of_another_machine_cannot():
    it = lost_air()
    alarm = standing(it, "E082")
    it.pipeline._alarms.standing.clear()
    work = acknowledge(kept(it, AlarmRecord("RO0001", alarm, "2026-11-21T21:00:00.000Z", "machine")), alarm.id)
    done(work)
    assert len(work.told) == 1
    for history in ((AlarmRecord("RO0002", alarm),), ()):
        with pytest.raises(CommandRefused, match="no alarm"):
            done(acknowledge(kept(it, *history), alarm.id))


def reset(it: Stand, alarm: str | None = None) -> HandWork:
    if alarm is None:
        return HandWork(it, ResetAll(it, CommandParameters(), it.context))
    return HandWork(it, Reset(it, ResetAlarm(id=alarm), it.context))


def test_a_latched_alarm_whose_cause_is_gone_is_reset_and_nothing_starts():
    it = lost_air()
    alarm, state = standing(it, "E082"), it.device.state
    work = reset(it, alarm.id)
    assert done(work) is None
    answer = work.procedure.answer(None)
    assert (answer.reset, answer.remaining) == ((alarm.id,), ())
    assert work.wrote == [("command/alarmReset", 1)]
    assert it.device.state == state


def test_an_alarm_whose_cause_still_stands_remains_and_says_why():
    it = warm()
    it.fault("air-lost")
    it.run(5)
    work = reset(kept(it), standing(it, "E082").id)
    assert done(work) == "1 alarms still stand."
    (remaining,) = work.procedure.answer(None).remaining
    assert (remaining.code, remaining.reason) == ("E082", "Its cause still stands: air/lostLatched is 1.0.")


def test_a_reset_of_a_machine_whose_hood_was_opened_starts_neither_belt_nor_heat():
    it = warm()
    it.fault("hood-open@0+5")
    it.run(60)
    assert it.device.state == "coolingDown"
    kept(it)
    work = reset(it)
    done(work)
    it.run(60)
    assert "E080" in {alarm.code for alarm in work.procedure._asked}
    assert not it.device.is_heating
    assert it.device.state in ("coolingDown", "standby")


def test_what_the_map_does_not_mark_is_reset_at_the_machine_only():
    it = warm()
    it.fault("overtemperature@0+5")
    it.fault("air-lost@0+5")
    it.run(10)
    kept(it)
    (reason,) = reset(it, standing(it, "E086").id).procedure.interlocks()
    assert "can only be reset at the machine" in reason


def declared(it: Stand) -> Stand:
    """The same machine, whose map says that its one reset is for all alarms."""
    its = it.machine.map
    commands = tuple(replace(each, resets_all=each.name == "alarmReset") for each in its.commands)
    it.machine.map = replace(its, commands=commands)
    return it


def tripped() -> Stand:
    """Air was lost for a moment, which may be reset from afar, and the cut-out tripped, which may not."""
    it = warm()
    it.fault("overtemperature@0+5")
    it.fault("air-lost@0+5")
    it.run(10)
    return kept(it)


@pytest.mark.parametrize("asked", ["E082", None])
def test_a_reset_of_all_alarms_is_not_given_while_one_stands_that_the_map_does_not_mark(asked):
    it = tripped()
    work = reset(it, asked and standing(it, asked).id)
    (reason,) = work.procedure.interlocks()
    assert "E086 'Overtemperature cut-out tripped, to be reset at the panel'" in reason
    assert "E082" not in reason


@pytest.mark.parametrize("asked", ["E082", None])
def test_an_alarm_that_comes_after_it_was_permitted_keeps_the_reset_from_being_given(asked):
    it = lost_air()
    work = reset(it, asked and standing(it, asked).id)
    assert not list(work.procedure.interlocks())

    async def slow_disk(text: str) -> None:
        it.fault("overtemperature@0+5")
        it.run(10)

    work.step = slow_disk
    with pytest.raises(Withdrawn, match="E086"):
        done(work)
    assert work.wrote == []


def test_a_map_that_declares_it_resets_all_and_what_it_does_not_mark_is_never_asked_for_by_itself():
    it = declared(tripped())
    assert list(reset(it, standing(it, "E086").id).procedure.interlocks())
    work = reset(it)
    done(work)
    answer = work.procedure.answer(None)
    assert [(alarm.code, alarm.reason) for alarm in answer.remaining if alarm.code == "E086"] == [
        ("E086", "It can only be reset at the machine.")]  # fmt: skip
    assert "E082" not in {alarm.code for alarm in answer.remaining}
    assert "machine/overtemperatureLatched" in it.device.interlocks.latched


def test_an_alarm_that_ended_needs_no_reset_and_one_that_nobody_knows_is_not_found():
    it = lost_air()
    alarm = standing(it, "E082")
    it.pipeline._alarms.standing.clear()
    work = reset(kept(it, AlarmRecord("RO0001", alarm, "2026-11-21T21:00:00.000Z", "machine")), alarm.id)
    assert done(work) == "It had ended by itself."
    assert work.procedure.answer(None).reset == (alarm.id,)
    assert work.wrote == []
    with pytest.raises(CommandRefused, match="no alarm"):
        done(reset(kept(it), "nobody's"))


def test_nothing_is_reset_during_an_emergency_stop():
    it = lost_air()
    it.fault("emergency-stop")
    it.run(5)
    (reason,) = reset(declared(it)).procedure.interlocks()
    assert "emergency stop" in reason


MINUTE = 60_000_000_000


def test_alarms_are_reset_five_times_in_a_quarter_of_an_hour_also_over_a_restart_and_by_a_clock_that_is_set(tmp_path):
    async def work(database) -> None:
        clock = HandClock()
        allowance = Allowance(5, 15, await Steady.open(database, clock))
        for _ in range(5):
            assert allowance.spent("RO0001") is None
            allowance.add("RO0001")
            clock.now_ns += MINUTE
        assert "reset 5 times" in allowance.spent("RO0001")
        assert allowance.spent("RO0002") is None
        for hours in (25, -50):
            clock.ahead_ns += hours * 60 * MINUTE
            assert "reset 5 times" in allowance.spent("RO0001"), "the clock was set"
        await database.write(lambda _: None)
        again = Allowance(5, 15, await Steady.open(database, clock))
        assert again.spent("RO0001") is None
        await again.load()
        clock.now_ns += 9 * MINUTE
        assert "reset 5 times" in again.spent("RO0001")
        clock.now_ns += MINUTE
        assert again.spent("RO0001") is None
        assert again._times.keys() == {"RO0001"}

    with_store(tmp_path / "s.db", work)
