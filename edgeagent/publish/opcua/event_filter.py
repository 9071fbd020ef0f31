"""Event filters, for subscriptions and for the history: what one may cost, and what it lets pass.

Needed for asyncua 2.1.0 because its OfType does not know derived types, and because it logs each event for which a
clause makes no sense.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.server.monitored_item_service import WhereClauseEvaluator

from edgeagent.publish.opcua.happenings import Happening

_MOST_SELECTED = 100
"""Fields of an event that one item may ask for."""

_MOST_ELEMENTS, _MOST_OPERANDS = 100, 200
"""Of one where clause, whether an event comes to them or not."""

_MOST_EVALUATED = 200
"""Operators that one event may cost: an element of a filter may be used by several others."""

_MOST_NESTED = 16
"""Elements, one in another."""

_MOST_STEPS = 8
"""Of a path to a field."""

_MOST_TEXT = 8192
"""Characters of all names and values of a where clause: they are kept, and compared with each event."""

_OPERANDS = {
    ua.FilterOperator.Equals: (2, 2), ua.FilterOperator.IsNull: (1, 1), ua.FilterOperator.GreaterThan: (2, 2),
    ua.FilterOperator.LessThan: (2, 2), ua.FilterOperator.GreaterThanOrEqual: (2, 2),
    ua.FilterOperator.LessThanOrEqual: (2, 2), ua.FilterOperator.Not: (1, 1), ua.FilterOperator.Between: (3, 3),
    ua.FilterOperator.InList: (2, _MOST_OPERANDS), ua.FilterOperator.And: (2, 2), ua.FilterOperator.Or: (2, 2),
    ua.FilterOperator.OfType: (1, 1),
}  # fmt: skip
"""Operators that are evaluated → operands at least and at most (OPC 10000-4, 7.7.3)."""

_NOT_PLAIN = frozenset((
    ua.VariantType.ExtensionObject, ua.VariantType.DataValue, ua.VariantType.Variant, ua.VariantType.DiagnosticInfo,
))  # fmt: skip

_INVALID, _UNSUPPORTED = (
    ua.StatusCodes.BadMonitoredItemFilterInvalid, ua.StatusCodes.BadMonitoredItemFilterUnsupported,
)  # fmt: skip


class Refused(Exception):
    """An item cannot be monitored so; with the status that says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = ua.StatusCode(ua.UInt32(status))


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


def check_event_filter(asked: Any) -> None:
    """Raise Refused for what is no filter of events, or would take too long for each of them."""
    if not isinstance(asked, ua.EventFilter) or not asked.SelectClauses:
        raise Refused(_INVALID)
    if len(asked.SelectClauses) > _MOST_SELECTED:
        raise Refused(_INVALID)
    if any(len(clause.BrowsePath or ()) > _MOST_STEPS for clause in asked.SelectClauses):
        raise Refused(_UNSUPPORTED)
    elements = asked.WhereClause.Elements or []
    if len(elements) > _MOST_ELEMENTS:
        raise Refused(_UNSUPPORTED)
    if sum(len(element.FilterOperands or ()) for element in elements) > _MOST_OPERANDS:
        raise Refused(_UNSUPPORTED)
    _check_cost(elements)
    plain = [each for element in elements for each in element.FilterOperands if not isinstance(each, ua.ElementOperand)]
    if sum(map(_text, plain)) > _MOST_TEXT:
        raise Refused(_UNSUPPORTED)


def _check_cost(elements: Sequence[ua.ContentFilterElement]) -> None:
    """From the last to the first: an element uses later ones only, so that it ends."""
    costs, depths = [0] * len(elements), [0] * len(elements)
    for index, element in reversed(list(enumerate(elements))):
        if element.FilterOperator not in _OPERANDS:
            raise Refused(_UNSUPPORTED)
        least, most = _OPERANDS[element.FilterOperator]
        if not least <= len(element.FilterOperands or ()) <= most:
            raise Refused(_INVALID)
        used = [each.Index for each in element.FilterOperands if isinstance(each, ua.ElementOperand)]
        if not all(index < each < len(elements) for each in used):
            raise Refused(_INVALID)
        costs[index] = 1 + len(element.FilterOperands) - len(used) + sum(costs[each] for each in used)
        depths[index] = 1 + max((depths[each] for each in used), default=0)
        if costs[index] > _MOST_EVALUATED or depths[index] > _MOST_NESTED:
            raise Refused(_UNSUPPORTED)


def _text(operand: Any) -> int:
    """Characters of what an operand names or says; raises Refused for what cannot be compared at once."""
    if isinstance(operand, ua.SimpleAttributeOperand):
        if len(operand.BrowsePath or ()) > _MOST_STEPS:
            raise Refused(_UNSUPPORTED)
        return sum(len(part.Name or "") for part in operand.BrowsePath or ()) + len(operand.IndexRange or "")
    value = operand.Value if isinstance(operand, ua.LiteralOperand) else None
    if value is None or value.VariantType in _NOT_PLAIN or isinstance(value.Value, list):
        raise Refused(_UNSUPPORTED)
    plain = value.Value.Identifier if isinstance(value.Value, ua.NodeId) else value.Value
    return len(str(plain))
