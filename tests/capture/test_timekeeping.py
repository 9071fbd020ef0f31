"""A clock that is set while boards are inside: order and durations stand, and what happened to it is told."""

from itertools import pairwise

import pytest

from edgeagent.capture.pipeline import Pipeline
from edgeagent.clock import instant_ns, iso
from tests.capture.tunnel import Tunnel

HOUR = 3600.0


def kept(tunnel: Tunnel, is_trusted: bool = True) -> list[tuple[str, str, str]]:
    told = tunnel.pipeline.keep_time(tunnel.now_ns, tunnel._wall(), is_trusted)
    assert {(event.topic, event.data.by, event.time_ns) for event in told} <= {
        ("Configuration.Changed", "computer", tunnel._wall())}  # fmt: skip
    return [(event.data.what, event.data.from_, event.data.to) for event in told]


@pytest.mark.parametrize("set_s", [5 * HOUR, -5 * HOUR, 365 * 24 * HOUR])
def test_the_times_of_a_record_are_all_by_the_clock_as_it_is_at_its_end_and_its_durations_stand(set_s):
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(200)
    tunnel.set_s = set_s
    tunnel.run(250)
    (started,), (completed,) = tunnel.only("Board.ProcessStarted"), tunnel.only("Board.ProcessCompleted")
    record = completed.record
    assert record.id == started.data.board.id
    entered, exited = instant_ns(record.entered_at), instant_ns(record.exited_at)
    assert (exited - entered) / 1e9 == pytest.approx((4710 + 180) / 13, abs=0.3)
    assert (entered - instant_ns(started.data.board.entered_at)) / 1e9 == pytest.approx(set_s, abs=0.01)
    zones = [instant_ns(zone.entered_at) for zone in record.zones]
    assert entered < zones[0]
    assert all(before <= after for before, after in pairwise(zones))
    assert zones[-1] < exited
    third = [zone.seconds for zone in record.zones if zone.object.startswith("zone/3/")]
    assert third == pytest.approx([305 / 13] * 2, abs=0.1)
    assert record.identity == "certain"
    assert record.verdict.process == "pass"
    assert record.samples.missing == 0
    assert exited == completed.time_ns // 1_000_000 * 1_000_000


def test_a_clock_that_follows_its_source_leaves_the_time_of_entry_as_it_was_told():
    tunnel = Tunnel()
    tunnel.run(1)
    tunnel.insert()
    tunnel.run(200)
    tunnel.set_s = 0.3
    tunnel.run(250)
    told = tunnel.only("Board.ProcessStarted")[0].data.board.entered_at
    assert tunnel.only("Board.ProcessCompleted")[0].record.entered_at == told


@pytest.mark.parametrize("set_s", [5 * HOUR, -5 * HOUR])
def test_a_clock_that_was_set_is_told_with_what_it_would_have_shown(set_s):
    tunnel = Tunnel()
    assert kept(tunnel) == [], "the first look only learns"
    tunnel.run(1)
    assert kept(tunnel) == []
    would = iso(tunnel._wall())
    tunnel.set_s = set_s
    assert kept(tunnel) == [("time", would, iso(tunnel._wall()))]
    assert kept(tunnel) == []


def test_a_clock_that_is_set_by_its_source_after_a_start_without_one_is_told_twice_as_time_and_as_clock():
    tunnel = Tunnel()
    assert kept(tunnel, False) == []
    tunnel.set_s = 100 * HOUR
    assert [(what, to) for what, _, to in kept(tunnel)] == [("time", iso(tunnel._wall())), ("clock", "trusted")]
    assert kept(tunnel, False) == [("clock", "trusted", "untrusted")]


def test_what_happened_to_the_clock_while_the_agent_was_away_is_told_within_a_boot():
    tunnel = Tunnel()
    kept(tunnel)
    tunnel.away(3)
    tunnel.set_s = -HOUR
    tunnel.restart()
    assert [what for what, _, _ in kept(tunnel, False)] == ["time", "clock"]


def test_in_another_boot_only_whether_the_clock_is_known_to_be_right_can_be_told():
    tunnel = Tunnel()
    kept(tunnel)
    checkpoint, shift_ns = tunnel.pipeline.checkpoint(), -tunnel.now_ns + 20_000_000_000
    tunnel.set_s = -shift_ns / 1e9
    tunnel.now_ns += shift_ns
    tunnel.pipeline = Pipeline.restored(tunnel.machine, tunnel.row, checkpoint, shift_ns, [])
    assert kept(tunnel, False) == [("clock", "trusted", "untrusted")]
