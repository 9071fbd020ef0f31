"""Recipes in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeagent.tools.tables import local, number, printable, table

Answer = dict[str, Any]


def listed(recipes: list[Answer], most: int | None) -> Iterator[str]:
    """One line for each; what a machine runs is marked."""
    if not recipes:
        yield "no recipe is kept, and none is known to run"
        return
    rows = [("machine", "recipe", "version", "runs", "made", "by", "alloy", "comment")]
    for it in recipes:
        runs = {True: "yes", False: "", None: "not known"}[it["active"]]
        made = local(it["madeAt"]) if it["stored"] else "at the machine"
        rows.append((it["machine"], it["name"], number(it["version"]), runs,
                     f"{made}, deleted" if it["deletedAt"] else made, it["by"] or "-", it["alloy"] or "-",
                     it["comment"] or "-"))  # fmt: skip
    yield from table(rows, most, whole=3)


def shown(recipe: Answer, points: Mapping[str, str], most: int | None) -> Iterator[str]:
    """A recipe from both sides: what is kept, and what the machine that runs it has."""
    kept = recipe["kept"]
    version = "" if recipe["version"] is None else f" version {recipe['version']}"
    runs = {True: "runs", False: "does not run", None: "ran, when it last answered,"}[recipe["active"]]
    yield printable(f"{recipe['machine']} {runs} {recipe['name']}{version}")
    if kept:
        based_on = f", from version {kept['basedOn']}" if kept["basedOn"] else ""
        yield printable(f"kept since {local(kept['madeAt'])}, by {kept['by']}{based_on}")
        for key in ("alloy", "comment"):
            if kept[key]:
                yield f"{key:<8} {printable(kept[key])}"
        yield f"settling {kept['settlingSeconds']:g} s"
        if kept["deletedAt"]:
            yield f"deleted at {local(kept['deletedAt'])}"
    else:
        yield "the agent keeps no such version: boards are judged by the configuration"
    now = {f"{it['object']}/{it['name']}": it for it in recipe["setpoints"]}
    rows = [("setting", "kept", "machine", "unit, meaning")]
    for path in dict.fromkeys((*(kept["settings"] if kept else ()), *now)):
        read = now.get(path)
        told = "-" if read is None or read["quality"] != "good" else number(read["value"])
        rows.append((path, number(kept["settings"].get(path)) if kept else "-", told, points.get(path, "-")))
    yield ""
    yield from table(rows, most, whole=1)
    for name in ("tolerances", "window"):
        if recipe[name]:
            yield ""
            yield from table([(name, ""), *((key, _limit(value)) for key, value in recipe[name].items())], most)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Each key at which two recipes differ, and both values to their last digit; `-` where one has none."""
    a, b = dict(_flat(first)), dict(_flat(second))
    return [(key, a.get(key, "-"), b.get(key, "-")) for key in dict.fromkeys((*a, *b)) if a.get(key) != b.get(key)]


def _flat(recipe: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, value in recipe.items():
        if isinstance(value, dict) and value.keys() != {"low", "high"}:
            yield from _flat(value, "" if key == "settings" else f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", _exact(value)


def _exact(value: Any) -> str:
    if isinstance(value, dict):
        return f"{_exact(value['low'])} to {_exact(value['high'])}"
    return repr(float(value)).removesuffix(".0") if isinstance(value, int | float) else printable(str(value))


def _limit(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['low']:g} to {value['high']:g}" if value.keys() == {"low", "high"} else \
            ", ".join(f"{key} {number(each)}" for key, each in value.items()) or "-"
    return number(value) if isinstance(value, int | float) or value is None else printable(str(value))
