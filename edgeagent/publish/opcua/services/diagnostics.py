"""What the server says of itself: what it can do, where its bounds are, and how many use it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from edgeagent.publish.opcua.services.subscriptions import LEAST_INTERVAL_MS

if TYPE_CHECKING:
    from edgeagent.publish.opcua.server import UaInternalServer

_OF_CAPABILITIES = "Server_ServerCapabilities_"
_SUMMARY = "Server_ServerDiagnostics_ServerDiagnosticsSummary"

_LIMITED = (
    "Read", "HistoryReadData", "HistoryReadEvents", "Write", "HistoryUpdateData", "HistoryUpdateEvents", "MethodCall",
    "Browse", "RegisterNodes", "TranslateBrowsePathsToNodeIds", "NodeManagement",
)  # fmt: skip

_KIND = ua.VariantType


async def describe(server: UaInternalServer, continuation_points: int) -> None:
    """Say what is true from the start to the end.

    No profile is claimed: each asks for services that asyncua does not have.
    """
    bounds = server.bounds
    told: dict[str, ua.Variant] = {
        "ServerProfileArray": ua.Variant([], _KIND.String, is_array=True),
        "LocaleIdArray": ua.Variant(["en"], _KIND.String),
        "SoftwareCertificates": ua.Variant([], _KIND.ExtensionObject, is_array=True),
        "MinSupportedSampleRate": ua.Variant(LEAST_INTERVAL_MS, _KIND.Double),
        "MaxBrowseContinuationPoints": ua.Variant(continuation_points, _KIND.UInt16),
        "MaxQueryContinuationPoints": ua.Variant(0, _KIND.UInt16),
        "MaxArrayLength": ua.Variant(bounds.message_bytes, _KIND.UInt32),
        "MaxStringLength": ua.Variant(bounds.message_bytes, _KIND.UInt32),
        "MaxByteStringLength": ua.Variant(bounds.message_bytes, _KIND.UInt32),
        "MaxSessions": ua.Variant(bounds.sessions, _KIND.UInt32),
        "MaxSubscriptionsPerSession": ua.Variant(bounds.subscriptions, _KIND.UInt32),
        "MaxMonitoredItemsPerSubscription": ua.Variant(bounds.items, _KIND.UInt32),
        "MaxMonitoredItemsQueueSize": ua.Variant(bounds.queue, _KIND.UInt32),
        "OperationLimits_MaxMonitoredItemsPerCall": ua.Variant(bounds.operations, _KIND.UInt32),
    }
    told |= {f"OperationLimits_MaxNodesPer{each}": ua.Variant(bounds.operations, _KIND.UInt32) for each in _LIMITED}
    for name, value in told.items():
        await _write(server, _OF_CAPABILITIES + name, value)
    await _write(server, "Server_Auditing", ua.Variant(False, _KIND.Boolean))
    await _write(server, "Server_ServerDiagnostics_EnabledFlag", ua.Variant(True, _KIND.Boolean))


class Summary:
    """The ServerDiagnosticsSummary, written when it has changed."""

    def __init__(self, server: UaInternalServer) -> None:
        self._server = server
        self._told: ua.ServerDiagnosticsSummaryDataType | None = None

    async def refresh(self) -> None:
        """Tell how it is now."""
        server = self._server
        subscriptions = server.subscription_service
        now = ua.ServerDiagnosticsSummaryDataType(
            ServerViewCount=0,
            CurrentSessionCount=len(server.sessions),
            CumulatedSessionCount=server.counted["sessions"],
            SecurityRejectedSessionCount=server.counted["security rejected"],
            RejectedSessionCount=server.counted["rejected"],
            SessionTimeoutCount=server.counted["timeouts"],
            SessionAbortCount=server.counted["aborted"],
            PublishingIntervalCount=subscriptions.intervals,
            CurrentSubscriptionCount=len(subscriptions.subscriptions),
            CumulatedSubscriptionCount=subscriptions.made,
            SecurityRejectedRequestsCount=server.counted["security rejected requests"],
            RejectedRequestsCount=server.counted["rejected requests"],
        )
        before, self._told = self._told, now
        if now == before:
            return
        await _write(server, _SUMMARY, ua.Variant(now, _KIND.ExtensionObject))
        for name in _MEMBERS:
            count = getattr(now, name)
            if before is None or count != getattr(before, name):
                await _write(server, f"{_SUMMARY}_{name}", ua.Variant(count, _KIND.UInt32))


_MEMBERS = (
    "ServerViewCount", "CurrentSessionCount", "CumulatedSessionCount", "SecurityRejectedSessionCount",
    "RejectedSessionCount", "SessionTimeoutCount", "SessionAbortCount", "PublishingIntervalCount",
    "CurrentSubscriptionCount", "CumulatedSubscriptionCount", "SecurityRejectedRequestsCount", "RejectedRequestsCount",
)  # fmt: skip


async def _write(server: UaInternalServer, name: str, value: ua.Variant) -> None:
    """Write a standard node's value, if this release of the standard has the node."""
    number: Any = getattr(ObjectIds, name, None)
    if number is not None:
        now = cast("ua.DateTime", datetime.now(UTC))
        told = ua.DataValue(value, SourceTimestamp=now, ServerTimestamp=now)
        await server.write_attribute_value(ua.NodeId(number), told)
