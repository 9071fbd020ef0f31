"""A restart is one more gap: boards are carried on to where the belt has taken them, and the record tells it."""

import msgspec
import pytest

from edgeagent.capture.pipeline import Memory, MemoryUnreadable, Pipeline
from edgeagent.model.samples import Row
from tests.capture.tunnel import Tunnel, machine


def went_away(away_s: float, shift_ns: int = 0, before_s: float = 150.0) -> Tunnel:
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(before_s)
    tunnel.away(away_s)
    tunnel.restart(shift_ns)
    return tunnel


@pytest.mark.parametrize("shift_ns", [0, -900_000_000_000, 5_000_000_000_000], ids=["same boot", "earlier", "later"])
def test_a_board_is_found_where_the_belt_has_carried_it_and_its_record_tells_the_gap(shift_ns):
    tunnel = went_away(2.5, shift_ns)
    tunnel.beat()
    assert tunnel.pipeline.boards()[0].position_mm == pytest.approx(tunnel.boards[0][0], abs=2)
    tunnel.run(300)
    completed = tunnel.only("Board.ProcessCompleted")
    assert len(completed) == 1
    record = completed[0].record
    assert record.id == tunnel.only("Board.ProcessStarted")[0].data.board.id
    assert record.identity == "certain"
    assert record.samples.longest_gap_seconds == pytest.approx(2.6)
    assert record.samples.missing == pytest.approx(25, abs=1)
    assert record.conveyor.exit_offset_mm == pytest.approx(0, abs=3)
    assert record.profile.peak is not None
    assert not tunnel.only("Board.Lost")


def test_the_profile_after_a_restart_is_that_of_a_board_that_was_never_left_alone():
    left, watched = went_away(1.0), Tunnel()
    left.run(300)
    watched.run(1)
    watched.insert()
    watched.run(451)
    after = left.only("Board.ProcessCompleted")[0].record.profile
    before = watched.only("Board.ProcessCompleted")[0].record.profile
    assert after.peak == pytest.approx(before.peak, abs=0.2)
    assert after.soak == pytest.approx(before.soak, abs=0.2)


def test_a_board_that_was_entering_is_admitted_with_a_length_only_if_nobody_missed_its_end():
    seen = went_away(0.2, before_s=5.0)
    seen.run(420)
    assert seen.only("Board.ProcessCompleted")[0].record.length_mm == pytest.approx(180, abs=3)
    short = went_away(1.0, before_s=5.0)
    short.run(420)
    record = short.only("Board.ProcessCompleted")[0].record
    assert (record.length_mm, record.identity) == (None, "uncertain"), "13 mm could hide a gap between two boards"
    missed = went_away(20.0, before_s=5.0)
    missed.run(420)
    record = missed.only("Board.ProcessCompleted")[0].record
    assert record.length_mm is None
    assert record.identity == "uncertain"
    assert record.samples.longest_gap_seconds >= 20


def test_a_board_whose_end_cannot_have_left_while_nobody_looked_stays_certain():
    leaving = went_away(2.0, before_s=365.0)
    leaving.run(30)
    assert leaving.only("Board.ProcessCompleted")[0].record.identity == "certain", "half of it was still to come"


def test_a_belt_that_stood_before_and_after_an_absence_may_have_run_meanwhile():
    def stood(away_s: float) -> tuple[str, bool]:
        tunnel = Tunnel()
        tunnel.run(1)
        tunnel.insert()
        tunnel.run(100)
        tunnel.speed = 0.0
        tunnel.run(2)
        tunnel.away(away_s)
        tunnel.restart()
        tunnel.beat()
        return tunnel.pipeline.boards()[0].identity, "could have entered" in tunnel.pipeline.status(0).lanes[0].doubt

    assert stood(2.5) == ("certain", False)
    assert stood(5.0) == stood(100.0) == stood(3600.0) == ("uncertain", True), "one can have left and another come"


def test_a_belt_that_stopped_slowly_may_have_run_as_fast_as_before():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    for share in (0.3, 0.05, 0.01, 0.0):
        tunnel.speed = share * Tunnel().speed
        tunnel.run(1)
    tunnel.away(5)
    tunnel.restart()
    tunnel.beat()
    assert tunnel.pipeline.boards()[0].identity == "uncertain"


def test_how_fast_a_belt_was_that_an_earlier_version_saw_nobody_knows():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    tunnel.speed = 0.0
    tunnel.run(2)
    tunnel.away(5)
    memory = msgspec.msgpack.decode(tunnel.pipeline.checkpoint())
    [lane] = memory["lanes"].values()
    del lane["tracker"]["ran_mm_s"]
    rows = [row for _, row in tunnel.pipeline.history.rows()]
    tunnel.pipeline = Pipeline.restored(tunnel.machine, tunnel.row, msgspec.msgpack.encode(memory), 0, rows)
    tunnel.beat()
    assert tunnel.pipeline.boards()[0].identity == "uncertain"


def test_a_belt_that_stands_in_sight_leaves_nobody_in_doubt():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    tunnel.speed = 0.0
    tunnel.run(300)
    assert tunnel.pipeline.boards()[0].identity == "certain"


def test_a_belt_that_started_while_nobody_looked_may_have_done_so_at_once():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    tunnel.speed = 0.0
    tunnel.run(2)
    tunnel.away(4.0)
    tunnel.restart()
    tunnel.speed = 78.0
    tunnel.beat()
    assert tunnel.pipeline.boards()[0].identity == "uncertain", "27 mm are likely, 53 mm possible"


def test_a_board_on_its_way_out_is_completed():
    tunnel = went_away(10.0, before_s=368.0)
    assert len(tunnel.pipeline.boards()) == 1
    tunnel.run(30)
    assert tunnel.topics(tunnel.only("Board.ProcessCompleted")) == ["Board.ProcessCompleted"]
    assert not tunnel.only("Board.Lost")


