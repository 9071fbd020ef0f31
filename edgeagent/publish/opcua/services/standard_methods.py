"""Methods of the Server object that act on subscriptions: on the caller's own alone.

Needed for asyncua 2.1.0 because GetMonitoredItems and ResendData do nothing there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncua import ua

from edgeagent.publish.opcua.caller import calling_session
from edgeagent.publish.opcua.services.subscriptions import UaSubscription

if TYPE_CHECKING:
    from edgeagent.publish.opcua.server import UaInternalServer


def link(server: UaInternalServer) -> None:
    """Let the nodes of the methods call them."""
    for number, method in {
        ua.ObjectIds.Server_GetMonitoredItems: _get_monitored_items,
        ua.ObjectIds.Server_ResendData: _resend_data,
    }.items():
        server.isession.add_method_callback(ua.NodeId(ua.Int32(number)), method)


async def _get_monitored_items(_: ua.NodeId, *given: Any) -> ua.CallMethodResult:
    own, status = _own(given)
    if own is None:
        return _result(status)
    handles = own.monitored_item_srv.handles()
    return _result(
        ua.StatusCodes.Good,
        *[ua.Variant([pair[place] for pair in handles], ua.VariantType.UInt32, is_array=True) for place in (0, 1)],
    )


async def _resend_data(_: ua.NodeId, *given: Any) -> ua.CallMethodResult:
    own, status = _own(given)
    session = calling_session()
    if own is None or session is None:
        return _result(status)
    await own.monitored_item_srv.send_again(session.turn)
    return _result(ua.StatusCodes.Good)


def _own(given: tuple[Any, ...]) -> tuple[UaSubscription | None, int]:
    """The caller's subscription whose number is the first argument, or why not."""
    session = calling_session()
    if not given:
        return None, ua.StatusCodes.BadArgumentsMissing
    if len(given) > 1:
        return None, ua.StatusCodes.BadTooManyArguments
    if given[0].VariantType != ua.VariantType.UInt32 or not isinstance(given[0].Value, int):
        return None, ua.StatusCodes.BadInvalidArgument
    own = session.own(given[0].Value) if session is not None else None
    return own, ua.StatusCodes.BadSubscriptionIdInvalid


def _result(status: int, *outputs: ua.Variant) -> ua.CallMethodResult:
    return ua.CallMethodResult(StatusCode=ua.StatusCode(ua.UInt32(status)), OutputArguments=list(outputs))
