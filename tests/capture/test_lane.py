"""What happens to boards: a table of journeys through the tunnel, each with what is told of it."""

from pathlib import Path

import pytest

from edgeagent.model.boards import BoardRecord
from edgeagent.model.machine import Machine
from firmware_iface import catalog
from tests.capture.tunnel import SETPOINTS, WINDOW, Tunnel


def record(tunnel: Tunnel, place: int = 0) -> BoardRecord:
    event = tunnel.only("Board.ProcessCompleted")[place]
    assert event.record is event.data.board
    return event.record


def test_a_board_goes_through_and_its_record_says_what_each_zone_did():
    tunnel = Tunnel()
    tunnel.run(2)
    entered_at = tunnel.now_ns
    tunnel.insert()
    tunnel.run(400)
    assert tunnel.topics()[-8:] == [
        "Board.ProcessStarted", "Status.LaneBusyChanged", "Status.MachineBusyChanged", "Status.MachineStatusChanged",
        "Board.ProcessCompleted", "Status.LaneBusyChanged", "Status.MachineBusyChanged", "Status.MachineStatusChanged",
    ]  # fmt: skip
    board = record(tunnel)
    assert board.identity == "certain"
    assert board.length_mm == pytest.approx(180, abs=2)
    assert board.recipe.name == "SAC305-A"
    assert board.process_ready is True
    assert [z.object for z in board.zones][:3] == ["zone/1/top", "zone/1/bottom", "zone/2/top"]
    assert len(board.zones) == 24
    first = board.zones[0]
    assert (first.at_centre, first.mean, first.setpoint, first.quality) == (160.0, 160.0, 160.0, "good")
    assert first.seconds == pytest.approx(305 / 13, abs=0.2)
    assert board.conveyor.mean == 78.0
    assert board.conveyor.exit_offset_mm == pytest.approx(0, abs=3)
    assert board.oxygen[0].mean == 600
    assert board.samples.expected == pytest.approx((4710 + 180) / 13 * 10, abs=10)
    assert board.samples.missing == 0
    assert board.samples.longest_gap_seconds == 0
    assert (board.verdict.process, board.verdict.profile) == ("pass", "unknown")
    completed = tunnel.only("Board.ProcessCompleted")[0]
    assert completed.time_ns - tunnel.only("Board.ProcessStarted")[0].time_ns == pytest.approx(
        (4710 + 180) / 13 * 1e9, abs=5e8)
    assert entered_at < tunnel.now_ns


def test_instruments_beside_the_oven_change_no_record_and_take_no_room_in_the_ring():
    instrument = Path(__file__).parents[1] / "journeys" / "instrument.toml"
    maps = catalog.builtin("reflow10"), catalog.load(instrument)
    alone, beside = Tunnel(), Tunnel(the_machine=Machine("RO0001", maps, "SN1", WINDOW))
    for tunnel in (alone, beside):
        tunnel.run(2)
        tunnel.insert()
        tunnel.run(400)
    one, other = record(alone), record(beside)
    assert len(one.zones) == 24
    assert (one.zones, one.conveyor, one.oxygen, one.samples) == (
        other.zones, other.conveyor, other.oxygen, other.samples)
    times, values, quality = beside.pipeline._ring.since(0)
    assert len(values) == len(quality) == len(times) * len(maps[0].registers) > 0


def test_extra_beats_of_the_other_groups_change_no_record():
    """As a refresh makes them; the group that keeps the pace has none."""
    plain, refreshed = Tunnel(), Tunnel()
    plain.run(2)
    refreshed.run(2)
    for tunnel in (plain, refreshed):
        tunnel.insert()
    for _ in range(400):
        plain.run(1)
        refreshed.run(0.5)
        for group in refreshed.machine.groups[1:]:
            refreshed.feed(group.name)
        refreshed.run(0.5)
    one, other = record(plain), record(refreshed)
    assert refreshed.topics() == plain.topics()
    assert (one.zones, one.conveyor, one.oxygen, one.samples, one.verdict) == (
        other.zones, other.conveyor, other.oxygen, other.samples, other.verdict)


