"""Stand-ins for what asyncua's server imports and ours never uses.

Needed for asyncua 2.1.0 because it loads its importer and exporter of XML, a parser of XML, PubSub and a parser of
dates with every server: 2.8 MB.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import NoReturn

SPARED = {
    "asyncua.common.xmlimporter": "XmlImporter",
    "asyncua.common.xmlexporter": "XmlExporter",
    "asyncua.pubsub.pubsub": "PubSub",
    "dateutil": "parser",
    "xml.etree": "ElementTree",
}
"""Module → the one name that is imported from it."""


class _Spared:
    """Fails as soon as it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"{self._name} is spared in this process")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self._name} is spared in this process")


def spare() -> None:
    """Put them in place of the modules that are not there yet; for a process of its own, before it imports asyncua."""
    for module, name in SPARED.items():
        stand_in = ModuleType(module)
        setattr(stand_in, name, _Spared(name))
        sys.modules.setdefault(module, stand_in)
