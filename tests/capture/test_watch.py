"""Tables over points: states, alarms, recipe, settings, scanner, control, telemetry. Input rows, told events."""

import pytest

from edgeagent.capture.pipeline import Pipeline
from edgeagent.clock import iso
from edgeagent.model.boards import RecipeName
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from tests.capture.tunnel import Tunnel, machine


def told(tunnel: Tunnel) -> list[str]:
    topics = [event.topic for event in tunnel.events]
    tunnel.events.clear()
    return topics


@pytest.fixture
def tunnel() -> Tunnel:
    tunnel = Tunnel()
    tunnel.run(3)
    tunnel.events.clear()
    return tunnel


@pytest.mark.parametrize(("number", "state"), [(0, "off"), (1, "standby"), (3, "warmingUp"), (4, "changeover"),
                                               (5, "coolingDown"), (8, "fault"), (10, "maintenance")])
def test_the_state_register_is_told_in_words(tunnel, number, state):
    tunnel.set("machine/state", number)
    tunnel.run(0.1)
    event = tunnel.events[0]
    assert (event.data.from_, event.data.to) == ("ready", state)
    assert event.data.reason


def test_the_emergency_stop_comes_before_what_the_state_register_says(tunnel):
    tunnel.set("machine/emergencyStop", 1)
    tunnel.run(0.1)
    assert tunnel.events[0].data.to == "emergencyStop"


def test_ready_with_boards_inside_is_running(tunnel):
    tunnel.insert()
    tunnel.run(10)
    assert [e.data.to for e in tunnel.only("Status.MachineStatusChanged")] == ["running"]


def test_one_missed_beat_is_not_a_state_but_two_seconds_of_silence_are_unknown(tunnel):
    tunnel.miss(1.5)
    assert tunnel.events == []
    tunnel.run(1)
    tunnel.miss(2.5)
    assert [e.data.to for e in tunnel.events] == ["unknown"]
    tunnel.run(1)
    assert [e.data.to for e in tunnel.events] == ["unknown", "ready"]


def test_an_alarm_is_raised_once_and_cleared_once_with_the_same_id(tunnel):
    tunnel.set("zone/2/top/heaterFault", 1)
    for _ in range(5):
        tunnel.feed("zones")
        tunnel.run(1)
    tunnel.set("zone/2/top/heaterFault", 0)
    for _ in range(8):
        tunnel.feed("zones")
        tunnel.run(1)
    raised, cleared = tunnel.events
    assert (raised.topic, cleared.topic) == ("Alarm.Raised", "Alarm.Cleared")
    assert raised.data.alarm == cleared.data.alarm
    assert raised.data.alarm.object == "zone/2/top"
    assert tunnel.pipeline.alarms() == ()


def test_a_deviation_alarm_waits_for_its_delay_and_its_hysteresis(tunnel):
    rule = next(r for r in tunnel.machine.map.alarms if r.object == "zone/5/top" and r.delay_s and r.when[0].minus)
    limit = next(t for t in rule.when if t.minus)
    path, setpoint = limit.path, 200.0
    sign = 1 if limit.operator.startswith(">") else -1

    def hold(deviation: float, seconds: int) -> None:
        tunnel.set(path, setpoint + sign * deviation)
        for _ in range(seconds * 2):
            tunnel.now_ns += 400_000_000
            tunnel.beat()
            tunnel.feed("zones")

    over = abs(limit.number) + 0.5
    hold(over, int(rule.delay_s / 2))
    hold(0, 2)
    hold(over, int(rule.delay_s / 2))
    assert told(tunnel) == [], "the delay begins anew"
    hold(over, int(rule.delay_s) + 1)
    assert told(tunnel) == ["Alarm.Raised"]
    hold(abs(limit.number) - rule.hysteresis / 2, int(rule.clear_delay_s) + 5)
    assert told(tunnel) == [], "inside the hysteresis it stands"
    hold(abs(limit.number) - rule.hysteresis - 0.5, int(rule.clear_delay_s) + 5)
    assert told(tunnel) == ["Alarm.Cleared"]


def test_a_value_that_is_not_there_neither_raises_nor_clears_an_alarm(tunnel):
    tunnel.set("zone/2/top/heaterFault", 1)
    tunnel.feed("zones")
    tunnel.run(2)
    tunnel.feed("zones")
    assert told(tunnel) == ["Alarm.Raised"]
    tunnel.good("zone/2/top/heaterFault", False)
    for _ in range(10):
        tunnel.feed("zones")
        tunnel.run(1)
    assert told(tunnel) == []
    assert len(tunnel.pipeline.alarms()) == 1


