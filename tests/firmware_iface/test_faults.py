import pytest

from firmware_iface.simulated.faults import KINDS, Fault, FaultError, FaultList, parse


@pytest.mark.parametrize(("text", "fault"), [
    ("heater-dead:zone/3/top@120+60", Fault("heater-dead", "zone/3/top", 120.0, 60.0)),
    ("thermocouple-open zone/3/top", Fault("thermocouple-open", "zone/3/top")),
    ("belt-slip:0.9@5", Fault("belt-slip", "0.9", 5.0)),
    ("  silent@0+1.5 ", Fault("silent", None, 0.0, 1.5)),
    ("belt-stop:lane/2", Fault("belt-stop", "lane/2")),
    ("belt-stop", Fault("belt-stop")),
    ("decimal-point:0", Fault("decimal-point", "0")),
    ("controller-reboot", Fault("controller-reboot", None, None, 20.0)),
])  # fmt: skip
def test_a_fault_is_read_as_written(text, fault):
    assert parse(text) == fault


@pytest.mark.parametrize(("text", "reason"), [
    ("heater-ded:zone/1/top", "there are heater-dead"), ("heater-dead", "needs a half zone"),
    ("silent:5", "takes no argument"),
    ("belt-slip:fast", "not a number"), ("belt-slip:3", "up to 2"), ("slow:0", "above 0"), ("slow:1e9", "up to 60000"),
    ("silent@x", "cannot read"), ("silent@1.2.3", "not a number"), ("", "cannot read"), ("belt-slip:nan", "above 0"),
    ("decimal-point:3", "is not 0, 1 or 2 places"),
])  # fmt: skip
def test_a_wrong_fault_is_refused_in_one_sentence(text, reason):
    with pytest.raises(FaultError, match=reason):
        parse(text)


def test_a_fault_stands_from_its_start_for_its_duration():
    faults = FaultList()
    faults.add(parse("silent@10+5"), 0.0)
    stood = []
    for tenth in range(200):
        list(faults.advance(tenth / 10))
        if faults.standing("silent"):
            stood.append(tenth / 10)
    assert (stood[0], stood[-1]) == (10.0, 14.9)


def test_a_moment_begins_once_and_does_not_stand():
    faults = FaultList()
    faults.add(parse("board-removed"), 3.0)
    assert [fault.name for fault in faults.advance(3.0)] == ["board-removed"]
    assert not faults.standing("board-removed")
    assert not list(faults.advance(4.0))


def test_mending_ends_what_stands_and_what_was_to_come():
    faults = FaultList()
    for name, kind in KINDS.items():
        if kind is None:
            faults.add(Fault(name), 0.0)
            faults.add(Fault(name, start_s=50.0), 0.0)
    list(faults.advance(1.0))
    faults.clear()
    assert not any(faults.standing(name) for name in KINDS)
    assert not list(faults.advance(100.0))


@pytest.mark.parametrize("text", ["silent@10+5", "board-removed@10"])
def test_a_fault_whose_time_is_over_is_refused(text):
    with pytest.raises(FaultError, match="its time is over, the device is at 20 s"):
        FaultList().add(parse(text), 20.0)


def test_a_fault_that_ended_between_two_looks_is_not_begun():
    faults = FaultList()
    faults.add(parse("controller-reboot@10+5"), 0.0)
    assert not list(faults.advance(16.0))
    assert not faults.standing("controller-reboot")


def test_a_fault_of_a_lane_stands_in_that_lane_and_one_without_in_all():
    faults = FaultList()
    faults.add(parse("belt-stop:lane/2"), 0.0)
    faults.add(parse("outlet-blocked"), 0.0)
    list(faults.advance(0.0))
    told = [(name, lane) for name in ("belt-stop", "outlet-blocked") for lane in ("lane/1", "lane/2")
            if faults.standing(name, lane)]  # fmt: skip
    assert told == [("belt-stop", "lane/2"), ("outlet-blocked", "lane/1"), ("outlet-blocked", "lane/2")]
    assert faults.standing("belt-stop")
