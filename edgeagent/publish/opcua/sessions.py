"""A client's session: whose it is, what belongs to it, and when it is over.

Needed for asyncua 2.1.0 because its sessions count their secret tokens up, outlive their connection, and may act on
the subscriptions of all others.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from asyncua import ua
from asyncua.common.utils import ServiceError, create_nonce
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession, SessionState

from edgeagent.publish.opcua.caller import calls_now
from edgeagent.publish.opcua.certificates import application_uris
from edgeagent.publish.opcua.port import Identity
from edgeagent.publish.opcua.rights import may_hear, may_see, sees_machines
from edgeagent.publish.opcua.services import browsing, reading
from edgeagent.publish.opcua.services.subscriptions import UaSubscription, UaSubscriptions
from edgeagent.publish.opcua.services.waiting import Share

if TYPE_CHECKING:
    from edgeagent.publish.opcua.connections import Connection
    from edgeagent.publish.opcua.requests import Requests
    from edgeagent.publish.opcua.server import UaInternalServer

CONTINUATION_POINTS = 10
"""Browse continuation points of one session."""

MOST_LISTENING = 100
"""Items of one session that wait for events: each event is held against all their filters."""

_TOKEN_BYTES = 32


class UaSession(InternalSession):
    """A session over one connection; both end together.

    Attributes:
        identity: who it is, as the agent says; None before.
        turn: of its connection.
    """

    iserver: UaInternalServer
    subscription_service: UaSubscriptions

    def __init__(self, server: UaInternalServer, requests: Requests, connection: Connection) -> None:
        if len(server.sessions) >= server.bounds.sessions:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        subscriptions, nobody = server.subscription_service, User(UserRole.Anonymous)
        super().__init__(server, server.aspace, subscriptions, connection.address, nobody)
        self.external = True
        self.auth_token = ua.NodeId(ua.ByteString(secrets.token_bytes(_TOKEN_BYTES)))
        self.identity: Identity | None = None
        self._requests = requests
        self._connection = connection
        self.turn = connection.turn
        self._points = browsing.Points(CONTINUATION_POINTS)
        self._share = Share(server.bounds.event_bytes)
        server.sessions.add(self)

    @property
    def is_authenticated(self) -> bool:
        """Whether it is somebody whom the agent knows."""
        return self.identity is not None and self.identity.is_authenticated

    @property
    def subscriptions(self) -> list[UaSubscription]:
        """Its own."""
        return [each for each in self.subscription_service.subscriptions.values() if each.session_id == self.session_id]

    def own(self, subscription: int) -> UaSubscription | None:
        """The subscription of this number, if it is its own."""
        found = self.subscription_service.subscriptions.get(subscription)
        return found if found is not None and found.session_id == self.session_id else None

    def over(self) -> tuple[int, str] | None:
        """Why it is over; None while it is not."""
        if self.session_timeout and time.monotonic() - self._last_activity > self.session_timeout:
            self.iserver.counted["timeouts"] += 1
            return ua.StatusCodes.BadTimeout, f"nothing was asked for {self.session_timeout:g} s"
        return None

    def end(self, reason: str) -> None:
        """End it with its connection, and say why."""
        self._connection.end(ua.StatusCodes.BadSessionClosed, reason)

    async def create_session(
        self, params: ua.CreateSessionParameters, sockname: tuple[str, int] | None = None
    ) -> ua.CreateSessionResult:  # fmt: skip
        """See asyncua; the client must be the application that its certificate names."""
        certificate = self._requests.peer()
        if params.ClientDescription.ApplicationUri not in application_uris(certificate):
            raise ServiceError(ua.StatusCodes.BadCertificateUriInvalid)
        if not 0 <= float(params.RequestedSessionTimeout) < float("inf"):
            params.RequestedSessionTimeout = 0.0
        return await super().create_session(params, sockname)

    def belongs_to(self, identity: Identity) -> ua.ActivateSessionResult:
        """Let it be somebody's from now on."""
        if self.state == SessionState.Closed:
            self.iserver.port.close(identity.session)
            raise ServiceError(ua.StatusCodes.BadSessionIdInvalid)
        if self.identity:
            self.iserver.port.close(self.identity.session)
        self.identity = identity
        role = UserRole.User if identity.is_authenticated else UserRole.Anonymous
        self.user = User(role, identity.user)
        self.state = SessionState.Activated
        self.nonce = create_nonce(32)
        self.touch()
        calls_now(self)
        self.iserver.counted["sessions"] += 1
        return ua.ActivateSessionResult(ServerNonce=self.nonce)

    async def close_session(self, delete_subs: bool = True) -> None:
        """End it, with all that belongs to it."""
        if self.state == SessionState.Closed:
            return
        self.state = SessionState.Closed
        self.iserver.sessions.discard(self)
        self._points.clear()
        if self.identity:
            self.iserver.port.close(self.identity.session)
        await self.subscription_service.delete_subscriptions([each.data.SubscriptionId for each in self.subscriptions])

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        """See asyncua, with the timestamps and index ranges that were asked for."""
        if params.TimestampsToReturn not in reading.TIMESTAMPS:
            raise ServiceError(ua.StatusCodes.BadTimestampsToReturnInvalid)
        if not params.MaxAge >= 0:
            raise ServiceError(ua.StatusCodes.BadMaxAgeInvalid)
        size = 0
        found = []
        for wanted in params.NodesToRead:
            if may_see(self.identity, self.aspace, wanted):
                value = reading.read(self.aspace, wanted, params.TimestampsToReturn)
            else:
                value = ua.DataValue(StatusCode=_status("BadUserAccessDenied"))
            size += reading.size_of(value)
            if size > 4 * self.iserver.bounds.message_bytes:
                raise ServiceError(ua.StatusCodes.BadResponseTooLarge)
            found.append(value)
            await self.turn.between()
        return found

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        """See asyncua; a part of a value is not written."""
        written = []
        for each in params.NodesToWrite:
            if each.IndexRange:
                written.append(_status("BadWriteNotSupported"))
            elif not _is_proper(each.Value.Value):
                written.append(_status("BadTypeMismatch"))
            else:
                written += await super().write(ua.WriteParameters([each]))
            await self.turn.between()
        return written

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        """See asyncua, with continuation points; there are no views."""
        if not params.View.ViewId.is_null():
            raise ServiceError(ua.StatusCodes.BadViewIdUnknown)
        most = params.RequestedMaxReferencesPerNode
        page = browsing.Page(self.iserver.view_service, self._points, most)
        found = []
        for wanted in params.NodesToBrowse:
            found.append(page.browse(wanted))
            await self.turn.between()
        return found

    async def browse_next(self, parameters: ua.BrowseNextParameters) -> list[ua.BrowseResult]:
        """Go on where a browse stopped."""
        release = parameters.ReleaseContinuationPoints
        return [self._points.go_on(point, release) for point in parameters.ContinuationPoints]

    async def translate_browsepaths_to_nodeids(self, params: list[ua.BrowsePath]) -> list[ua.BrowsePathResult]:
        """See asyncua."""
        found = []
        for path in params:
            found.append(browsing.translated(self.iserver.view_service, path))
            await self.turn.between()
        return found

    async def register_nodes(self, nodes: list[ua.NodeId]) -> list[ua.NodeId]:
        """Nodes are as fast without it."""
        return nodes

    async def unregister_nodes(self, nodes: list[ua.NodeId]) -> None:
        """Nothing was kept."""

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """See asyncua."""
        results = []
        for method in params:
            if problem := self._uncallable(method):
                results.append(ua.CallMethodResult(_status(problem)))
            else:
                results += await self.iserver.method_service.call([method])
            await self.turn.between()
        return results

    def _uncallable(self, method: ua.CallMethodRequest) -> str:
        """Why a method cannot be called, whatever it does: the type of a condition has some that nobody answers."""
        if method.ObjectId not in self.aspace:
            return "BadNodeIdUnknown"
        if method.MethodId not in self.aspace or self.aspace[method.MethodId].call is None:
            return "BadMethodInvalid"
        return "" if all(map(_is_proper, method.InputArguments or ())) else "BadInvalidArgument"

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:
        """See asyncua; about events the agent itself is asked, in the name of who asks."""
        await self.turn.between()
        if not (isinstance(params.HistoryReadDetails, ua.ReadEventDetails) or sees_machines(self.identity)):
            raise ServiceError(ua.StatusCodes.BadUserAccessDenied)
        return await super().history_read(params)

    async def subscribe(self, params: ua.CreateSubscriptionParameters) -> ua.CreateSubscriptionResult:
        """Create a subscription that is this session's own."""
        if len(self.subscriptions) >= self.iserver.bounds.subscriptions:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        requests = self._requests
        made = await self.create_subscription(params, requests.forward_publish_response, requests.get_publish_request)
        self._its(made.SubscriptionId).events.share = self._share
        return made

    async def change_subscription(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Change how a subscription publishes."""
        return await self._its(params.SubscriptionId).modify(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        """See asyncua, its own alone."""
        results = []
        for number in ids:
            own = self.own(number)
            results += await super().delete_subscriptions([number]) if own else [_status("BadSubscriptionIdInvalid")]
            await self.turn.between()
        if not self.subscriptions:
            self._requests.answer_waiting(ua.StatusCodes.BadNoSubscription)
        return results

    async def take_over(self, params: ua.TransferSubscriptionsParameters) -> list[ua.TransferResult]:
        """Subscriptions end with their session, so that it can take over its own alone."""
        results = []
        for number in params.SubscriptionIds:
            own = self.own(int(number))
            status = _status("Good" if own else "BadSubscriptionIdInvalid")
            results.append(ua.TransferResult(status, own.kept if own else []))
            if own and params.SendInitialValues:
                await own.monitored_item_srv.send_again(self.turn)
        return results

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        """See asyncua, its own alone."""
        results = []
        for number in params.SubscriptionIds:
            own = self.own(number)
            if own:
                await own.set_publishing_mode(params.PublishingEnabled)
            results.append(_status("Good" if own else "BadSubscriptionIdInvalid"))
        return results

    def publish(self, acks: Iterable[ua.SubscriptionAcknowledgement] | None = None) -> tuple[int, list[ua.StatusCode]]:
        """Take what was received; return the number of its subscriptions, and one status each."""
        if not self.subscriptions:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        results = []
        for ack in acks or ():
            own = self.own(ack.SubscriptionId)
            if own is None:
                results.append(_status("BadSubscriptionIdInvalid"))
            else:
                is_kept = ack.SequenceNumber in own.kept
                own.publish([ack.SequenceNumber])
                results.append(_status("Good" if is_kept else "BadSequenceNumberUnknown"))
        return len(self.subscriptions), results

    async def publish_again(self, params: ua.RepublishParameters) -> ua.NotificationMessage:
        """A message that was not acknowledged."""
        return self._its(params.SubscriptionId).kept_message(params.RetransmitSequenceNumber)

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        """See asyncua, with timestamps, index ranges and bounds."""
        if params.TimestampsToReturn not in reading.TIMESTAMPS:
            raise ServiceError(ua.StatusCodes.BadTimestampsToReturnInvalid)
        own = self._its(params.SubscriptionId).monitored_item_srv
        free = self.iserver.bounds.items - sum(len(each.monitored_item_srv) for each in self.subscriptions)
        results = []
        listening = sum(each.monitored_item_srv.listening for each in self.subscriptions)
        for item in params.ItemsToCreate:
            is_event = item.ItemToMonitor.AttributeId == ua.AttributeIds.EventNotifier
            if free <= 0 or (is_event and listening >= MOST_LISTENING):
                results.append(ua.MonitoredItemCreateResult(_status("BadTooManyMonitoredItems")))
                continue
            if not self._may_monitor(item.ItemToMonitor):
                results.append(ua.MonitoredItemCreateResult(_status("BadUserAccessDenied")))
                continue
            results.append(await own.create(item, params.TimestampsToReturn))
            free -= bool(results[-1].StatusCode.is_good())
            listening += is_event and results[-1].StatusCode.is_good()
            await self.turn.between()
        return results

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        """See asyncua, its own alone."""
        if params.TimestampsToReturn not in reading.TIMESTAMPS:
            raise ServiceError(ua.StatusCodes.BadTimestampsToReturnInvalid)
        own = self._its(params.SubscriptionId).monitored_item_srv
        results = []
        for item in params.ItemsToModify:
            results.append(own.modify(item, params.TimestampsToReturn))
            await self.turn.between()
        return results

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        """See asyncua, its own alone."""
        own = self._its(params.SubscriptionId).monitored_item_srv
        results = []
        for number in params.MonitoredItemIds:
            results += await own.set_monitoring_mode(params.MonitoringMode, [number])
            await self.turn.between()
        return results

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        """See asyncua, its own alone."""
        own = self._its(params.SubscriptionId).monitored_item_srv
        results = []
        for number in params.MonitoredItemIds:
            results += own.delete_monitored_items([number])
            await self.turn.between()
        return results

    def _may_monitor(self, wanted: ua.ReadValueId) -> bool:
        if wanted.AttributeId == ua.AttributeIds.EventNotifier:
            return may_hear(self.identity)
        return may_see(self.identity, self.aspace, wanted)

    def _its(self, subscription: int) -> UaSubscription:
        own = self.own(subscription)
        if own is None:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)
        return own


def _is_proper(value: ua.Variant | None) -> bool:
    """Whether a value is there, and its texts are texts."""
    return isinstance(value, ua.Variant) and reading.is_text(value.Value)


def _status(name: str) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, name)))


