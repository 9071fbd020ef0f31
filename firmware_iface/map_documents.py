"""Makes the sources of a map, and holds what its points say of them against one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from firmware_iface import map_keys
from firmware_iface.map_reader import Reader
from firmware_iface.registers import Register, Source


def read_sources(reader: Reader, tables: Iterable[Mapping[str, Any]]) -> tuple[Source, ...]:
    """Read the documents, and their ids into `reader.documents`."""
    sources = []
    for index, table in enumerate(tables):
        source = reader.read(table, ("sources", index), map_keys.SOURCE)
        if name := source.get("id"):
            if name in reader.documents:
                reader.fault(("sources", index, "id"), f"another source has the id {name} already", "give it its own")
            reader.documents.add(name)
        if source.is_whole:
            sources.append(Source(**source))
    return tuple(sources)


def check_documents(reader: Reader, sources: tuple[Source, ...]) -> None:
    """Where some documents are named by points, all with an id are; a page is one of a known document."""
    points = reader.points.values()
    registers: list[Register] = [register for register in points if register]
    named = {register.source for register in registers if register.source}
    if named and len(registers) == len(points):
        for index, source in enumerate(sources):
            if source.id and source.id not in named:
                reader.fault(("sources", index, "id"), f"no point names {source.id}",
                             "name it where it describes a point, or leave the id out")
    for register in registers:
        if register.page and not register.source and len(sources) != 1:
            reader.fault(("groups", register.group, "points", register.path, "page"),
                         f"it is not known of which of {len(sources)} sources", "give the source too")