def test_a_long_absence_makes_identities_uncertain():
    tunnel = went_away(60.0)
    tunnel.run(260)
    assert tunnel.only("Board.ProcessCompleted")[0].record.identity == "uncertain"


def test_a_board_that_left_unseen_is_lost_and_the_reason_names_the_interruption():
    tunnel = went_away(260.0)
    tunnel.run(30)
    lost = tunnel.only("Board.Lost")
    assert len(lost) == 1
    assert "an interruption of 260.1 s could have hidden its exit" in lost[0].data.reason


def raised() -> Tunnel:
    """A heater fault stands."""
    tunnel = Tunnel()
    tunnel.set("zone/3/top/heaterFault", 1)
    tunnel.run(5)
    tunnel.feed("zones")
    tunnel.run(5)
    tunnel.feed("zones")
    assert tunnel.only("Alarm.Raised")
    tunnel.events.clear()
    return tunnel


def test_nothing_that_stood_before_is_told_again():
    tunnel = raised()
    tunnel.restart()
    tunnel.run(5)
    for group in ("zones", "recipe", "scanner", "identity"):
        tunnel.feed(group)
    assert tunnel.events == []
    assert [alarm.object for alarm in tunnel.pipeline.alarms()] == ["zone/3/top"]


def test_an_alarm_that_the_map_does_not_know_any_more_is_told_as_cleared_once():
    tunnel = raised()
    memory = msgspec.msgpack.decode(tunnel.pipeline.checkpoint(), type=Memory)
    ((code, alarm),) = memory.alarms.items()
    memory.alarms = {"of an earlier map": alarm}
    tunnel.pipeline = Pipeline.restored(tunnel.machine, tunnel.row, msgspec.msgpack.encode(memory), 0, [])
    tunnel.run(0.2)
    assert [(event.topic, event.data.alarm.id, event.data.by) for event in tunnel.events] == [
        ("Alarm.Cleared", alarm.id, "restart")]  # fmt: skip
    tunnel.feed("zones")
    tunnel.run(5)
    tunnel.feed("zones")
    assert [it.code for it in tunnel.pipeline.alarms()] == [code]


def test_the_alarms_of_a_state_that_cannot_be_used_are_told_as_cleared():
    tunnel = raised()
    (alarm,) = tunnel.pipeline.alarms()
    begun = Pipeline(tunnel.machine, tunnel.row)
    (event,) = begun.give_up(tunnel.pipeline.checkpoint(), "another map", tunnel.now_ns, tunnel._wall())
    assert (event.topic, event.data.alarm, event.data.by) == ("Alarm.Cleared", alarm, "restart")
    assert begun.alarms() == ()


def test_what_changed_while_nobody_looked_is_told():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.set("zone/4/top/setpoint", 199.0)
    tunnel.restart()
    tunnel.feed("recipe")
    change = tunnel.only("Recipe.SettingChanged")[0].data.changes[0]
    assert (change.object, change.from_, change.to) == ("zone/4/top", 190.0, 199.0)


@pytest.mark.parametrize("damage", [b"", b"\xc1", msgspec.msgpack.encode({"lanes": 3})])
def test_a_checkpoint_that_cannot_be_read_is_refused_with_a_reason(damage):
    the_machine = machine()
    with pytest.raises(MemoryUnreadable):
        Pipeline.restored(the_machine, Row(len(the_machine.points), len(the_machine.groups)), damage, 0, [])


def test_a_checkpoint_of_a_board_that_does_not_fit_the_map_is_refused():
    tunnel = went_away(1.0)
    memory = msgspec.msgpack.decode(tunnel.pipeline.checkpoint())
    lane = memory["lanes"][1]
    next(iter(lane["passports"].values()))["core"] = b"\x01\x02"
    with pytest.raises(MemoryUnreadable):
        Pipeline.restored(tunnel.machine, tunnel.row, msgspec.msgpack.encode(memory), 0, [])


def test_a_board_that_stood_for_over_an_hour_is_taken_up_with_a_thinned_trace():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    tunnel.speed = 0.0
    for _ in range(4300):
        tunnel.now_ns += 900_000_000
        tunnel.beat()
    tunnel.restart()
    tunnel.speed = 78.0
    tunnel.run(320)
    assert len(tunnel.only("Board.ProcessCompleted")) == 1


def test_history_from_after_the_checkpoint_is_not_taken_up():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    checkpoint = tunnel.pipeline.checkpoint()
    tunnel.run(3)
    rows = [row for _, row in tunnel.pipeline.history.rows()]
    taken = Pipeline.restored(tunnel.machine, tunnel.row, checkpoint, 0, rows)
    assert len(taken.history.rows()) == len(rows) - 3


def test_the_boards_of_a_state_that_cannot_be_used_are_told_as_lost_with_what_is_known():
    tunnel = went_away(1.0)
    started = tunnel.only("Board.ProcessStarted")[0].data.board
    begun = Pipeline(tunnel.machine, tunnel.row)
    (event,) = begun.give_up(tunnel.pipeline.checkpoint(), "another map", tunnel.now_ns, tunnel._wall())
    assert (event.topic, event.data.reason) == ("Board.Lost", "another map")
    assert (event.record.id, event.record.entered_at) == (started.id, started.entered_at)
    assert event.record.identity == "uncertain"
    assert event.record.profile.peak is None
    assert {zone.quality for zone in event.record.zones} == {"bad"}
    assert event.record.verdict.process == "unknown"
    assert not begun.has_boards
    assert begun.give_up(b"nonsense", "x", tunnel.now_ns, tunnel._wall()) == []