def test_a_value_that_is_uncertain_raises_no_alarm_and_is_no_state(tunnel):
    column = tunnel.machine.column["machine/state"]
    tunnel.set("machine/state", 8)
    tunnel.row.quality[column] = Quality.UNCERTAIN
    tunnel.feed("motion")
    assert told(tunnel) == []
    tunnel.row.quality[column] = Quality.GOOD
    tunnel.feed("motion")
    assert "Status.MachineStatusChanged" in told(tunnel)


def test_another_recipe_is_told_with_the_one_before_and_its_setpoints_are_part_of_it(tunnel):
    tunnel.row.texts[tunnel.machine.column["recipe/name"]] = "SAC305-B"
    tunnel.set("zone/1/top/setpoint", 111)
    tunnel.feed("recipe")
    (event,) = tunnel.events
    assert event.topic == "Recipe.Started"
    assert (event.data.recipe, event.data.version, event.data.previous, event.data.by) == (
        "SAC305-B", 3, "SAC305-A", "machine")


def test_a_version_that_cannot_be_read_for_a_while_starts_no_recipe(tunnel):
    for is_good in (False, True):
        tunnel.good("recipe/version", is_good)
        tunnel.feed("recipe")
        assert tunnel.pipeline.recipe()[0] == RecipeName("SAC305-A", 3)
    assert told(tunnel) == []
    tunnel.set("recipe/version", 4)
    tunnel.feed("recipe")
    assert [event.data.version for event in tunnel.events] == [4]


def test_a_recipe_is_started_once_though_its_version_is_read_later(tunnel):
    tunnel.row.texts[tunnel.machine.column["recipe/name"]] = "SAC305-B"
    tunnel.good("recipe/version", False)
    tunnel.feed("recipe")
    tunnel.set("recipe/version", 7)
    tunnel.feed("recipe")
    assert [(event.data.recipe, event.data.version) for event in tunnel.events] == [("SAC305-B", None)]
    assert tunnel.pipeline.recipe()[0] == RecipeName("SAC305-B", 7)


def test_since_when_the_recipe_runs_is_known_also_after_a_restart(tunnel):
    recipe, first = tunnel.pipeline.recipe()
    assert (recipe.name, recipe.version) == ("SAC305-A", 3)
    assert first is not None
    tunnel.run(60)
    tunnel.row.texts[tunnel.machine.column["recipe/name"]] = "SAC305-B"
    tunnel.feed("recipe")
    recipe, since = tunnel.pipeline.recipe()
    assert (recipe.name, since) == ("SAC305-B", iso(tunnel._wall()))
    assert since > first
    tunnel.restart(5_000_000_000_000)
    tunnel.run(2)
    assert tunnel.pipeline.recipe() == (recipe, since)


def test_before_the_machine_told_its_recipe_nothing_of_it_is_known():
    oven = machine()
    pipeline = Pipeline(oven, Row(len(oven.points), len(oven.groups)))
    assert pipeline.recipe() == (RecipeName(None, None), None)


def test_a_setpoint_changed_at_the_panel_is_told_with_both_values_and_noted_for_boards_inside(tunnel):
    tunnel.insert()
    tunnel.run(30)
    tunnel.events.clear()
    tunnel.set("zone/6/bottom/setpoint", 214.5)
    tunnel.feed("recipe")
    (event,) = tunnel.events
    (change,) = event.data.changes
    assert (event.topic, event.data.recipe) == ("Recipe.SettingChanged", "SAC305-A")
    assert (change.object, change.name, change.from_, change.to, change.unit) == (
        "zone/6/bottom", "setpoint", 210.0, 214.5, "degC")
    tunnel.run(400)
    record = tunnel.only("Board.ProcessCompleted")[0].record
    assert record.while_inside.setting_changes == ("zone/6/bottom/setpoint: 210.0 to 214.5",)
    assert {z.object: z.setpoint for z in record.zones}["zone/6/bottom"] == 214.5


def test_a_changed_limit_and_other_firmware_are_configuration(tunnel):
    tunnel.set("oxygen/1/limit", 1500)
    tunnel.feed("recipe")
    tunnel.row.texts[tunnel.machine.column["machine/firmware"]] = "2.0"
    tunnel.feed("identity")
    limit, firmware = tunnel.events
    assert (limit.topic, limit.data.what, limit.data.from_, limit.data.to) == (
        "Configuration.Changed", "oxygen/1/limit", 1000, 1500)
    assert (firmware.data.what, firmware.data.to) == ("machine/firmware", "2.0")


def test_each_scanner_reading_is_told_and_the_next_board_gets_the_code(tunnel):
    tunnel.feed("scanner")
    tunnel.row.texts[tunnel.machine.column["scanner/1/code"]] = "PCB0001"
    tunnel.set("scanner/1/result", 1)
    tunnel.set("scanner/1/count", 1)
    tunnel.feed("scanner")
    tunnel.feed("scanner")
    (event,) = tunnel.events
    assert (event.topic, event.data.barcode, event.data.result) == ("Board.BarcodeRead", "PCB0001", "read")
    tunnel.insert()
    tunnel.run(400)
    assert tunnel.only("Board.ProcessStarted")[0].data.board.barcodes[0].code == "PCB0001"
    assert tunnel.only("Board.ProcessCompleted")[0].record.barcodes[0].code == "PCB0001"


