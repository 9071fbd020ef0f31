"""The simulated machines at the end of their registers: what they do when they are commanded from afar."""

import operator
import struct

import pytest

from firmware_iface import catalog
from firmware_iface.encoding import decode, encode
from firmware_iface.simulated.build import simulated
from firmware_iface.simulated.faults import FaultError, parse

MAPS = ("reflow10", "reflow12", "wave")
COMPARE = {"==": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge,
           "<": operator.lt, "<=": operator.le}  # fmt: skip
READS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


class Master:
    """Writes and reads one machine as over Modbus, by paths."""

    def __init__(self, name, **more):
        self.machine = simulated(catalog.builtin(name), **more)
        self.map = self.machine.map

    def write(self, path, value):
        """The answer's function code and what follows; empty for silence."""
        register = self.map.register(path)
        words = encode(register, value)
        if register.table == "coil":
            request = struct.pack(">BHH", 5, register.address, 0xFF00 * words[0])
        else:
            request = struct.pack(f">BHHB{len(words)}H", 16, register.address, len(words), 2 * len(words), *words)
        return self.machine.answer(request)

    def read(self, path):
        register = self.map.register(path)
        answer = self.machine.answer(struct.pack(">BHH", READS[register.table], register.address, register.count))
        if register.table in ("coil", "discrete"):
            return answer[2] & 1
        return decode(register, list(struct.unpack(f">{register.count}H", answer[2:])))

    def holds(self, terms):
        return all(COMPARE[term.operator](self.read(term.path), term.number) for term in terms)

    def give(self, name):
        """Pulse a command as its map says; whether it has worked within its time."""
        command = self.map.command(name)
        if command.handshake and self.read(command.handshake) != command.handshake_value:
            return False
        self.write(command.write, command.value)
        self.machine.advance(command.pulse_ms / 1000)
        self.write(command.write, 0)
        end = self.machine.time + command.timeout_s
        while not self.holds(command.confirm):
            if self.machine.time > end:
                return False
            self.machine.advance(0.1)
        return True

    def until(self, state, longest_s):
        end = self.machine.time + longest_s
        while self.machine.state != state:
            assert self.machine.time < end, f"{self.machine.state} and not {state}"
            self.machine.advance(1.0)


def off(name):
    master = Master(name, cold=True)
    master.machine.switch_off()
    master.machine.advance(1)
    return master


def warm(name="reflow10"):
    master = Master(name)
    master.until("ready", 400)
    return master


@pytest.mark.parametrize("name", MAPS)
def test_a_machine_that_is_off_starts_warms_up_and_cools_down_as_it_is_told(name):
    master = off(name)
    assert master.machine.state == "off"
    assert master.holds(master.map.command("powerOn").preconditions)
    assert master.give("powerOn")
    assert (master.machine.state, master.read("machine/heating")) == ("starting", 0)
    master.machine.advance(10)
    assert (master.machine.state, master.read("machine/heating")) == ("warmingUp", 1)
    master.machine.advance(300)
    assert master.give("standby")
    assert master.machine.state == "coolingDown"
    assert master.read("conveyor/1/speed") > 10
    master.until("standby", 3600)
    master.machine.advance(1)
    assert master.read("conveyor/1/speed") == 0
    assert master.give("powerOff")
    assert not master.machine.was_cut_hot


def test_a_machine_that_cools_heats_again_without_starting_anew():
    master = warm()
    assert master.give("standby")
    master.machine.advance(60)
    assert master.give("powerOn")
    assert master.machine.state == "warmingUp"
    master.until("ready", 600)


def test_power_on_changes_nothing_in_a_machine_that_is_ready():
    master = warm()
    assert master.give("powerOn")
    assert master.machine.state == "ready"


@pytest.mark.parametrize("name", MAPS)
def test_a_hot_machine_that_is_switched_off_is_cut_and_remembers_it(name):
    master = warm(name)
    board = master.machine.insert_board("A")
    master.machine.advance(60)
    assert master.give("powerOff")
    assert (master.machine.state, master.machine.was_cut_hot) == ("off", True)
    master.machine.advance(2)
    place = board.place_mm
    master.machine.advance(30)
    assert board.place_mm == place > 0
    assert master.read("machine/heating") == 0


@pytest.mark.parametrize("fault", ["hood-open", "exhaust-lost", "air-lost", "water-lost", "overtemperature"])
def test_a_machine_without_an_interlock_is_not_switched_on(fault):
    master = off("reflow10")
    assert master.give("standby") is False
    master.machine.add_fault(parse(fault))
    master.machine.advance(1)
    assert fault == "overtemperature" or not master.holds(master.map.command("powerOn").preconditions)
    assert not master.give("powerOn")
    assert master.machine.state == "off"


