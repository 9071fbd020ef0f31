"""Whether the device is the one that its map describes: asked at every connect, before any value counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeagent.acquire.plan import GroupPlan
from edgeagent.errors import Refused, WrongDevice
from edgeagent.model.points import Quality
from edgeagent.model.samples import Row
from firmware_iface import identity

if TYPE_CHECKING:
    from edgeagent.acquire.source import Source
    from firmware_iface.registers import RegisterMap

_NOT_THERE = (1, 2, 3)
"""Illegal function, address, value: the device has nothing to tell there; other refusals say "not now"."""


class Recognition:
    """What a map asks of the device's identity, its firmware and its fingerprint; nothing where it asks for nothing."""

    def __init__(self, register_map: RegisterMap) -> None:
        self._map = register_map
        self._registers = [replace(register, max_rate=None) for register in identity.points(register_map)]
        self._row = Row(len(self._registers), 1)
        self._plan = GroupPlan(0, list(enumerate(self._registers)), register_map.device, self._row)

    async def demand(self, source: Source) -> None:
        """Read and compare.

        Raises:
            WrongDevice: it is another one, or it has not what tells it.
            Unreachable, Silent, BadAnswer, Refused: as the source does.
        """
        if misfits := await self.misfits(source):
            raise WrongDevice(f"{source.name} is not what the map {self._map.id} {self._map.version} describes: "
                              + "; ".join(misfits))

    async def misfits(self, source: Source) -> list[str]:
        """One sentence for each thing that does not fit; raises what `demand` does, but for WrongDevice."""
        if self._registers:
            await self._read(source)
        return identity.misfits(self._map, {
            register.path: self._row.texts.get(column) if register.type == "text" else self._row.values[column]
            for column, register in enumerate(self._registers)
            if self._row.quality[column] == Quality.GOOD
        })  # fmt: skip

    async def _read(self, source: Source) -> None:
        """Read all of it, without the gaps where the device refuses to be read across them."""
        for planned in self._plan.blocks:
            await asyncio.sleep(self._map.device.pause_ms / 1000)
            try:
                planned.decode(await source.read(planned.block), 0)
            except Refused as error:
                if error.code not in _NOT_THERE:
                    raise
                if self._plan.split():
                    await self._read(source)
                    return
                planned.miss()
