"""All functions of the catalogue and who answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

import msgspec

from edgeagent import __version__
from edgeagent.clock import Clock
from edgeagent.model.callers import Caller
from edgeagent.model.functions import FUNCTIONS, Nothing
from edgeagent.publish.access import Handler
from edgeagent.publish.authentication import Authentication
from edgeagent.publish.cursors import Cursors
from edgeagent.publish.delivery import Delivery
from edgeagent.publish.openapps.alarms import AlarmAnswers
from edgeagent.publish.openapps.boards import BoardAnswers
from edgeagent.publish.openapps.commands import CommandAnswers
from edgeagent.publish.openapps.consumers import ConsumerAnswers
from edgeagent.publish.openapps.events import EventAnswers
from edgeagent.publish.openapps.machines import MachineAnswers, Machines
from edgeagent.publish.openapps.production import ProductionAnswers
from edgeagent.publish.openapps.recipes import RecipeAnswers
from edgeagent.publish.openapps.sessions import SessionAnswers
from edgeagent.publish.outlet import LiveMachine
from edgeagent.store.archive import Archive


@cache
def _description() -> msgspec.Raw:
    """The OpenRPC document; what makes it is loaded when it is first asked for."""
    from edgeagent.publish.openapps.openrpc import document  # noqa: PLC0415

    return msgspec.Raw(msgspec.json.encode(document(FUNCTIONS, __version__)))


def answers(
    machines: Sequence[LiveMachine], archive: Archive, delivery: Delivery, clock: Clock,
    authentication: Authentication | None = None,
) -> dict[str, Handler]:  # fmt: skip
    """Make a handler for every function of the catalogue; give them to `Access`."""
    authentication = authentication or Authentication()
    served = Machines(machines)
    consumers = ConsumerAnswers(archive, Cursors(archive.consumers, clock), clock)

    async def discover(_: Nothing, __: Caller) -> msgspec.Raw:
        return await asyncio.to_thread(_description)

    return {
        "rpc.discover": discover,
        **SessionAnswers(authentication).handlers(),
        **EventAnswers(served, archive.journal, delivery, consumers, clock, authentication).handlers(),
        **consumers.handlers(),
        **MachineAnswers(served, clock).handlers(),
        **AlarmAnswers(served, archive.alarms).handlers(),
        **BoardAnswers(served, archive.boards).handlers(),
        **ProductionAnswers(served, archive.counters, archive.states, clock).handlers(),
        **RecipeAnswers(served, archive.recipes).handlers(),
        **CommandAnswers(served, archive.jobs).handlers(),
    }
