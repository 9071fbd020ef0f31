"""Boards that people take out, and what may be in the tunnel that nobody saw enter."""

import pytest

from tests.capture.tunnel import Tunnel


def started(*after_s: float) -> Tunnel:
    """A tunnel that is known to be empty, then boards; after each so many seconds."""
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.book_out()
    for seconds in after_s:
        tunnel.insert()
        tunnel.run(seconds)
    tunnel.events.clear()
    return tunnel


def doubt(tunnel: Tunnel) -> str | None:
    return tunnel.pipeline.status(tunnel.now_ns).lanes[0].doubt


def test_a_board_booked_out_is_lost_with_its_record_the_reason_and_who_said_so():
    tunnel = started(150)
    (board,) = tunnel.pipeline.boards()
    told = tunnel.book_out(board.id, "it hung at zone 5", "anna")
    assert tunnel.topics(told) == ["Board.Lost", "Status.LaneBusyChanged", "Status.MachineBusyChanged"]
    lost = told[0]
    assert (lost.data.reason, lost.data.by) == ("it hung at zone 5", "anna")
    assert (lost.record.id, lost.record.exited_at) == (board.id, None)
    assert lost.record.length_mm == pytest.approx(180, abs=2)
    assert lost.record.zones[0].at_centre == pytest.approx(160, abs=1)
    assert lost.trace.id == board.id
    assert not tunnel.pipeline.boards()
    assert doubt(tunnel) is None, "a board that somebody holds in his hands is not in the tunnel"


def test_the_boards_before_and_behind_one_that_was_taken_out_are_judged_as_always():
    tunnel = started(100, 40, 40)
    first, second, third = tunnel.pipeline.boards()
    del tunnel.boards[1]
    tunnel.book_out(second.id)
    tunnel.run(450)
    assert [event.record.id for event in tunnel.only("Board.ProcessCompleted")] == [first.id, third.id]
    assert {event.record.identity for event in tunnel.only("Board.ProcessCompleted")} == {"certain"}
    assert [event.record.id for event in tunnel.only("Board.Lost")] == [second.id]
    assert not tunnel.only("Board.Unexpected")


def test_a_board_booked_out_while_it_enters_makes_room_for_the_next():
    tunnel = started(8)
    (board,) = tunnel.pipeline.boards()
    assert board.length_mm is None
    tunnel.boards.clear()
    (lost, *_) = tunnel.book_out(board.id)
    assert (lost.record.id, lost.record.length_mm) == (board.id, None)
    tunnel.run(2)
    tunnel.insert()
    tunnel.run(420)
    (left,) = tunnel.only("Board.ProcessCompleted")
    assert left.record.length_mm == pytest.approx(180, abs=2)
    assert len(tunnel.only("Board.ProcessStarted")) == 1
    assert not tunnel.only("Board.Unexpected")


def test_a_board_booked_out_at_the_outlet_leaves_the_next_one_its_own_edges():
    tunnel = started(30, 340)
    while not tunnel.row.values[tunnel.machine.column["lane/1/outlet"]]:
        tunnel.beat()
    tunnel.run(5)
    first, second = tunnel.pipeline.boards()
    tunnel.boards.pop(0)
    tunnel.book_out(first.id)
    tunnel.run(60)
    assert [event.record.id for event in tunnel.only("Board.ProcessCompleted")] == [second.id]
    assert not tunnel.only("Board.Unexpected")


def test_boards_that_queue_move_up_when_the_first_was_taken_away():
    tunnel = started(20, 300)
    tunnel.downstream_ready = False
    tunnel.run(120)
    first, second = tunnel.pipeline.boards()
    tunnel.boards.pop(0)
    tunnel.book_out(first.id)
    tunnel.run(60)
    tunnel.downstream_ready = True
    tunnel.run(60)
    assert [event.record.id for event in tunnel.only("Board.ProcessCompleted")] == [second.id]
    assert [event.record.id for event in tunnel.only("Board.Lost")] == [first.id]


