"""NodeIds of our own nodes: numbers that are the same after each start, in each version, at each machine.

Types have numbers from a stored list, to which new ones are appended: `python -m edgeagent.publish.opcua.node_ids`.
What a machine has depends on its map, which anybody may write, so that the number of each of its nodes is made from its
name: "RO0001/zone/1/top/temperature". A number that two names would have is given to neither: who had it would depend
on which machine is configured first, and a client would read another value than it was set up for.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from importlib import resources
from itertools import count
from pathlib import Path

from asyncua import ua

TYPES_URI = "urn:edgeagent:types"
"""Namespace of our types."""

MACHINES_URI = "urn:edgeagent:machines"
"""Namespace of the machines' nodes."""

FILE = "node_ids.txt"

_FIRST, _END = 1 << 20, 1 << 31
"""Numbers of a machine's nodes: most clients take them for Int32."""


def stored() -> dict[str, int]:
    """The list: name of a type's node → number."""
    lines = resources.files(__package__).joinpath(FILE).read_text("ascii").splitlines()
    return {name: int(number) for number, name in (line.split() for line in lines)}


def extended(numbers: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    """Give a number to each name that has none."""
    longer = dict(numbers)
    following = max(longer.values(), default=0) + 1
    for name in names:
        if name not in longer:
            longer[name] = following
            following += 1
    return longer


class Contested(Exception):
    """Two names would have one number: all is to be made anew with numbers that nobody has."""

    def __init__(self, numbers: frozenset[int]) -> None:
        super().__init__(f"{len(numbers)} numbers are those of two names")
        self.numbers = numbers


class NodeIds:
    """Gives each of our nodes its NodeId.

    Args:
        types, machines: indexes of the two namespaces in this server.
        contested: numbers that nobody gets.
    """

    def __init__(self, types: int, machines: int, contested: frozenset[int] = frozenset()) -> None:
        self.types = types
        self.machines = machines
        self._contested = contested
        self._shared: set[int] = set()
        self._stored = stored()
        self._taken: dict[int, str] = {}

    def of_type(self, name: str) -> ua.NodeId:
        """The NodeId of a type or of what belongs to one; KeyError for a name that is not in the list."""
        return _numeric(self._stored[name], self.types)

    def of_node(self, name: str) -> ua.NodeId:
        """The NodeId of a node of a machine, the same for the same name."""
        for turn in count():
            digest = blake2b(name.encode(), digest_size=8, salt=turn.to_bytes(2, "big") if turn else b"").digest()
            number = _FIRST + int.from_bytes(digest, "big") % (_END - _FIRST)
            if number in self._contested:
                continue
            if self._taken.setdefault(number, name) == name:
                break
            self._shared.add(number)
        return _numeric(number, self.machines)

    def require_order_is_nothing(self) -> None:
        """Refuse what was given where it depends on the order of the names; raises Contested."""
        if self._shared:
            raise Contested(self._contested | self._shared)

    def name(self, node_id: ua.NodeId) -> str | None:
        """The name that a machine's node was given its number for."""
        number = node_id.Identifier
        is_ours = node_id.NamespaceIndex == self.machines and isinstance(number, int)
        return self._taken.get(number) if is_ours else None  # type: ignore[arg-type]


def _numeric(number: int, namespace: int) -> ua.NodeId:
    return ua.NodeId(number, namespace)  # type: ignore[arg-type]  # asyncua says Int32, its class for the wire


if __name__ == "__main__":
    from edgeagent.publish.opcua.own_types import names

    longer = extended(stored(), names())
    lines = "".join(f"{number} {name}\n" for name, number in longer.items())
    Path(__file__).with_name(FILE).write_text(lines, "ascii")