def test_a_no_read_and_overwritten_readings_are_told_and_give_no_code_to_the_wrong_board(tunnel):
    tunnel.feed("scanner")
    tunnel.row.texts[tunnel.machine.column["scanner/1/code"]] = "PCB0003"
    tunnel.set("scanner/1/result", 1)
    tunnel.set("scanner/1/count", 3)
    tunnel.feed("scanner")
    tunnel.set("scanner/1/result", 2)
    tunnel.set("scanner/1/count", 4)
    tunnel.feed("scanner")
    first, second = tunnel.events
    assert (first.data.barcode, first.data.missed) == ("PCB0003", 2)
    assert (second.data.barcode, second.data.result) == (None, "noRead")
    for _ in range(4):
        tunnel.insert()
        tunnel.run(30)
    codes = [[b.code for b in e.data.board.barcodes] for e in tunnel.only("Board.ProcessStarted")]
    assert codes == [[], [], ["PCB0003"], []]


def read_code(tunnel: Tunnel, count: int, code: str, result: int = 1) -> None:
    tunnel.row.texts[tunnel.machine.column["scanner/1/code"]] = code
    tunnel.set("scanner/1/result", result)
    tunnel.set("scanner/1/count", count)
    tunnel.feed("scanner")


def enter_read_boards(tunnel: Tunnel, codes: list[str], first: int) -> None:
    for count, code in enumerate(codes, start=first):
        read_code(tunnel, count, code)
        tunnel.boards.append([-150.0, 180.0])
        tunnel.run(35)


def told_codes(tunnel: Tunnel) -> list[list[str]]:
    return [[b.code for b in e.data.board.barcodes] for e in tunnel.only("Board.ProcessStarted")]


def test_a_board_that_was_read_and_taken_away_gives_its_code_to_nobody(tunnel):
    tunnel.feed("scanner")
    read_code(tunnel, 1, "A")
    tunnel.run(30)
    enter_read_boards(tunnel, ["B", "C"], 2)
    assert told_codes(tunnel) == [["B"], ["C"]]


def test_a_scanner_that_starts_again_tells_nothing_and_mixes_up_no_codes(tunnel):
    tunnel.feed("scanner")
    enter_read_boards(tunnel, ["A"], 1)
    read_code(tunnel, 0, "", 0)
    enter_read_boards(tunnel, ["B"], 1)
    assert told_codes(tunnel) == [["A"], ["B"]]
    assert [e.data.barcode for e in tunnel.only("Board.BarcodeRead")] == ["A", "B"]


def test_a_count_that_goes_round_is_one_more_reading(tunnel):
    tunnel.set("scanner/1/count", 65_535)
    tunnel.feed("scanner")
    read_code(tunnel, 0, "A")
    assert [e.data.barcode for e in tunnel.only("Board.BarcodeRead")] == ["A"]


def test_the_panels_switch_holds_over_a_missed_beat_and_is_not_known_any_more_when_it_is_old(tunnel):
    seen = []
    for level, is_good, seconds in ((1, True, 0.1), (1, False, 0.1), (0, True, 0.1), (1, False, 60.0)):
        tunnel.set("machine/remote", level)
        tunnel.good("machine/remote", is_good)
        tunnel.run(seconds)
        seen.append(tunnel.pipeline.switch(tunnel.now_ns))
    assert seen == [True, True, False, None]
    assert not tunnel.only("Status.ControlChanged"), "the control room tells that"


def test_control_that_turns_is_told_once_and_noted_at_the_boards_inside(tunnel):
    tunnel.insert()
    tunnel.run(5)
    told = [tunnel.pipeline.turn("remote", "console:anna", "2026-11-21T12:00:00.000Z", tunnel.now_ns, tunnel._wall())
            for _ in range(2)]
    assert [[(e.data.from_, e.data.to, e.data.by, e.data.until) for e in each] for each in told] == [
        [("offline", "remote", "console:anna", "2026-11-21T12:00:00.000Z")], []]
    tunnel.run(400)
    (ended,) = tunnel.only("Board.ProcessCompleted")
    assert ended.data.board.while_inside.control_changes == ("offline to remote by console:anna",)
    assert tunnel.pipeline.status(tunnel.now_ns).control == "remote"