def test_the_zone_entry_is_told_for_the_middle_of_the_board():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert(180)
    tunnel.run(400)
    board = record(tunnel)
    seconds = _seconds(board.zones[0].entered_at) - _seconds(board.entered_at)
    assert seconds == pytest.approx((250 + 90) / 13, abs=0.3)


def test_a_stopped_belt_lengthens_the_stay_and_changes_no_place():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    before = tunnel.pipeline.boards()[0].position_mm
    tunnel.speed = 0.0
    tunnel.run(30)
    assert tunnel.pipeline.boards()[0].position_mm == pytest.approx(before, abs=1.5)
    tunnel.speed = 78.0
    tunnel.run(290)
    board = record(tunnel)
    assert board.identity == "certain"
    assert board.conveyor.minimum == 0
    assert board.verdict.process == "fail"
    assert any(reason.startswith("process: conveyor was 7") for reason in board.verdict.reasons)
    stays = (tunnel.only("Board.ProcessCompleted")[0].time_ns - tunnel.only("Board.ProcessStarted")[0].time_ns) / 1e9
    assert stays == pytest.approx((4710 + 180) / 13 + 30, abs=0.5)


def test_boards_close_together_stay_two_boards_in_order():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert(100)
    tunnel.run((100 + 12) / 13)
    tunnel.insert(150)
    tunnel.run(450)
    assert len(tunnel.only("Board.ProcessStarted")) == 2
    first, second = record(tunnel, 0), record(tunnel, 1)
    assert first.length_mm == pytest.approx(100, abs=2)
    assert second.length_mm == pytest.approx(150, abs=2)
    assert [e.data.board.id for e in tunnel.only("Board.ProcessStarted")] == [first.id, second.id]
    assert (first.identity, second.identity) == ("certain", "certain")


def test_boards_without_a_gap_are_told_as_unexpected_and_their_one_record_is_uncertain():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert(300)
    tunnel.boards.append([-301.0, 300.0])
    tunnel.run(500)
    unexpected = tunnel.only("Board.Unexpected")
    assert len(unexpected) == 1
    assert "longer than 480 mm" in unexpected[0].data.reason
    assert len(tunnel.only("Board.ProcessStarted")) == 1
    assert record(tunnel).identity == "uncertain"


def test_a_bouncing_barrier_makes_one_board_that_entered_at_the_first_flicker():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.beat()
    at = tunnel.now_ns
    tunnel.flicker["inlet"] = [True, False, False, True, False, True, True, False, True]
    tunnel.run(450)
    assert len(tunnel.only("Board.ProcessStarted")) == 1
    assert record(tunnel).length_mm == pytest.approx(180, abs=3)
    started = tunnel.only("Board.ProcessStarted")[0]
    assert abs(started.time_ns - (tunnel._wall() - tunnel.now_ns) - at) <= 2e8


def test_a_hand_in_the_inlet_is_no_board():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.flicker["inlet"] = [True] * 20
    tunnel.run(30)
    assert tunnel.topics() == ["Recipe.Started", "Status.MachineStatusChanged"]


def test_a_hole_in_the_board_does_not_end_it():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(5)
    tunnel.flicker["inlet"] = [False] * 3
    tunnel.run(395)
    assert len(tunnel.only("Board.ProcessStarted")) == 1
    assert record(tunnel).length_mm == pytest.approx(180, abs=2)


def test_a_board_taken_out_by_hand_is_lost_with_its_record_and_the_next_one_is_not_mistaken():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(40)
    tunnel.insert()
    tunnel.run(100)
    tunnel.boards.pop(0)
    tunnel.run(400)
    lost = tunnel.only("Board.Lost")
    assert len(lost) == 1
    assert "500 mm of belt ago" in lost[0].data.reason
    assert lost[0].record.exited_at is None
    assert lost[0].record.verdict.process == "unknown"
    assert record(tunnel).id == tunnel.only("Board.ProcessStarted")[1].data.board.id
    assert record(tunnel).identity == "certain"
    assert not tunnel.pipeline.has_boards


