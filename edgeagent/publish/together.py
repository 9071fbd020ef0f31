"""Sessions that rest at the same place are told together: worked out once, written to all their sockets by one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from edgeagent._core.kernel import send_to_all
from edgeagent.publish.flow import Flow
from edgeagent.publish.fresh import Fresh

if TYPE_CHECKING:
    from edgeagent.publish.session import Session

_AT_ONCE = 8
"""Events that are written in one go when something was committed."""


class Transport(Protocol):
    """What is asked of a transport of the event loop."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As asyncio's transports have it; the others as well."""

    def get_write_buffer_size(self) -> int:
        """Bytes that wait in it."""

    def is_closing(self) -> bool:
        """Whether its socket may be closed."""

    def write(self, data: bytes) -> None:
        """Send after what waits."""


class Straight:
    """The way to a peer's socket past the transport, open while nothing waits in that; never with TLS.

    Args:
        frame: makes of a notification what stands on the wire; the same function for all whose wires look the same.
        is_over: whether nothing may be said any more though the socket is open.

    Attributes:
        frame: as given.
        go_on: sends what the socket did not take, once it can.
    """

    __slots__ = ("_descriptor", "_is_over", "_transport", "frame", "go_on")

    def __init__(
        self, transport: Transport, frame: Callable[[bytes], bytes], is_over: Callable[[], bool] = bool
    ) -> None:
        self.frame = frame
        self.go_on = transport.write
        self._transport = transport
        self._is_over = is_over
        is_plain = transport.get_extra_info("ssl_object") is None
        self._descriptor: int = transport.get_extra_info("socket").fileno() if is_plain else -1

    def descriptor(self) -> int:
        """The socket's, for now and not for the next turn of the loop; -1 where it is to be left alone."""
        transport = self._transport
        if transport.get_write_buffer_size() or transport.is_closing() or self._is_over():
            return -1
        return self._descriptor


class Resting(NamedTuple):
    """A session that waits for news of its one subscription, and for nothing else."""

    session: Session
    flow: Flow
    straight: Straight


def tell_together(sessions: Iterable[Session], fresh: Fresh, now: float) -> list[Session]:
    """Tell what is new to all who rest and can be written to; return the others, which are to be told singly."""
    circles: dict[tuple[object, ...], tuple[list[Resting], list[int]]] = {}
    others = []
    for session in sessions:
        resting = session.resting
        if resting is None or (descriptor := resting.straight.descriptor()) < 0:
            others.append(session)
            continue
        flow = resting.flow
        place = (flow.next, flow.previous, flow.topics, flow.machines, resting.straight.frame)
        if (circle := circles.get(place)) is None:
            circle = circles[place] = [], []
        circle[0].append(resting)
        circle[1].append(descriptor)
    for members, descriptors in circles.values():
        if not _tell(members, descriptors, fresh, now):
            others += [member.session for member in members]
    return others


def _tell(circle: list[Resting], descriptors: list[int], fresh: Fresh, now: float) -> bool:
    """Tell those who stand at one place; False where there is more to do than this."""
    _, first, straight = circle[0]
    try:
        due = fresh.due(first, _AT_ONCE)
        data = b"".join([straight.frame(notice) for _, notice in due[0]]) if due else b""
    except Exception:  # noqa: BLE001  each of them meets it again, and ends its own connection
        return False
    if due is None:
        return False
    notices, following = due
    if data:
        for index, taken in send_to_all(descriptors, data):
            circle[index].straight.go_on(data[taken:])
        last = notices[-1][0]
        for _, flow, _ in circle:
            flow.tell(last, now)
    for _, flow, _ in circle:
        flow.next = following
    return len(notices) < _AT_ONCE
