"""`edgeagent firmware`: what is made from a register map."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from edgeagent.errors import ConfigError
from firmware_iface import catalog, header, pages, schema
from firmware_iface.map_reader import FileFault

if TYPE_CHECKING:
    from firmware_iface.registers import RegisterMap


def write(what: str, name: str | None) -> bool:
    """Write a header, a page or the schema to standard output; False where a map must be named and is not.

    Raises:
        ConfigError: there is no such map, or it has no header.
    """
    if what == "schema":
        sys.stdout.write(schema.schema_text())
        return True
    if name is None:
        print(f"edgeagent: name a map: edgeagent firmware {what} reflow10", file=sys.stderr)
        return False
    register_map = map_of(name)
    if what == "header" and register_map.instrument:
        raise ConfigError([FileFault(name, None, "instrument", "it speaks text: no firmware has its registers")])
    sys.stdout.write(header.header_text(register_map) if what == "header" else pages.page_text(register_map))
    return True


def map_of(name: str) -> RegisterMap:
    """Load a map by its name or file; raises ConfigError."""
    try:
        return catalog.load(name) if name.endswith(".toml") else catalog.builtin(name)
    except catalog.MapError as error:
        raise ConfigError(error.faults) from None
