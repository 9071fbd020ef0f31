"""The where clause of an event filter, for subscriptions and for the history.

Needed for asyncua 2.1.0 because its OfType does not know derived types, and because it logs each event for which a
clause makes no sense.
"""

from __future__ import annotations

from asyncua import ua
from asyncua.server.monitored_item_service import WhereClauseEvaluator

from edgeagent.publish.opcua.happenings import Happening


class Filter(WhereClauseEvaluator):
    """A where clause; without elements it wants every event."""

    def eval(self, event: Happening) -> bool:
        """Whether the event is wanted; not where the clause makes no sense for it."""
        try:
            return not self.elements or bool(self._eval_el(0, event))
        except Exception:  # noqa: BLE001  a client wrote the clause
            return False

    def _eval_el(self, index: int, event: Happening) -> object:
        element = self.elements[index]
        if element.FilterOperator == ua.FilterOperator.OfType:
            return event.is_of(self._eval_op(element.FilterOperands[0], event))
        return super()._eval_el(index, event)