def test_no_machine_is_switched_on_while_the_emergency_stop_is_pressed():
    master = off("reflow10")
    master.machine.add_fault(parse("emergency-stop"))
    master.machine.advance(1)
    assert not master.holds(master.map.command("powerOn").preconditions)
    master.give("powerOn")
    master.machine.faults.clear()
    master.machine.advance(1)
    assert master.machine.state == "off"


@pytest.mark.parametrize(("name", "fault", "latch", "state"), [
    ("reflow10", "hood-open", "hood/openLatched", "coolingDown"),
    ("reflow12", "exhaust-lost", "exhaust/lostLatched", "coolingDown"),
    ("wave", "air-lost", "air/lostLatched", "fault"),
    ("reflow12", "water-lost", "water/lostLatched", "fault"),
    ("reflow10", "nitrogen-lost", "nitrogen/lostLatched", "ready"),
])  # fmt: skip
def test_what_was_lost_stays_latched_until_it_is_back_and_reset(name, fault, latch, state):
    master = warm(name)
    master.machine.add_fault(parse(f"{fault}@{master.machine.time}+30"))
    master.machine.advance(5)
    assert (master.read(latch), master.machine.state) == (1, state)
    assert master.give("alarmReset")
    assert master.read(latch) == 1, "its cause stands"
    master.machine.advance(30)
    assert master.read(latch) == 1
    before = master.machine.state
    assert master.give("alarmReset")
    assert (master.read(latch), master.machine.state) == (0, before)


def test_the_overtemperature_cut_out_is_reset_at_the_panel_only():
    master = warm()
    master.machine.add_fault(parse(f"overtemperature@{master.machine.time}+1"))
    master.machine.advance(5)
    assert (master.machine.state, master.read("machine/overtemperatureLatched")) == ("coolingDown", 1)
    assert master.give("alarmReset")
    assert master.read("machine/overtemperatureLatched") == 1
    assert not master.give("powerOn")
    master.machine.reset_alarms()
    assert master.read("machine/overtemperatureLatched") == 0
    assert master.give("powerOn")


def test_without_nitrogen_the_oxygen_rises():
    master = warm()
    master.machine.add_fault(parse("nitrogen-lost"))
    master.machine.advance(60)
    assert master.read("oxygen/1/concentration") > 50_000


def test_without_air_the_flux_is_not_atomised():
    master = warm("wave")
    master.machine.add_fault(parse("air-lost"))
    master.machine.advance(30)
    assert master.read("flux/1/pressure") == 0


def test_a_wave_machine_has_no_water_to_lose():
    with pytest.raises(FaultError, match="cannot have water-lost"):
        Master("wave").machine.add_fault(parse("water-lost"))


@pytest.mark.parametrize("name", MAPS)
def test_the_name_and_version_of_a_recipe_are_written_and_read_back(name):
    master = Master(name)
    assert master.write("recipe/name", "SnPb-B")[0] == 16
    master.write("recipe/version", 12)
    assert (master.read("recipe/name"), master.read("recipe/version")) == ("SnPb-B", 12)
    assert (master.machine.recipe.name, master.machine.recipe.version) == ("SnPb-B", 12)
    assert [path for _, path, _ in master.machine.wire.heard] == ["recipe/name", "recipe/version"]


def test_a_name_in_other_letters_than_ascii_is_refused():
    master = Master("reflow10")
    assert master.machine.answer(bytes.fromhex("10 0000 0010 20") + b"\xff" * 32) == b"\x90\x03"
    assert master.machine.recipe.name == "SAC305-A"


def test_every_setpoint_of_a_recipe_can_be_written_in_its_order():
    master = warm("reflow12")
    for path in master.map.recipe_order:
        value = master.read(path)
        assert master.write(path, value)[0] == 16, path
    assert master.machine.state == "ready"
    assert master.give("recipeStart")
    assert master.machine.state == "changeover"
    master.until("ready", 60)


def test_a_recipe_started_at_the_panel_wins_over_what_was_written_before():
    master = warm()
    master.write("recipe/name", "FROM-AFAR")
    master.write("zone/1/top/setpoint", 120.0)
    master.machine.start_recipe("PANEL", 9, {"zone/1/top/setpoint": 140.0}, 80.0)
    assert (master.read("recipe/name"), master.read("zone/1/top/setpoint")) == ("PANEL", 140.0)