def test_what_somebody_was_about_to_write_is_told_as_theirs_and_everything_else_as_the_machines(tunnel):
    settings = tunnel.machine.groups[tunnel.machine.point("zone/3/top/setpoint").group].name
    tunnel.feed(settings)
    tunnel.pipeline.expect({"zone/3/top/setpoint": 178.0, "zone/4/top/setpoint": 190.0}, "anna", tunnel.now_ns)
    tunnel.set("zone/3/top/setpoint", 178.04)
    tunnel.set("zone/4/top/setpoint", 191.0)
    tunnel.feed(settings)
    told = {(c.object, e.data.by) for e in tunnel.only("Recipe.SettingChanged") for c in e.data.changes}
    assert told == {("zone/3/top", "anna"), ("zone/4/top", "machine")}
    tunnel.set("zone/3/top/setpoint", 170.0)
    tunnel.feed(settings)
    tunnel.run(61)
    tunnel.set("zone/3/top/setpoint", 178.0)
    tunnel.feed(settings)
    assert tunnel.only("Recipe.SettingChanged")[-1].data.by == "machine", "a minute later it is somebody else's"


def test_what_was_surely_not_written_is_awaited_no_more_and_what_was_before_it_is_again(tunnel):
    settings = tunnel.machine.groups[tunnel.machine.point("zone/3/top/setpoint").group].name
    tunnel.feed(settings)
    tunnel.pipeline.expect({"zone/3/top/setpoint": 178.0}, "anna", tunnel.now_ns)
    tunnel.pipeline.expect({"zone/3/top/setpoint": 190.0, "zone/4/top/setpoint": 191.0}, "otto", tunnel.now_ns)
    tunnel.pipeline.expect_no_more(["zone/3/top/setpoint", "zone/4/top/setpoint", "zone/5/top/setpoint"])
    tunnel.set("zone/3/top/setpoint", 178.0)
    tunnel.set("zone/4/top/setpoint", 191.0)
    tunnel.feed(settings)
    told = {(c.object, e.data.by) for e in tunnel.only("Recipe.SettingChanged") for c in e.data.changes}
    assert told == {("zone/3/top", "anna"), ("zone/4/top", "machine")}


def test_boards_that_enter_while_something_settles_are_not_ready(tunnel):
    tunnel.pipeline.hold_ready("recipe SAC305-B settles")
    tunnel.insert()
    tunnel.run(5)
    tunnel.pipeline.hold_ready("")
    tunnel.run(60)
    tunnel.insert()
    tunnel.run(5)
    assert [e.data.board.process_ready for e in tunnel.only("Board.ProcessStarted")] == [False, True]


def test_telemetry_tells_moves_over_the_deadband_silence_and_quality(tunnel):
    zones = next(g.index for g in tunnel.machine.groups if g.name == "zones")

    def values() -> dict[tuple[str, str], object]:
        tunnel.feed("zones")
        return {(v.object, v.name): (v.value, v.quality) for v in tunnel.pipeline.telemetry(zones)}

    assert len(values()) == sum(p.group == zones for p in tunnel.machine.points), "everything once at first"
    deadband = tunnel.machine.point("zone/1/top/temperature").deadband
    tunnel.set("zone/1/top/temperature", 160 + deadband * 0.9)
    assert values() == {}
    tunnel.set("zone/1/top/temperature", 160 + deadband * 1.2)
    assert list(values()) == [("zone/1/top", "temperature")]
    tunnel.good("zone/2/top/temperature", False)
    tunnel.row.values[tunnel.machine.column["zone/2/top/temperature"]] = float("nan")
    assert values() == {("zone/2/top", "temperature"): (None, "bad")}
    tunnel.now_ns += 61_000_000_000
    assert len(values()) > 40, "the longest silence is over"


def test_a_value_that_is_not_read_any_more_is_stale_with_its_old_time(tunnel):
    tunnel.feed("zones")
    before = {v.object: v for v in tunnel.pipeline.values(["zone/1/top"], tunnel.now_ns)}["zone/1/top"]
    later = next(v for v in tunnel.pipeline.values(["zone/1/top"], tunnel.now_ns + 60_000_000_000)
                 if v.name == before.name)
    assert (before.quality, later.quality) == ("good", "stale")
    assert later.time == before.time
    assert Quality.STALE.word == "stale"


def test_status_tells_whether_the_machine_answers_now(tunnel):
    assert tunnel.pipeline.status(tunnel.now_ns).connected
    assert not tunnel.pipeline.status(tunnel.now_ns + 10_000_000_000).connected


def test_a_board_that_was_read_approaches_until_it_is_in_or_does_not_come(tunnel):
    assert not tunnel.pipeline.is_approached
    read_code(tunnel, 1, "PCB-1")
    assert tunnel.pipeline.is_approached
    enter_read_boards(tunnel, ["PCB-2"], 2)
    assert tunnel.pipeline.has_boards
    read_code(tunnel, 3, "PCB-3")
    assert tunnel.pipeline.is_approached
    tunnel.run(120)
    assert not tunnel.pipeline.is_approached
