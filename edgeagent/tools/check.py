"""`edgeagent check`: whether a configuration can be used, and whether the agent can run with it here."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edgeagent import config
from edgeagent.errors import ConfigError
from edgeagent.listeners import secured
from edgeagent.tools.ports import warnings
from edgeagent.tools.surroundings import look

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgeagent.tools.surroundings import Finding
    from firmware_iface.registers import RegisterMap


def check(file: Path, *, as_json: bool) -> bool:
    """Print what a configuration reads and what is wrong around it; says whether the agent can run.

    Raises:
        ConfigError: the configuration cannot be used; with `as_json` its faults are printed before.
    """
    try:
        configuration, maps = config.load(file)
        secured(configuration, file.parent / configuration.agent.store, file)
    except ConfigError as error:
        if as_json:
            _print_json(file, [asdict(fault) for fault in error.faults], [], [])
        raise
    sources = [
        {"machine": machine.id, "place": config.place_of(source, register_map), **_described(register_map)}
        for machine in configuration.machines
        for source, register_map in zip(machine.sources, maps[machine.id], strict=True)
    ]
    findings = list(look(configuration, file.parent / configuration.agent.store, file.parent))
    for warning in warnings(configuration.lines):
        print(f"{file}: {warning}", file=sys.stderr)
    if as_json:
        _print_json(file, [], sources, findings)
    else:
        _print(file, sources, findings)
    return not any(finding.mend for finding in findings)


def _described(register_map: RegisterMap) -> dict[str, Any]:
    return {"map": register_map.id, "version": register_map.version, "points": len(register_map.registers),
            "fingerprint": register_map.fingerprint}  # fmt: skip


def _print(file: Path, sources: Sequence[dict[str, Any]], findings: Sequence[Finding]) -> None:
    for source in sources:
        print("{machine}: {place} speaks {map} {version} ({points} points, fingerprint {fingerprint})".format(**source))
    for finding in findings:
        print(f"{finding.what}: {finding.text}" + (f" ({finding.mend})" if finding.mend else ""))
    wrong = sum(bool(finding.mend) for finding in findings)
    print(f"{file} can be used" + (f", but {wrong} of the things around it must be mended" if wrong else ""))


def _print_json(file: Path, faults: list[Any], sources: list[dict[str, Any]], findings: Sequence[Finding]) -> None:
    print(json.dumps({
        "file": str(file), "usable": not faults, "ready": not faults and not any(each.mend for each in findings),
        "faults": faults, "sources": sources, "surroundings": [each._asdict() for each in findings],
    }, ensure_ascii=False))  # fmt: skip
