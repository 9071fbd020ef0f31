"""The configuration is read once at start; every fault at once, with file, line, key and reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edgeagent.config.checks import Found, contradictions, misfits, on_lines
from edgeagent.config.exposure import exposed
from edgeagent.config.secrets import take_out
from edgeagent.config.tables import AgentTable, Configuration, HttpTable, OpenAppsTable, SourceTable
from edgeagent.errors import ConfigError
from edgeagent.every_fault import STAND_IN, Faults
from firmware_iface import catalog
from firmware_iface.map_reader import FileFault
from firmware_iface.registers import RegisterMap
from firmware_iface.rename import renamed
from firmware_iface.toml_lines import KeyPath

FindMap = Callable[[Path, str], RegisterMap]
"""Gives a map by the configuration's file and the map's name in it; raises MapError."""

Maps = dict[str, tuple[RegisterMap, ...]]
"""Machine id → the maps of its sources in order."""


def load(path: str | Path, find: FindMap | None = None) -> tuple[Configuration, Maps]:
    """Read a configuration and the maps that it names; relative paths are taken from the file's folder.

    Args:
        find: where the maps are, if not shipped or in files.

    Returns:
        The configuration, and machine id → the maps of its sources in order.

    Raises:
        ConfigError: with every fault that was found, of the file and of its maps.
    """
    file = Path(path)
    document, faults = _read(file)
    of_maps = list[FileFault]()
    for where in take_out(document):
        faults.add(where, "secrets are never written in this file", 'name its place: "file:PATH" or "credential:NAME"')
    configuration = faults.convert(document, Configuration)
    found: list[Found] = []
    if configuration is not None:
        for m, machine in enumerate(configuration.machines):
            seen: set[str] = set()
            found += [Found(("machines", m, "sources", s), machine, source,
                             _map(file, ("machines", m, "sources", s), source, find or find_map, faults, of_maps, seen))
                      for s, source in enumerate(machine.sources)]  # fmt: skip
        wrong = (*contradictions(configuration), *on_lines(configuration, found), *misfits(configuration, found))
        for where, reason in (*wrong, *exposed(configuration)):
            faults.add(where, reason)
    if faults.found or configuration is None:
        raise ConfigError(sorted(faults.found, key=lambda fault: fault.line or 0) + of_maps)
    return configuration, {machine.id: tuple(each.map for each in found if each.map and each.machine is machine)
                           for machine in configuration.machines}  # fmt: skip


def load_http(path: Path) -> HttpTable:
    """Read where the agent of a configuration answers, and nothing else of it; raises ConfigError."""
    return _part(path, _Outlets).openapps.http


def load_store(path: Path) -> Path:
    """Read where the store of a configuration is, and nothing else of it; raises ConfigError."""
    return path.parent / _part(path, _Kept).agent.store


def located(file: Path, where: KeyPath, reason: str, mend: str) -> FileFault:
    """A fault of a configuration that was found after it was read; raises ConfigError where it cannot be read now."""
    _, faults = _read(file)
    faults.add(where, reason, mend)
    return faults.found[0]


class _Outlets(msgspec.Struct, frozen=True):
    """A configuration of which only the outlets are looked at."""

    openapps: OpenAppsTable = OpenAppsTable()


class _Kept(msgspec.Struct, frozen=True):
    """A configuration of which only the agent itself is looked at."""

    agent: AgentTable = AgentTable()


_Part = TypeVar("_Part")


def _part(path: Path, kind: type[_Part]) -> _Part:
    """Read a part of a configuration, whatever is wrong with the rest; raises ConfigError."""
    document, faults = _read(path)
    part = faults.convert(document, kind)
    if part is None or faults.found:
        raise ConfigError(faults.found)
    return part


def _read(file: Path) -> tuple[dict[str, Any], Faults]:
    """Read a TOML file; raises ConfigError."""
    try:
        document, lines = catalog.read_toml(file)
    except catalog.MapError as error:
        raise ConfigError(error.faults) from None
    return document, Faults(str(file), lines)


def _map(
    file: Path, where: KeyPath, source: SourceTable, find: FindMap, faults: Faults, of_maps: list[FileFault],
    seen: set[str],
) -> RegisterMap | None:  # fmt: skip
    """The map of a source; seen: paths of the sources before it on the same machine."""
    if source.map == STAND_IN:
        return None
    try:
        register_map = renamed(find(file, source.map), source.rename)
    except catalog.MapError as error:
        faults.add((*where, "map"), f"the map {source.map} cannot be used, see below")
        of_maps.extend(error.faults)
        return None
    except ValueError as error:
        faults.add((*where, "rename"), str(error))
        return None
    paths = {register.path for register in register_map.registers}
    if twice := sorted(paths & seen):
        more = f" and {len(twice) - 1} more points" if len(twice) > 1 else ""
        faults.add((*where, "map"), f"it describes {twice[0]}{more} that another source has")
    seen |= paths
    return register_map


def find_map(file: Path, name: str) -> RegisterMap:
    """Load a map by its name in a configuration; raises MapError."""
    path = map_file(file, name)
    return catalog.load(path) if path else catalog.builtin(name)


def map_file(file: Path, name: str) -> Path | None:
    """The file of a map that a configuration names; None where it names one that comes with the agent."""
    return file.parent / name if name.endswith(".toml") or "/" in name else None
