"""Recipes as files: TOML for people, with units and what each value is; JSON as the functions take it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from edgeagent.config.tables import LIMITS, TolerancesTable, WindowTable
from edgeagent.errors import ConfigError
from edgeagent.every_fault import Faults, key_name
from edgeagent.model.machine import Limit, ProcessWindow, Tolerances
from edgeagent.model.recipes import SETTLING_S, Alloy, Comment, RecipeDraft, Settings, Title
from edgeagent.tools.json_lines import DoubledKey, key_lines
from edgeagent.tools.tables import printable
from firmware_iface import catalog
from firmware_iface.map_reader import FileFault
from firmware_iface.toml_lines import KeyPath

MOST_BYTES = 1 << 20
"""Of a file."""

_TOML_KEYS = {
    "settlingSeconds": "settling_s", "zoneCelsius": "zone_celsius", "beltPercent": "belt_percent",
    "measurePercent": "measure_percent", "oxygenPpm": "oxygen_ppm", "contactSeconds": "contact_s",
    "soakLow": "soak_low", "soakHigh": "soak_high", "timeAboveLiquidus": "time_above_liquidus", "maxRise": "max_rise",
    "maxFall": "max_fall",
}  # fmt: skip
"""Keys of the functions, and of TOML files where they are others."""

_UNITS = {
    "settlingSeconds": "s; so long everything stays within its tolerance before the machine is ready",
    "zoneCelsius": "degC", "beltPercent": "percent of the belt's speed", "oxygenPpm": "ppm",
    "measurePercent": "percent, of a wave machine's flux flow, air pressure and pump speeds",
    "contactSeconds": "s on all waves together", "liquidus": "degC; melting point of the solder",
    "soakLow": "degC; the rising band whose time is the soak", "soakHigh": "degC", "peak": "degC",
    "timeAboveLiquidus": "s", "soak": "s", "maxRise": "degC/s", "maxFall": "degC/s; falls are negative",
}  # fmt: skip


class _Tolerances(TolerancesTable, frozen=True):
    """How far the process may be from its setpoints; zones: °C of single objects."""

    zones: dict[str, float] = msgspec.field(default_factory=dict)


class _Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipe as a TOML file has it."""

    name: Title
    settings: Settings
    settling_s: float = SETTLING_S
    alloy: Alloy | None = None
    comment: Comment | None = None
    tolerances: _Tolerances | None = None
    window: WindowTable | None = None


class RecipeFile:
    """A recipe that was read from a file.

    Attributes:
        draft: the recipe.

    Raises:
        ConfigError: the file cannot be read as a recipe; every fault of it is told.
    """

    def __init__(self, path: Path) -> None:
        self._is_json = path.suffix == ".json"
        document, lines = _json(path) if self._is_json else _toml(path)
        self._faults = Faults(str(path), lines)
        self.draft = self._converted(document)

    def refuse(self, faults: list[dict[str, Any]]) -> ConfigError:
        """Say with the file's lines what a machine cannot do of it, as Recipe.Check told."""
        for fault in faults:
            value = "" if fault["value"] is None else f"{fault['value']}: "
            self._faults.add(self._place(fault["path"]), value + fault["reason"], fault["possible"] or "")
        return ConfigError(sorted(self._faults.found, key=lambda fault: fault.line or 0))

    def _place(self, path: str) -> KeyPath:
        if "/" in path and not path.startswith("tolerances."):
            return ("settings", path)
        parts = path.split(".", 2)
        if self._is_json:
            return tuple(parts)
        return tuple(_TOML_KEYS.get(part, part) for part in parts)

    def _converted(self, document: dict[str, Any]) -> RecipeDraft:
        tolerances = document.get("tolerances")
        self._free(document.get("settings"), ("settings",))
        self._free(tolerances.get("zones") if isinstance(tolerances, dict) else None, ("tolerances", "zones"))
        draft: RecipeDraft | None = None
        if self._is_json:
            draft = self._faults.convert(document, RecipeDraft)
        elif found := self._faults.convert(document, _Recipe):
            draft = _draft(found)
        for place, value in _numbers(msgspec.to_builtins(draft)):
            if not math.isfinite(value):
                self._faults.add(self._place(place), f"{value} is no number")
        if self._faults.found or draft is None:
            raise ConfigError(sorted(self._faults.found, key=lambda fault: fault.line or 0))
        return draft

    def _free(self, table: object, where: KeyPath) -> None:
        """Look at values whose keys are nobody's to name; a number stands in for those that are none."""
        for key, value in table.items() if isinstance(table, dict) else ():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not abs(value) <= sys.float_info.max:  # an int may be more than a float can be
                self._faults.add((*where, key), f"{value!r:.60} is no number", "write it in the unit of its point")
                table[key] = 0.0  # type: ignore[index]


