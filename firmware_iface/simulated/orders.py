"""The points by which a machine is commanded from afar, and what is done when one of them is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from firmware_iface.registers import RegisterMap

HORN = "machine/horn"
COMMAND = "machine/command"

_NUMBERS = {1: "powerOn", 2: "standby", 3: "powerOff", 4: "alarmReset", 5: "recipeStart"}
"""The command register: number → command."""


class Orders:
    """Coils `command/...`, the command register and the horn of one machine, as far as its map has them.

    Args:
        obey: what does a command, by its name.

    Attributes:
        values: path → what is written there.
    """

    def __init__(self, register_map: RegisterMap, obey: Mapping[str, Callable[[], None]]) -> None:
        self._obey = obey
        coils = {f"command/{name}" for name in obey}
        self.values = {register.path: 0.0 for register in register_map.registers
                       if register.path in coils | {COMMAND, HORN}}  # fmt: skip

    @property
    def is_listening(self) -> bool:
        """Whether the command register is empty, so that the next command is taken."""
        return not self.values.get(COMMAND)

    def write(self, path: str, value: float) -> None:
        """Take a value; a coil that rises, or a number in an empty command register, is obeyed."""
        before, self.values[path] = self.values[path], value
        name = _NUMBERS.get(int(value), "") if path == COMMAND else path.removeprefix("command/")
        if value and not before and name in self._obey:
            self._obey[name]()

    def clear(self) -> None:
        """Forget what is written, as a controller does that starts again."""
        self.values = dict.fromkeys(self.values, 0.0)
