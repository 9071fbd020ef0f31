"""Control is remote only while the configuration, the machine's own switch and somebody at the machine say so."""

from __future__ import annotations

import msgspec
import pytest

from edgeagent.config import ControlTable, RemoteWindowTable
from edgeagent.control.remote import Remote
from edgeagent.errors import CommandRefused
from tests.control.bench import CONSOLE_CALLER, ENGINEER, TABLE, HandClock
from tests.control.test_executor import on_bench

MINUTE_NS = 60_000_000_000


def remote(has_switch=True, windows=(), **settings) -> tuple[Remote, HandClock]:
    clock = HandClock()
    table = msgspec.structs.replace(TABLE, remote_windows=windows)
    return Remote(ControlTable(**({"enabled": True, "time_zone": "UTC"} | settings)), table, has_switch, clock), clock


def seen(it: Remote, clock: HandClock, *levels: bool | None, seconds: float = 2.0) -> str:
    """Look at the switch as it is turned, each position for some seconds."""
    for level in levels:
        it.see(level, "ready")
        clock.now_ns += round(seconds * 1e9)
        it.see(level, "ready")
    return it.standing().state


@pytest.mark.parametrize(("levels", "state"), [
    ((True,), "local"),  # it stood so when the agent came: nobody has turned it
    ((False, True), "remote"),
    ((False, None, True), "local"),  # nobody looked whether it was off for long enough
    ((False, None, False, True), "remote"),
    ((False, True, None), "local"),
    ((False, True, None, True), "remote"),
    ((False, True, False), "local"),
    ((False, True, None, False, True), "local"),  # a controller that starts again: nobody has turned it
    ((False, True, None, False, False, True), "local"),
    ((False, True, None, False, None, False, True), "local"),
    ((False, True, None, False, True, False, True), "remote"),
    ((None,), "local"),
])
def test_turning_the_switch_on_begins_a_lease_and_off_ends_every_one(levels, state):
    assert seen(*remote(), *levels) == state


@pytest.mark.parametrize(("off_s", "state"), [(0.1, "local"), (1.9, "local"), (2.0, "remote")])
def test_a_switch_that_was_off_for_a_moment_only_was_not_turned_and_yet_ends_the_lease(off_s, state):
    it, clock = remote()
    assert seen(it, clock, False, True) == "remote"
    seen(it, clock, False, seconds=off_s)
    assert seen(it, clock, True) == state


def looks(it: Remote, clock: HandClock, *what: tuple[bool, str, bool], seconds: float = 3.0) -> str:
    for look in what:
        it.see(*look)
        clock.now_ns += round(seconds * 1e9)
        it.see(*look)
    return it.standing().state


ON, OFF = (True, "ready", True), (False, "ready", True)


@pytest.mark.parametrize("reboots", [
    [(True, "ready", False), OFF],
    [(True, "ready", False), (False, "ready", False), OFF],
    [(False, "off", True), OFF],
    [(False, "starting", True)],
    [(False, "unknown", True), OFF],
], ids=str)  # fmt: skip
def test_a_controller_that_starts_in_less_than_two_seconds_has_turned_no_switch(reboots):
    it, clock = remote()
    assert looks(it, clock, OFF, ON) == "remote"
    assert looks(it, clock, *reboots, ON) == "local"
    assert looks(it, clock, OFF, ON) == "remote", "somebody turns it"


def test_a_controller_that_starts_again_and_again_has_turned_no_switch():
    it, clock = remote()
    looks(it, clock, OFF, ON)
    for _ in range(3):
        assert looks(it, clock, (True, "ready", False), (True, "ready", True), seconds=0.5) != "offline"
        assert looks(it, clock, OFF) == "local"
        assert looks(it, clock, ON, seconds=0.5) == "local"


def test_an_outage_while_the_switch_is_off_lets_its_time_begin_anew():
    it, clock = remote()
    assert looks(it, clock, OFF, (False, "ready", False)) == "local"
    assert looks(it, clock, OFF, seconds=1.0) == "local"
    assert looks(it, clock, ON) == "local"
    assert looks(it, clock, OFF, ON) == "remote"


def test_a_machine_that_is_off_all_the_time_can_be_given_away_by_its_switch():
    it, clock = remote()
    assert looks(it, clock, (True, "off", True), (False, "off", True), (True, "off", True)) == "remote"


def test_a_lease_runs_out_and_the_switch_must_be_turned_again():
    it, clock = remote(lease_minutes=10)
    seen(it, clock, False)
    it.see(True, "ready")
    now = it.standing()
    assert (now.state, now.by, now.until_ns) == ("remote", "machine", clock.wall_ns() + 10 * MINUTE_NS)
    clock.now_ns += 10 * MINUTE_NS
    now = it.standing()
    assert (now.state, now.by) == ("local", "agent")
    assert seen(it, clock, True) == "local"
    assert seen(it, clock, False, True) == "remote"


def test_the_switch_wins_over_a_grant():
    it, clock = remote()
    seen(it, clock, False)
    with pytest.raises(CommandRefused, match="switch at its panel"):
        it.grant("console:anna", 5)
    assert seen(it, clock, True) == "remote"
    assert seen(it, clock, False) == "local"


