"""How a machine comes up, settles, changes over, cools and stops."""

from __future__ import annotations

from firmware_iface.simulated.heaters import STEP_S

UNHEATED = ("off", "standby", "starting", "coolingDown", "emergencyStop")
"""States in which the heaters are off."""

AT_REST = ("off", "standby")
"""States in which belt and blowers are off too."""

READY_WITHIN = 3.0
READY_AFTER_S = 20.0
FAILED_BEYOND = 20.0
"""°C from the setpoint: a zone is ready within the one for some time, and a ready machine fails beyond the other."""

STARTING_S = 8.0
"""How long a machine that was off runs belt and blowers up before it heats."""


class Sequence:
    """The controller's own order of things.

    Attributes:
        mode: state of the machine as long as no emergency stop is pressed.
        was_cut_hot: everything was switched off with hot zones, which nothing cools then.
    """

    def __init__(self) -> None:
        self.mode = "warmingUp"
        self.was_cut_hot = False
        self._settled_s = 0.0
        self._starting_s = 0.0

    def warm_up(self) -> None:
        """Heat."""
        self.mode, self._settled_s = "warmingUp", 0.0

    def change_over(self) -> None:
        """Settle on other setpoints."""
        self.mode, self._settled_s = "changeover", 0.0

    def cool_down(self) -> None:
        """Switch the heaters off; belt and blowers go on until the machine is cool."""
        self.mode = "coolingDown"

    def switch_off(self, *, is_cool: bool) -> None:
        """Switch everything off at once, however hot it is."""
        self.was_cut_hot |= not is_cool and self.mode not in AT_REST
        self.mode = "off"

    def power_on(self) -> None:
        """Start a machine that is off, heat one that cools or stands by; any other goes on."""
        if self.mode == "off":
            self.mode, self._starting_s = "starting", 0.0
        elif self.mode in ("standby", "coolingDown"):
            self.warm_up()

    def stand_by(self) -> None:
        """Let a machine that is not off cool down, and stand by then."""
        if self.mode not in AT_REST:
            self.cool_down()

    def restart(self) -> None:
        """Go on after the controller's restart: what holds its setpoints is held by the drives, a ramp is lost."""
        if self.mode in ("starting", "warmingUp"):
            self.cool_down()

    def follow(self, state: str, farthest: float, *, is_fit: bool, is_cool: bool, has_failed: bool) -> None:
        """Go on by one time step: what has settled makes the machine ready, what fails or strays makes it fail.

        Args:
            farthest: largest distance from a setpoint in °C; infinite where it is not known.
            is_fit: nothing but temperatures keeps it from being ready. is_cool: cold enough to stand by.
        """
        if self.mode == "coolingDown" and is_cool:
            self.mode = "standby"
        if self.mode == "starting":
            self._starting_s += STEP_S
            if self._starting_s >= STARTING_S:
                self.warm_up()
        if state == "emergencyStop" and self.mode not in UNHEATED:
            self.warm_up()
        if state in UNHEATED:
            return
        is_settled = farthest <= READY_WITHIN + 0.5 * (self._settled_s > 0) and not has_failed
        self._settled_s = self._settled_s + STEP_S if is_settled else 0.0
        if has_failed or (self.mode == "ready" and farthest > FAILED_BEYOND):
            self.mode = "fault"
        elif self._settled_s >= READY_AFTER_S and is_fit:
            self.mode = "ready"
