"""Power at the simulated machines: what is done, what is refused, and where it ends when something comes between."""

import pytest

from edgeagent.control import heat
from edgeagent.control.power import PowerOff, PowerOn
from edgeagent.control.procedure import Failed, Stopped, Unknown, Withdrawn
from edgeagent.model.functions import power
from edgeagent.model.points import Quality
from tests.control.rig import HandWork, Stand, cold, done, stop, warm


def on(it: Stand) -> HandWork:
    return HandWork(it, PowerOn(it, power.PowerOn(), it.context))


def off(it: Stand, **asked: bool) -> HandWork:
    return HandWork(it, PowerOff(it, power.PowerOff(**asked), it.context))


def at(work: HandWork, step: str, end=stop):
    """End the work once a step that begins so goes on."""
    work.ends = lambda: end() if work.steps and work.steps[-1].startswith(step) else None
    return work


def quiet(it: Stand) -> bool:
    return not it.device.wire.orders.values["machine/horn"]


@pytest.mark.parametrize("register_map", ["reflow10", "wave"])
def test_a_cold_machine_is_warned_of_switched_on_and_waited_for_until_it_is_ready(register_map):
    it = cold(register_map)
    work = on(it)
    assert done(work).startswith("It is ready: ")
    assert it.device.state == "ready"
    assert work.wrote == [("machine/horn", 1.0), ("machine/horn", 0.0), ("command/powerOn", 1)]
    assert work.steps[:2] == ["Warn for 5 s with the horn", "Switch on"]
    warming = work.steps[2:]
    assert all(step.startswith("Warm up: ") for step in warming)
    assert 1 <= len(warming) <= 8, "steps at sensible moments, no flood"


def test_a_machine_that_is_on_needs_nothing():
    it = warm()
    work = on(it)
    assert done(work) == "It is on already: zones are at their setpoints."
    assert work.wrote == work.steps == []


@pytest.mark.parametrize("fault", ["hood-open", "exhaust-lost", "air-lost", "water-lost", "emergency-stop"])
def test_what_the_map_asks_for_must_be_there_by_good_data(fault):
    it = cold()
    it.fault(fault)
    it.run(3)
    assert list(on(it).procedure.interlocks())


def test_a_tunnel_that_nobody_has_looked_into_keeps_a_machine_from_being_switched_on():
    it = Stand()
    it.device.switch_off()
    it.run(3)
    (reason,) = on(it).procedure.interlocks()
    assert "not known to be empty" in reason
    it.emptied()
    assert not list(on(it).procedure.interlocks())


def test_the_horn_is_off_again_when_the_hood_is_opened_during_the_warning():
    it = cold()
    work = on(it)
    work.ends = lambda: Withdrawn("the hood is open") if len(work.wrote) == 1 else None
    with pytest.raises(Withdrawn):
        done(work)
    assert quiet(it)
    assert it.device.state == "off"


def test_a_board_laid_on_the_inlet_during_the_warning_keeps_it_off():
    it = cold()
    work = on(it)

    def laid() -> None:
        if len(work.wrote) == 1 and not it.device.boards:
            it.device.insert_board(None).place_mm = 10.0

    work.ends = laid  # type: ignore[assignment]
    with pytest.raises(Withdrawn, match="inlet barrier of lane 1"):
        done(work)
    assert it.device.state == "off"
    assert quiet(it)


@pytest.mark.parametrize("end", [stop, lambda: Withdrawn("remote control ran out")])
def test_stopped_while_it_warms_up_it_is_left_without_heat_with_belt_and_blowers_on(end):
    it = cold()
    work = at(on(it), "Warm up: zone", end)
    with pytest.raises((Stopped, Withdrawn)):
        done(work)
    assert it.device.state == "coolingDown"
    assert not it.device.is_heating
    it.run(60)
    assert it.device.read("blower/1/speed") > 0
    assert not it.device.was_cut_hot
    assert quiet(it)


def test_a_machine_that_does_not_take_the_command_over_is_told_and_left_without_heat():
    it = cold()
    it.fault("write-ignored")
    with pytest.raises(Failed, match="powerOn"):
        done(on(it))
    assert it.device.state == "off"


def test_a_controller_that_starts_anew_while_it_warms_up_leaves_it_unknown():
    it = cold()
    it.fault("controller-reboot@120+20")
    with pytest.raises(Unknown, match="may have started anew"):
        done(on(it))
    assert not it.device.is_heating


def test_a_link_that_dies_while_it_warms_up_leaves_it_unknown():
    it = cold()
    it.fault("silent@120")
    with pytest.raises(Unknown, match="stopped answering"):
        done(on(it))


def test_a_short_silence_while_it_warms_up_is_waited_out():
    it = cold()
    it.fault("silent@120+20")
    assert done(on(it)) == "It is ready: zones are at their setpoints."


def test_an_emergency_stop_while_it_warms_up_leaves_it_unknown_and_no_heat_comes_back():
    it = cold()
    it.fault("emergency-stop@120+60")
    with pytest.raises(Unknown, match="emergencyStop"):
        done(on(it))
    it.run(120)
    assert it.device.state == "coolingDown", "released, it must not begin to heat by itself"


def test_a_fault_while_it_warms_up_ends_the_heat():
    it = cold()
    it.fault("thermocouple-open:zone/3/top@120")
    with pytest.raises(Failed, match="went to state fault"):
        done(on(it))
    it.run(5)
    assert not it.device.is_heating


def test_an_agent_that_died_while_it_warmed_up_goes_on_when_it_is_started_again():
    it = cold()
    it.device.wire.take("command/powerOn", 1.0)
    it.run(120)
    work = on(it)
    assert done(work, resumed=True) == "It is ready: zones are at their setpoints."
    assert work.wrote == []


