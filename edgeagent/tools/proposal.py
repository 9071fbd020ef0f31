"""What was found on a serial line, and the configuration that would use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgeagent.tools.ports import stable_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class Settings(NamedTuple):
    """How is spoken on a line: bits a second, "none", "even" or "odd", and 1 or 2."""

    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"{self.baud} 8{self.parity[0].upper()}{self.stop_bits}"


class Fit(NamedTuple):
    """How many of a map's points a unit answered for; `name` as the user gave it."""

    name: str
    answered: int
    points: int


class Found(NamedTuple):
    """A unit that is there, how that is known, and the maps that were held against it."""

    unit: int
    proof: str
    fits: tuple[Fit, ...] = ()


def proposal(port: str, settings: Settings, found: Sequence[Found], is_master: bool) -> str:
    """A configuration's tables as TOML, with a comment for everything that only the user knows.

    Each unit is a machine of its own, so that two that speak one map are told apart.

    Args:
        is_master: the agent alone asks on the line; otherwise it only listens to another master.
    """
    return "\n".join((*_line(port, settings, is_master), *_machines(found))) + "\n"


def _line(port: str, settings: Settings, is_master: bool) -> Iterator[str]:
    why = "this agent alone asks on this line" if is_master else "another master asks; the agent listens"
    yield from (
        "[[lines]]", 'id = "line1"', f'port = "{stable_name(port) or port}"', f"baud = {settings.baud}",
        f'parity = "{settings.parity}"', f"stop_bits = {settings.stop_bits}",
        f"master = {str(is_master).lower()}  # {why}",
    )  # fmt: skip


def _machines(found: Iterable[Found]) -> Iterator[str]:
    for one in found:
        fitting = next((fit for fit in one.fits if fit.answered == fit.points), None)
        yield from ("", "[[machines]]", f'id = "M{one.unit}"  # how the MES names the machine')
        yield from (f"[[machines.sources]]  # {one.proof}", 'kind = "modbus-rtu"')
        if fitting:
            yield f'map = "{fitting.name}"  # all of its {fitting.points} points were answered'
        else:
            yield f'map = "./unit{one.unit}.toml"  # the unit\'s register map, still to be named or written'
        yield from ('line = "line1"', f"unit = {one.unit}")