def test_a_board_that_nobody_saw_enter_is_unexpected_and_gets_no_record():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.boards.append([2000.0, 180.0])
    tunnel.run(300)
    unexpected = tunnel.only("Board.Unexpected")
    assert len(unexpected) == 1
    assert unexpected[0].data.position == 4710.0
    assert unexpected[0].data.reason == "it came out and nobody saw it enter"
    assert not tunnel.only("Board.ProcessCompleted")


def test_what_covers_a_barrier_when_watching_begins_is_unexpected():
    tunnel = Tunnel()
    tunnel.boards.append([90.0, 180.0])
    tunnel.run(60)
    assert [e.data.position for e in tunnel.only("Board.Unexpected")] == [0.0]
    assert not tunnel.only("Board.ProcessStarted")


@pytest.mark.parametrize("slip", [0.985, 0.92])
def test_boards_that_slip_on_the_belt_are_found_late_in_order_and_told_so(slip):
    tunnel = Tunnel()
    tunnel.run(1)
    for _ in range(3):
        tunnel.insert()
        tunnel.run(30)
    tunnel.slip = slip
    tunnel.run(500)
    started = [e.data.board.id for e in tunnel.only("Board.ProcessStarted")]
    assert [e.data.board.id for e in tunnel.only("Board.ProcessCompleted")] == started
    for place in range(3):
        board = record(tunnel, place)
        slipped = (4710 - 13 * (90 - 30 * place)) * (1 / slip - 1)
        assert board.conveyor.exit_offset_mm == pytest.approx(slipped, abs=8)
        assert board.identity == ("uncertain" if slipped > 80 else "certain")


def test_a_barrier_that_stays_covered_keeps_no_board_for_ever():
    inlet, outlet = Tunnel(), Tunnel()
    inlet.run(1)
    inlet.flicker["inlet"] = [True] * 20_000
    inlet.run(900)
    assert len(inlet.only("Board.Unexpected")) == 1
    (lost,) = inlet.only("Board.Lost")
    assert (lost.record.length_mm, lost.record.identity) == (None, "uncertain")
    outlet.run(1)
    outlet.insert()
    outlet.run(370)
    outlet.flicker["outlet"] = [True] * 20_000
    outlet.run(900)
    (lost,) = outlet.only("Board.Lost")
    assert lost.data.reason == "it reached the outlet, and something covers the outlet since"
    assert not inlet.pipeline.has_boards
    assert not outlet.pipeline.has_boards


@pytest.mark.parametrize("phase", [0.0, 0.4, 0.8, 1.2, 1.6])
def test_an_outage_over_the_gap_between_two_boards_makes_no_certain_record_of_both_at_the_inlet(phase):
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert(180)
    tunnel.boards.append([-1.0 - 180 - 12, 180.0])
    tunnel.run(13.0 + phase)
    tunnel.miss(2.0)
    tunnel.run(420)
    told = tunnel.only("Board.ProcessCompleted") + tunnel.only("Board.Lost")
    assert told
    for event in told:
        if event.record.length_mm is not None and event.record.identity == "certain":
            assert event.record.length_mm == pytest.approx(180, abs=3)


@pytest.mark.parametrize("phase", [0.0, 0.4, 0.8, 1.2, 1.6])
def test_an_outage_over_the_gap_between_two_boards_at_the_outlet_loses_neither(phase):
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert(180)
    tunnel.boards.append([-1.0 - 180 - 12, 180.0])
    tunnel.run((4710 + 180) / 13 - 1.5 + phase)
    tunnel.miss(2.5)
    tunnel.run(60)
    started = [e.data.board.id for e in tunnel.only("Board.ProcessStarted")]
    assert [e.data.board.id for e in tunnel.only("Board.ProcessCompleted")] == started
    assert not tunnel.only("Board.Lost")
    assert not tunnel.only("Board.Unexpected")


