"""The services: what each takes, which method of the session answers it, and where the answer goes."""

from __future__ import annotations

from typing import Any, NamedTuple

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds


class Service(NamedTuple):
    """One service.

    Attributes:
        operations: the parameter whose elements are counted; it may not be empty. Empty text where there is none.
        method: of the session; it takes the parameters, or the operations alone where `takes_operations`.
        place: of the answer, below the response; empty where there is nothing to say.
        is_open: whether somebody may use it who did not say who it is.
    """

    parameters: type[Any]
    operations: str
    method: str
    response: type[Any]
    place: str = "Results"
    takes_operations: bool = False
    is_open: bool = True

    def counted(self, parameters: Any) -> int:
        """Operations of a request."""
        return len(getattr(parameters, self.operations) or ()) if self.operations else 1

    def argument(self, parameters: Any) -> Any:
        """What the method takes."""
        return getattr(parameters, self.operations) if self.takes_operations else parameters

    def answered(self, answer: Any) -> Any:
        """The response with an answer in it."""
        response = self.response()
        if not self.place:
            return response
        *above, last = self.place.split(".")
        target = response
        for name in above:
            target = getattr(target, name)
        setattr(target, last, answer)
        return response


_IN = "Parameters.Results"


def number_of(service: str) -> int:
    """Of a request, as it is encoded in binary."""
    return int(getattr(ObjectIds, f"{service}Request_Encoding_DefaultBinary"))


SERVICES: dict[int, Service] = {
    number_of(name): service
    for name, service in {
        "Read": Service(ua.ReadParameters, "NodesToRead", "read", ua.ReadResponse),
        "Write": Service(ua.WriteParameters, "NodesToWrite", "write", ua.WriteResponse, is_open=False),
        "Browse": Service(ua.BrowseParameters, "NodesToBrowse", "browse", ua.BrowseResponse),
        "BrowseNext": Service(
            ua.BrowseNextParameters, "ContinuationPoints", "browse_next", ua.BrowseNextResponse, _IN),
        "TranslateBrowsePathsToNodeIds": Service(
            ua.TranslateBrowsePathsToNodeIdsParameters, "BrowsePaths", "translate_browsepaths_to_nodeids",
            ua.TranslateBrowsePathsToNodeIdsResponse, takes_operations=True),
        "RegisterNodes": Service(
            ua.RegisterNodesParameters, "NodesToRegister", "register_nodes", ua.RegisterNodesResponse,
            "Parameters.RegisteredNodeIds", takes_operations=True),
        "UnregisterNodes": Service(
            ua.UnregisterNodesParameters, "NodesToUnregister", "unregister_nodes", ua.UnregisterNodesResponse,
            "", takes_operations=True),
        "Call": Service(ua.CallParameters, "MethodsToCall", "call", ua.CallResponse, takes_operations=True),
        "HistoryRead": Service(ua.HistoryReadParameters, "NodesToRead", "history_read", ua.HistoryReadResponse),
        "CreateSubscription": Service(
            ua.CreateSubscriptionParameters, "", "subscribe", ua.CreateSubscriptionResponse, "Parameters"),
        "ModifySubscription": Service(
            ua.ModifySubscriptionParameters, "", "change_subscription", ua.ModifySubscriptionResponse, "Parameters"),
        "DeleteSubscriptions": Service(
            ua.DeleteSubscriptionsParameters, "SubscriptionIds", "delete_subscriptions", ua.DeleteSubscriptionsResponse,
            takes_operations=True),
        "TransferSubscriptions": Service(
            ua.TransferSubscriptionsParameters, "SubscriptionIds", "take_over", ua.TransferSubscriptionsResponse, _IN),
        "SetPublishingMode": Service(
            ua.SetPublishingModeParameters, "SubscriptionIds", "set_publishing_mode", ua.SetPublishingModeResponse,
            _IN),
        "Republish": Service(
            ua.RepublishParameters, "", "publish_again", ua.RepublishResponse, "NotificationMessage"),
        "CreateMonitoredItems": Service(
            ua.CreateMonitoredItemsParameters, "ItemsToCreate", "create_monitored_items",
            ua.CreateMonitoredItemsResponse),
        "ModifyMonitoredItems": Service(
            ua.ModifyMonitoredItemsParameters, "ItemsToModify", "modify_monitored_items",
            ua.ModifyMonitoredItemsResponse),
        "SetMonitoringMode": Service(
            ua.SetMonitoringModeParameters, "MonitoredItemIds", "set_monitoring_mode", ua.SetMonitoringModeResponse,
            _IN),
        "DeleteMonitoredItems": Service(
            ua.DeleteMonitoredItemsParameters, "MonitoredItemIds", "delete_monitored_items",
            ua.DeleteMonitoredItemsResponse),
    }.items()
}  # fmt: skip
"""Number of a request → its service; sessions, discovery and Publish are with the requests themselves."""