def test_an_agent_that_died_during_the_warning_silences_the_horn_and_does_not_guess():
    it = cold()
    it.device.wire.take("machine/horn", 1.0)
    it.run(3)
    with pytest.raises(Unknown, match="state off"):
        done(on(it), resumed=True)
    assert quiet(it)
    assert it.device.state == "off"


def test_a_hot_machine_is_cooled_down_before_it_is_switched_off():
    it = warm()
    work = off(it)
    assert done(work) is None
    assert it.device.state == "off"
    assert not it.device.was_cut_hot
    assert [path for path, _ in work.wrote] == ["command/standby", "command/powerOff"]
    assert work.steps[0] == "Switch the heaters off; belt and blowers stay on"
    assert work.steps[-1] == "Switch off"
    assert 3 <= len(work.steps) <= 9


@pytest.mark.parametrize("state", ["off", "standby"])
def test_a_machine_that_is_off_or_cold_needs_less(state):
    it = cold()
    if state == "standby":
        it.device.cool_down()
        while it.device.state != "standby":
            it.run(10)
        it.emptied()
    work = off(it)
    told = done(work)
    assert it.device.state == "off"
    assert (told == "It is off already: switched off.") == (state == "off")


def test_a_machine_with_a_board_inside_or_perhaps_inside_is_not_switched_off():
    it = warm()
    it.device.insert_board("PCB1")
    it.run(60, 0.1)
    (reason,) = off(it).procedure.interlocks()
    assert reason == "1 board is inside lane 1."
    for conveyor in it.device.conveyors.values():
        conveyor.boards.clear()
    it.remove_board(it.boards()[0].id, "taken out", "anna")
    it.run(3)
    assert not list(off(it).procedure.interlocks())
    it.fault("silent@0+30")
    it.run(35)
    (reason,) = off(it).procedure.interlocks()
    assert "nobody looked at the inlet" in reason


def test_now_is_for_maps_that_allow_it():
    it = warm()
    (reason,) = off(it, now=True).procedure.limits()
    assert "without the cool-down" in reason
    assert not list(off(it).procedure.limits())


def test_a_zone_whose_sensor_is_broken_is_never_taken_for_cool():
    it = warm(cool_down_timeout_s=400)
    it.fault("thermocouple-open:zone/3/top@60")
    with pytest.raises(Unknown, match="zone/3/top/temperature is bad"):
        done(off(it))
    assert it.device.state in ("coolingDown", "standby")
    assert not it.device.was_cut_hot


@pytest.mark.parametrize("end", [stop, lambda: Withdrawn("remote control ran out")])
def test_stopped_while_it_cools_it_goes_on_cooling(end):
    it = warm()
    work = at(off(it), "Cool down", end)
    with pytest.raises((Stopped, Withdrawn)):
        done(work)
    assert it.device.state == "coolingDown"
    assert [path for path, _ in work.wrote] == ["command/standby"]


def test_what_came_into_doubt_while_it_cooled_keeps_it_from_being_switched_off():
    it = warm()
    work = off(it)
    it.fault("silent@300+30")
    with pytest.raises(Withdrawn, match="nobody looked at the inlet"):
        done(work)
    assert it.device.state in ("coolingDown", "standby")
    assert [path for path, _ in work.wrote] == ["command/standby"]


@pytest.mark.parametrize(("fault", "reason"), [
    ("silent@120", "stopped answering"), ("emergency-stop@120", "emergencyStop"),
])  # fmt: skip
def test_what_comes_between_leaves_the_cool_down_unknown(fault, reason):
    it = warm()
    it.fault(fault)
    with pytest.raises(Unknown, match=reason):
        done(off(it))
    assert not it.device.was_cut_hot


def test_somebody_who_heats_at_the_panel_ends_the_cool_down():
    it = warm()
    work = off(it)
    work.ends = lambda: it.device.warm_up() if work.steps[-1].startswith("Cool down") else None
    with pytest.raises(Failed, match="warmingUp"):
        done(work)


def test_an_agent_that_died_while_it_cooled_goes_on_when_it_is_started_again():
    it = warm()
    it.device.wire.take("command/standby", 1.0)
    it.run(60)
    assert done(off(it), resumed=True) is None
    assert it.device.state == "off"
    assert not it.device.was_cut_hot
    assert done(off(it), resumed=True) == "It is off: switched off."


def test_an_agent_that_died_before_the_heaters_were_off_does_not_guess():
    it = warm()
    work = off(it)
    with pytest.raises(Unknown, match="state ready"):
        done(work, resumed=True)
    assert work.wrote == []


def test_a_horn_that_cannot_be_read_after_a_restart_is_not_taken_for_silent():
    it = cold()
    column = it.machine.column["machine/horn"]
    run = it.run

    def blind(*more):
        run(*more)
        it.row.quality[column] = Quality.BAD

    it.run = blind
    it.run(3)
    with pytest.raises(Unknown, match="Nor is whether the horn still sounds"):
        done(on(it), resumed=True)


@pytest.mark.parametrize("again", ["started", "hot"])
def test_a_machine_that_is_started_or_hot_again_after_it_had_cooled_down_is_not_switched_off(again):
    it = warm()
    work = off(it)
    step = work.step

    async def late(text):
        await step(text)
        if text == "Switch off":
            if again == "started":
                it.device.warm_up()
                it.run(3)
            else:
                it.row.values[it.machine.column[next(iter(heat.temperatures(it)))]] = 230.0
                it.run = lambda *_: None

    work.step = late
    words = "was started again at the machine" if again == "started" else "is 230 °C again"
    with pytest.raises(Withdrawn, match=words):
        done(work)
    assert ("command/powerOff", 1.0) not in work.wrote
