"""Faults as people give them: on the command line, and typed while the devices run."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from firmware_iface.simulated.device import Device
from firmware_iface.simulated.faults import FaultError, parse

_LONGEST_LINE = 1000


class Faults:
    """Gives faults to devices: `[unit ]fault`, the unit where there are several; `[unit ]mend` ends them."""

    def __init__(self, devices: Mapping[int, Device]) -> None:
        self._devices = devices

    def take(self, text: str) -> str:
        """Give one fault, or mend; returns what happened in one sentence.

        Raises:
            FaultError: it cannot be understood, or the device cannot have it.
        """
        unit, text = re.fullmatch(r"(?:(\d{1,3})\s+)?(.*)", text.strip(), re.ASCII | re.DOTALL).groups()  # type: ignore[union-attr]
        if text == "mend":
            concerned = [self._device(unit)] if unit else list(self._devices.values())
            for device in concerned:
                device.faults.clear()
            return f"{concerned[0].time:.0f} s: all faults mended"
        device = self._device(unit)
        device.add_fault(parse(text))
        return f"{device.time:.0f} s: {text}"

    def _device(self, unit: str | None) -> Device:
        units = ", ".join(str(each) for each in self._devices)
        if unit is None:
            if len(self._devices) > 1:
                raise FaultError(f"which device? write the unit before the fault: one of {units}")
            return next(iter(self._devices.values()))
        if int(unit) not in self._devices:
            raise FaultError(f"no unit {unit}: there are {units}")
        return self._devices[int(unit)]


@contextmanager
def typed_lines(faults: Faults, announce: Callable[[str], None]) -> Iterator[None]:
    """Take faults typed on standard input, where that is a terminal or a pipe."""
    descriptor = _input()
    if descriptor is None:
        yield
        return
    loop = asyncio.get_running_loop()
    held = b""

    def read() -> None:
        nonlocal held
        received = os.read(descriptor, 4096)
        # The end of the input ends the last line too.
        *lines, held = (held + (received or b"\n")).split(b"\n")
        held = held[:_LONGEST_LINE]
        for line in lines:
            if text := line.decode(errors="replace").strip():
                try:
                    announce(faults.take(text))
                except FaultError as error:
                    announce(str(error))
        if not received:
            loop.remove_reader(descriptor)

    loop.add_reader(descriptor, read)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


def _input() -> int | None:
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor if stat.S_ISFIFO(mode) or os.isatty(descriptor) else None
