"""All functions of the catalogue and who answers them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec

from edgeagent import __version__
from edgeagent.clock import Clock
from edgeagent.model.functions import FUNCTIONS, Nothing
from edgeagent.publish.access import Handler
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.openapps.boards import BoardAnswers
from edgeagent.publish.openapps.events import EventAnswers
from edgeagent.publish.openapps.machines import MachineAnswers, Machines
from edgeagent.publish.outlet import Caller, LiveMachine
from edgeagent.store.archive import Archive


def answers(
    machines: Sequence[LiveMachine], archive: Archive, delivery: Delivery, clock: Clock
) -> dict[str, Handler]:
    """Make a handler for every function of the catalogue; give them to `Access`."""
    served = Machines(machines)

    @cache
    def description() -> msgspec.Raw:
        """Made at the first question: it takes time and memory that a start can do without."""
        from edgeagent.publish.openapps.openrpc import document  # noqa: PLC0415

        return msgspec.Raw(msgspec.json.encode(document(FUNCTIONS, __version__)))

    async def discover(_: Nothing, __: Caller) -> msgspec.Raw:
        return description()

    return {
        "rpc.discover": discover,
        **EventAnswers(served, archive.journal, delivery, clock).handlers(),
        **MachineAnswers(served, clock).handlers(),
        **BoardAnswers(served, archive.boards).handlers(),
    }