def test_more_short_boards_than_anybody_would_lay_are_all_followed():
    tunnel = Tunnel()
    tunnel.run(1)
    for _ in range(90):
        tunnel.insert(48)
        tunnel.run(54 / 13)
    tunnel.run(420)
    assert len(tunnel.only("Board.ProcessCompleted")) == len(tunnel.only("Board.ProcessStarted")) == 90


def test_boards_queue_at_a_blocked_outlet_and_come_out_in_order():
    tunnel = Tunnel()
    tunnel.run(1)
    for _ in range(3):
        tunnel.insert(150)
        tunnel.run(25)
    tunnel.downstream_ready = False
    tunnel.run(400)
    blocked = tunnel.only("Status.MachineBlockedChanged")
    assert [e.data.blocked for e in blocked] == [True]
    assert len(tunnel.pipeline.boards()) == 3
    assert not tunnel.only("Board.Lost")
    tunnel.downstream_ready = True
    tunnel.run(60)
    assert [e.data.blocked for e in tunnel.only("Status.MachineBlockedChanged")] == [True, False]
    started = [e.data.board.id for e in tunnel.only("Board.ProcessStarted")]
    assert [e.data.board.id for e in tunnel.only("Board.ProcessCompleted")] == started
    assert not tunnel.only("Board.Lost")
    assert not tunnel.only("Board.Unexpected")


def test_several_boards_are_inside_at_once_and_each_keeps_its_own_figures():
    tunnel = Tunnel()
    tunnel.run(1)
    for place in range(5):
        tunnel.insert(120 + 10 * place)
        tunnel.run(30)
    assert [b.length_mm for b in tunnel.pipeline.boards()] == pytest.approx([120, 130, 140, 150, 160], abs=2)
    for zone in SETPOINTS:
        tunnel.set(f"zone/{zone}/top/temperature", SETPOINTS[zone] + 3)
    tunnel.run(400)
    boards = [record(tunnel, place) for place in range(5)]
    assert boards[0].zones[0].mean == 160.0
    assert boards[0].zones[22].mean == 63.0
    assert [b.identity for b in boards] == ["certain"] * 5


def test_a_silent_device_leaves_a_gap_in_the_record_and_no_value():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    tunnel.miss(2.5)
    tunnel.run(350)
    board = record(tunnel)
    assert board.samples.missing == 25
    assert board.samples.longest_gap_seconds == pytest.approx(2.6)
    assert board.samples.good == board.samples.expected - 25
    assert board.identity == "certain", "less than the shortest board passed unseen"
    assert "uncertain" in {zone.quality for zone in board.zones}
    assert board.verdict.process == "unknown"


def test_an_outage_that_could_hide_a_board_makes_identities_uncertain():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(100)
    tunnel.miss(10)
    tunnel.run(350)
    assert record(tunnel).identity == "uncertain"
    assert record(tunnel).samples.longest_gap_seconds == pytest.approx(10.1)


@pytest.mark.parametrize("before_s", [0.0, 8.0, 17.0])
@pytest.mark.parametrize("at_exit_s", [0.0, 12.0])
def test_a_board_whose_entry_an_outage_hid_comes_out_wherever_in_the_outage_it_came_in(before_s, at_exit_s):
    """Its place is known no better than its entry."""
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.boards.append([-1.0 - 13 * before_s, 300.0])
    tunnel.miss(18)
    tunnel.run(4710 / 13 + before_s - 18 - at_exit_s / 2)
    tunnel.miss(at_exit_s)
    tunnel.run(120)
    assert [e.data.board.id for e in tunnel.only("Board.ProcessStarted")] == [record(tunnel).id]
    assert record(tunnel).identity == "uncertain"
    assert not tunnel.only("Board.Lost")
    assert not tunnel.only("Board.Unexpected")


def test_an_exit_that_an_outage_hid_is_lost_and_the_reason_says_so():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert(100)
    tunnel.run(355)
    tunnel.miss(30)
    tunnel.run(100)
    lost = tunnel.only("Board.Lost")
    assert len(lost) == 1
    assert "an interruption of 30.1 s could have hidden its exit" in lost[0].data.reason


def _seconds(stamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(stamp).timestamp()
