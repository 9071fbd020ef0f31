"""Simulated instruments that speak text, on one serial line at its speed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from edgeagent.acquire.serial_port import PARITY
from edgeagent.errors import ConfigError
from edgeagent.simulate.port import Port
from firmware_iface.frames.bisynch import UNITS
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap
from firmware_iface.simulated.build import speaking
from firmware_iface.simulated.recipes import NotSimulated
from firmware_iface.simulated.text_instruments import Speaker

_BISYNCH = "ei-bisynch"
_LATENCY_S = 0.005


class TextLine:
    """Serves instruments of which each hears all that is asked; what is heard while one answers is lost.

    Attributes:
        lost: why the port is gone; empty while it is there.
    """

    def __init__(self, instruments: Sequence[Speaker], port: Port) -> None:
        self.lost = ""
        self._instruments = instruments
        self._port = port
        self._speaking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until cancelled, then close the port; raises OSError when the port is gone."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._port.fileno(), self._hear)
        try:
            while not self.lost:
                await asyncio.sleep(1.0)
                self._say(b"".join(each.second() for each in self._instruments), 0.0)
            raise OSError(f"the port is gone: {self.lost}")
        finally:
            if not self.lost:
                loop.remove_reader(self._port.fileno())
            if self._speaking is not None:
                self._speaking.cancel()
                with suppress(asyncio.CancelledError):
                    await self._speaking
            self._port.close()

    def _hear(self) -> None:
        try:
            heard = self._port.read()
        except OSError as error:
            asyncio.get_running_loop().remove_reader(self._port.fileno())
            self.lost = error.strerror or str(error)
            return
        if self._speaking is None or self._speaking.done():
            asked_s = len(heard) * self._port.character_s if self._port.is_pty else 0.0
            self._say(b"".join(each.hear(heard) for each in self._instruments), asked_s + _LATENCY_S)

    def _say(self, words: bytes, after_s: float) -> None:
        if words and (self._speaking is None or self._speaking.done()):
            self._speaking = asyncio.create_task(self._speak(words, after_s))

    async def _speak(self, words: bytes, after_s: float) -> None:
        await asyncio.sleep(after_s)
        with suppress(OSError):
            await self._port.say(words)


async def speak(
    maps: Mapping[int, RegisterMap], port: str, baud: int, parity: str, stop_bits: int, announce: Callable[[str], None]
) -> None:
    """Serve an instrument for each unit until cancelled; EI-Bisynch has 7 data bits, lines of text have 8.

    Raises:
        ConfigError: a map cannot be simulated, or not on one line with the others. PortRefused: the port.
        OSError: the port is gone.
    """
    protocols = {each.instrument.protocol if each.instrument else "" for each in maps.values()}
    if len(maps) > 1 and protocols != {_BISYNCH}:
        raise _refused("only Modbus devices, or only EI-Bisynch units, can share a line")
    if protocols == {_BISYNCH} and (wrong := [unit for unit in maps if unit not in UNITS]):
        raise _refused(f"unit {wrong[0]}: EI-Bisynch has the addresses {UNITS[0]} to {UNITS[-1]}")
    try:
        instruments = [speaking(register_map, unit) for unit, register_map in maps.items()]
    except NotSimulated as error:
        raise _refused(str(error)) from None
    data_bits = 7 if protocols == {_BISYNCH} else 8
    line = TextLine(instruments, Port(port, baud, parity, stop_bits, data_bits))
    names = ", ".join(f"{register_map.id} as unit {unit}" for unit, register_map in maps.items())
    announce(f"simulated {names} on {port} at {baud} {data_bits}{PARITY[parity]}{stop_bits}")
    await line.run()


def _refused(reason: str) -> ConfigError:
    return ConfigError([FileFault("command line", None, "--map", reason)])