def toml(recipe: Mapping[str, Any], points: Mapping[str, str], origin: str) -> str:
    """Write a kept recipe as a TOML file for people.

    Args:
        recipe: as Recipe.Get tells it under `kept`.
        points: path → unit and text of the point, for the comments.
        origin: where it comes from, in a line.
    """
    lines = [f"# {origin}", "", f"name = {_text(recipe['name'])}"]
    lines += [f"{key} = {_text(recipe[key])}" for key in ("alloy", "comment") if recipe.get(key)]
    lines += [_line("settlingSeconds", recipe["settlingSeconds"]), "", "[settings]"]
    written = [f"{_text(path)} = {value!r}" for path, value in recipe["settings"].items()]
    width = max(map(len, written), default=0)
    lines += [f"{line:<{width}}  # {printable(points[path])}" if points.get(path) else line
              for line, path in zip(written, recipe["settings"], strict=True)]  # fmt: skip
    for table in ("tolerances", "window"):
        if recipe.get(table):
            its = {key: value for key, value in recipe[table].items() if value is not None and key != "zones"}
            lines += ["", f"[{table}]", *(_line(key, value) for key, value in its.items())]
    if zones := recipe["tolerances"].get("zones"):
        lines += ["", "[tolerances.zones]  # degC, of single objects"]
        lines += [f"{_text(name)} = {value!r}" for name, value in zones.items()]
    return "\n".join(lines) + "\n"


def draft_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What of a kept recipe was somebody's to write: as Recipe.Create takes it."""
    names = {field.encode_name for field in msgspec.structs.fields(RecipeDraft)}
    return {key: value for key, value in kept.items() if key in names and value is not None}


def _numbers(table: Any, before: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a recipe, by its key as the functions have it."""
    for key, value in table.items() if isinstance(table, dict) else ():
        if isinstance(value, float):
            yield before + key, value
        else:
            yield from _numbers(value, f"{before}{key}.")


def _draft(file: _Recipe) -> RecipeDraft:
    its, window = file.tolerances, file.window
    return RecipeDraft(
        name=file.name, settings=file.settings, settling_s=file.settling_s, alloy=file.alloy, comment=file.comment,
        tolerances=Tolerances(
            its.zone_celsius, its.belt_percent, its.oxygen_ppm, its.measure_percent,
            Limit(*its.contact_s) if its.contact_s else None, its.zones,
        ) if its else None,
        window=ProcessWindow(
            window.liquidus, window.soak_low, window.soak_high,
            **{name: Limit(*limit) for name in LIMITS if (limit := getattr(window, name))},
        ) if window else None,
    )  # fmt: skip


def _toml(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    _require_small(path)
    try:
        return catalog.read_toml(path)
    except catalog.MapError as error:
        raise ConfigError(error.faults) from None


def _json(path: Path) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    _require_small(path)
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text, parse_int=float)
        json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ConfigError([FileFault(str(path), error.lineno, "", f"is not JSON: {error.msg}")]) from None
    except UnicodeEncodeError:
        raise ConfigError([FileFault(str(path), None, "", "holds half of a character, as \\ud800 is")]) from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError([FileFault(str(path), None, "", f"cannot be read: {error}")]) from None
    if not isinstance(document, dict):
        raise ConfigError([FileFault(str(path), 1, "", "is no recipe", "write an object with name and settings")])
    try:
        return document, key_lines(text)
    except DoubledKey as error:
        key = key_name(error.where)
        raise ConfigError([FileFault(str(path), error.line, key, str(error), "take one of the two out")]) from None


def _require_small(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigError([FileFault(str(path), None, "", f"cannot be read: {error.strerror}")]) from None
    if size > MOST_BYTES:
        raise ConfigError([FileFault(str(path), None, "", f"has {size} bytes and is no recipe", "a recipe has a few")])


def _line(key: str, value: Any) -> str:
    shown = f"[{value['low']!r}, {value['high']!r}]" if isinstance(value, dict) else repr(value)
    return f"{_TOML_KEYS.get(key, key)} = {shown}  # {_UNITS[key]}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