def test_a_board_booked_out_by_mistake_comes_out_unexpected_and_the_reason_says_so():
    tunnel = started(200)
    (board,) = tunnel.pipeline.boards()
    tunnel.book_out(board.id)
    tunnel.run(240)
    (unexpected,) = tunnel.only("Board.Unexpected")
    assert "booked out by hand" in unexpected.data.reason
    assert unexpected.data.reason in doubt(tunnel)


def test_a_tunnel_that_was_found_empty_has_no_board_and_no_doubt():
    tunnel = started(100, 40)
    boards = [board.id for board in tunnel.pipeline.boards()]
    tunnel.boards.clear()
    told = tunnel.book_out(None, "opened the hood, nothing inside", "ben")
    assert [event.record.id for event in told if event.record] == boards
    assert {event.data.by for event in told if event.record} == {"ben"}
    assert doubt(tunnel) is None
    tunnel.run(100)
    assert tunnel.topics() == ["Board.Lost", "Board.Lost", "Status.LaneBusyChanged", "Status.MachineBusyChanged",
                               "Status.MachineStatusChanged"]  # fmt: skip


def test_a_board_that_is_not_inside_cannot_be_booked_out():
    tunnel = started(100)
    with pytest.raises(KeyError):
        tunnel.pipeline.book_out(1, 77, "gone", "anna", tunnel.now_ns, 1)
    assert tunnel.pipeline.place_of("nobody's") is None


def test_what_was_booked_out_stays_so_after_a_restart():
    tunnel = started(100, 40)
    first, second = tunnel.pipeline.boards()
    del tunnel.boards[0]
    tunnel.book_out(first.id)
    tunnel.restart()
    assert [board.id for board in tunnel.pipeline.boards()] == [second.id]
    assert doubt(tunnel) is None
    tunnel.run(430)
    assert [event.record.id for event in tunnel.only("Board.ProcessCompleted")] == [second.id]


def test_a_tunnel_is_not_known_to_be_empty_until_the_belt_has_carried_everything_out():
    tunnel = Tunnel()
    tunnel.run(1)
    assert "since watching began" in doubt(tunnel)
    tunnel.run(390)
    assert doubt(tunnel) is not None
    tunnel.run(20)
    assert doubt(tunnel) is None


def test_a_belt_that_stands_carries_nothing_out():
    tunnel = Tunnel(speed=0.0)
    tunnel.run(600)
    assert doubt(tunnel) is not None


@pytest.mark.parametrize(("silence_s", "speed", "doubts"), [
    (2.0, 78.0, False), (4.0, 78.0, True), (2.0, 0.0, False), (100.0, 0.0, True),
])  # fmt: skip
def test_a_silence_in_which_a_board_could_have_entered_puts_the_tunnel_in_doubt(silence_s, speed, doubts):
    tunnel = started()
    tunnel.speed = speed
    tunnel.run(1)
    tunnel.miss(silence_s)
    tunnel.run(1)
    assert (doubt(tunnel) is not None) == doubts
    if doubts:
        assert f"for {silence_s + 0.1:.1f} s" in doubt(tunnel)


def test_a_lost_board_stays_in_doubt_until_somebody_has_looked():
    tunnel = started(100)
    tunnel.boards.clear()
    tunnel.run(900)
    assert len(tunnel.only("Board.Lost")) == 1
    assert "a board was lost" in doubt(tunnel)
    tunnel.miss(10)
    tunnel.run(600)
    assert "a board was lost" in doubt(tunnel), "what stays is not forgotten for what the belt has carried out"
    tunnel.restart()
    assert "a board was lost" in doubt(tunnel)
    tunnel.book_out()
    assert doubt(tunnel) is None


def test_a_restart_on_another_boot_whose_time_is_not_known_puts_the_tunnel_in_doubt():
    tunnel = started(100)
    checkpoint = tunnel.pipeline.checkpoint()
    tunnel.pipeline = type(tunnel.pipeline).restored(tunnel.machine, tunnel.row, checkpoint, 0, [])
    tunnel.pipeline.doubt_all("how long nobody looked cannot be known")
    assert tunnel.pipeline.boards()[0].identity == "uncertain"
    assert "cannot be known" in doubt(tunnel)