def test_a_grant_lasts_as_long_as_it_says_and_no_longer_than_is_configured():
    it, clock = remote(has_switch=False, lease_minutes=30)
    assert it.standing().state == "local"
    it.grant("console:anna", 5)
    assert (it.standing().by, it.standing().until_ns) == ("console:anna", clock.wall_ns() + 5 * MINUTE_NS)
    with pytest.raises(CommandRefused, match="1 to 30 minutes"):
        it.grant("console:anna", 31)
    it.ask("mes", "night shift", 20)
    it.grant("console:anna", None)
    assert it.standing().until_ns == clock.wall_ns() + 20 * MINUTE_NS
    assert it.wish is None
    it.release("mes")
    assert (it.standing().state, it.standing().by) == ("local", "mes")


def test_to_ask_grants_nothing():
    it, _ = remote(has_switch=False)
    it.ask("mes", "recipe change", 10)
    assert it.standing().state == "local"
    assert (it.wish.by, it.wish.reason, it.wish.minutes) == ("mes", "recipe change", 10)


def test_offline_and_maintenance_win_over_everything():
    it, clock = remote(enabled=False)
    assert seen(it, clock, False, True) == "offline"
    with pytest.raises(CommandRefused, match="switched off in the agent's configuration"):
        it.grant("console:anna", 5)
    it, _ = remote()
    it.see(False, "ready")
    it.see(True, "maintenance")
    assert (it.standing().state, it.standing().reason) == ("offline", "the machine is in maintenance")


def test_a_window_counts_for_its_functions_and_only_by_a_clock_that_is_known_to_be_right():
    it, clock = remote(has_switch=False, windows=(RemoteWindowTable("22:00", "23:00", functions=("Status.PowerOn",)),))
    assert clock.wall_ns() // 1_000_000_000 % 86_400 // 3600 == 22
    assert it.allows("Status.PowerOn") == ("remote", "")
    assert it.allows("Recipe.Start") == ("local", "now it is remote for Status.PowerOn only")
    clock.is_trusted = False
    assert it.allows("Status.PowerOn")[0] == "local"
    clock.is_trusted = True
    it.release("mes")
    assert it.allows("Status.PowerOn")[0] == "local", "it was given back"
    clock.now_ns += 3600 * 1_000_000_000
    assert it.allows("Status.PowerOn")[0] == "local"
    clock.now_ns += 23 * 3600 * 1_000_000_000
    assert it.allows("Status.PowerOn")[0] == "remote", "the next day"


def given_back_in_a_window():
    """Somebody has released control inside a window that is open."""
    it, clock = remote(windows=(RemoteWindowTable("22:00", "23:00"),))
    assert seen(it, clock, True) == "remote"
    it.release("mes")
    assert it.standing().state == "local"
    return it, clock


def test_what_was_given_back_stays_so_over_a_moment_without_a_trusted_clock():
    it, clock = given_back_in_a_window()
    clock.is_trusted = False
    assert it.standing().state == "local"
    clock.is_trusted = True
    assert it.standing().state == "local"


def test_what_was_given_back_stays_so_over_a_start_of_the_controller_until_somebody_turns_the_switch():
    it, clock = given_back_in_a_window()
    assert seen(it, clock, None, False, True) == "local"
    assert seen(it, clock, False, True) == "remote"


def test_a_grant_counts_for_every_function_within_a_window_for_some():
    it, _ = remote(has_switch=False, windows=(RemoteWindowTable("22:00", "23:00", functions=("Status.PowerOn",)),))
    it.grant("console:anna", 5)
    assert it.allows("Recipe.Start") == ("remote", "")


def test_control_is_asked_for_granted_told_and_given_back(tmp_path):
    async def work(it):
        it.room.look()
        asked = await it.call("Status.RequestRemote", reason="recipe change", minutes=10)
        assert (asked["control"], asked["pending"]["by"], asked["pending"]["minutes"]) == ("local", "mes", 10)
        shown = await it.call("Status.GetRemote", CONSOLE_CALLER)
        assert shown == asked
        granted = await it.call("Status.GrantRemote", CONSOLE_CALLER)
        assert (granted["control"], granted["by"], granted["pending"]) == ("remote", "console:anna", None)
        it.room.look()
        assert it.unit.status().control == "remote"
        released = await it.call("Status.ReleaseRemote")
        assert (released["control"], released["by"]) == ("local", "mes")
        it.room.look()
        told = [(e["from"], e["to"], e["by"]) for e in await it.told("Status.ControlChanged")]
        assert told == [
            ("offline", "local", "restart"), ("local", "remote", "console:anna"), ("remote", "local", "mes")]
        assert [entry.who for entry in it.audit.entries if entry.kind == "grant"] == ["restart", "console:anna", "mes"]
        assert (await it.told("Status.ControlChanged"))[1]["until"] == granted["until"]

    on_bench(tmp_path, work)


def test_nobody_grants_over_the_network(tmp_path):
    async def work(it):
        assert "Status.GrantRemote" not in it.room.handlers()
        refused = await it.refused("Status.GrantRemote", ENGINEER)
        assert refused.kind == "forbidden"

    on_bench(tmp_path, work)


def test_after_a_restart_control_is_local(tmp_path):
    async def work(it):
        it.grant()
        await it.die_and_start_again()
        assert it.unit.status().control == "local"

    on_bench(tmp_path, work)