def test_the_rails_move_at_their_own_pace_and_tell_when_a_board_lay_between_them():
    master = warm()
    master.write("conveyor/1/widthSetpoint", 200.0)
    master.machine.advance(5)
    assert master.read("conveyor/1/width") == pytest.approx(225.0, abs=1.5)
    master.machine.advance(6)
    assert master.read("conveyor/1/width") == 200.0
    (conveyor,) = master.machine.conveyors.values()
    assert not conveyor.has_squeezed
    master.machine.insert_board("A")
    master.write("conveyor/1/widthSetpoint", 210.0)
    master.machine.advance(1)
    assert conveyor.has_squeezed


def test_the_rails_of_a_machine_that_is_off_stand():
    master = off("reflow12")
    master.write("conveyor/2/widthSetpoint", 200.0)
    master.machine.advance(60)
    assert master.read("conveyor/2/width") == 250.0


@pytest.mark.parametrize("name", MAPS)
def test_the_horn_sounds_while_it_is_written(name):
    master = off(name)
    master.write("machine/horn", 1)
    assert master.read("machine/horn") == 1
    master.write("machine/horn", 0)
    assert master.read("machine/horn") == 0
    assert [heard[1:] for heard in master.machine.wire.heard] == [("machine/horn", 1.0), ("machine/horn", 0.0)]


def test_a_command_register_takes_one_command_after_the_other():
    master = off("reflow12")
    assert master.read("machine/commandReady") == 1
    master.write("machine/command", 1)
    assert master.read("machine/commandReady") == 0
    master.write("machine/command", 3)
    assert master.machine.state == "starting", "a number over another is no command"
    master.write("machine/command", 0)
    assert master.read("machine/commandReady") == 1
    assert master.give("powerOff")
    assert master.write("machine/command", 0)[0] == 16


def test_a_command_that_stays_written_is_obeyed_once():
    master = off("reflow10")
    master.write("command/powerOn", 1)
    master.machine.advance(1)
    master.machine.switch_off()
    master.write("command/powerOn", 1)
    assert master.machine.state == "off"


def test_a_write_that_is_ignored_is_answered_and_shows_in_the_read_back():
    master = warm()
    before = master.read("zone/1/top/setpoint")
    master.machine.add_fault(parse("write-ignored"))
    master.machine.advance(0.5)
    assert master.write("zone/1/top/setpoint", before + 5)[0] == 16
    assert master.read("zone/1/top/setpoint") == before
    assert not master.give("powerOff")
    assert master.machine.state == "ready"


def test_a_write_that_is_refused_changes_nothing():
    master = warm()
    master.machine.add_fault(parse("write-refused"))
    master.machine.advance(0.5)
    assert master.write("zone/1/top/setpoint", 120.0) == b"\x90\x04"
    assert master.read("zone/1/top/setpoint") != 120.0


def test_a_write_whose_answer_is_lost_was_taken():
    master = warm()
    master.machine.add_fault(parse("write-unanswered"))
    master.machine.advance(0.5)
    assert master.write("zone/1/top/setpoint", 120.0) == b""
    assert master.read("zone/1/top/setpoint") == 120.0


def test_a_machine_goes_silent_after_a_write_and_comes_back_when_it_is_mended():
    master = warm()
    master.machine.add_fault(parse(f"silent-after-write@{master.machine.time}+30"))
    master.machine.advance(0.5)
    assert master.read("machine/state") == 6
    assert not master.machine.is_silent
    assert master.write("zone/1/top/setpoint", 120.0)[0] == 16
    assert master.machine.is_silent
    master.machine.advance(31)
    assert not master.machine.is_silent
    assert master.read("zone/1/top/setpoint") == 120.0


def test_a_controller_that_reboots_while_it_warms_up_comes_back_cooling_down():
    master = Master("reflow10")
    master.write("command/powerOn", 1)
    master.machine.add_fault(parse("controller-reboot"))
    master.machine.advance(25)
    assert (master.machine.state, master.read("machine/heating")) == ("coolingDown", 0)
    assert master.read("command/powerOn") == 0
    assert master.give("powerOn")


def test_a_controller_that_reboots_in_a_cold_machine_comes_back_standing_by():
    master = off("reflow10")
    master.give("powerOn")
    master.machine.add_fault(parse("controller-reboot"))
    master.machine.advance(25)
    assert master.machine.state == "standby"


def test_a_controller_that_reboots_while_it_is_ready_goes_on():
    master = warm()
    master.machine.add_fault(parse("controller-reboot"))
    master.machine.advance(25)
    assert master.machine.state == "ready"


def test_a_commanded_machine_tells_the_same_story_each_time():
    def story():
        master = off("reflow10")
        master.give("powerOn")
        master.write("conveyor/1/widthSetpoint", 180.0)
        master.machine.advance(60)
        return [master.machine.read(register.path) for register in master.map.registers]

    assert story() == story()
