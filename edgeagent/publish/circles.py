"""Sessions that want the same and rest at the same place: one look into the journal and one call tell them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from edgeagent._core.kernel import send_to_all
from edgeagent.publish.flow import Flow
from edgeagent.publish.fresh import Fresh
from edgeagent.publish.straight import Straight

if TYPE_CHECKING:
    from edgeagent.publish.session import Session

_AT_ONCE = 8
"""Events that are written in one go when something was committed."""

_Wish = tuple[tuple[str, ...], tuple[str, ...] | None, Callable[[bytes], bytes]]


class Circle:
    """Sessions that stand at one place.

    Args:
        place: where all of them stand; their own flows stay behind until they leave.
        forget: called when the last has left.
    """

    def __init__(self, place: Flow, forget: Callable[[], object]) -> None:
        self._place = place
        self._forget = forget
        self._seats: dict[Session, tuple[Flow, Straight]] = {}

    def take(self, session: Session, flow: Flow, straight: Straight) -> bool:
        """Let a session in; False where it stands elsewhere."""
        place = self._place
        stands_here = (flow.next, flow.previous) == (place.next, place.previous)
        if stands_here:
            self._seats[session] = flow, straight
        return stands_here

    def leave(self, session: Session) -> None:
        """Let a session go on from here by itself."""
        flow, _ = self._seats.pop(session)
        flow.stand_at(self._place)
        if not self._seats:
            self._forget()

    def tell(self, fresh: Fresh, now: float) -> list[Session]:
        """Tell what is new; return the sessions that have left, because there is more to do for them."""
        straights, descriptors, alone = [], [], []
        for session, (_, straight) in self._seats.items():
            if (descriptor := straight.descriptor()) < 0:
                alone.append(session)
            else:
                straights.append(straight)
                descriptors.append(descriptor)
        for session in alone:
            session.stand_alone()
        if straights and not self._go_on(straights, descriptors, fresh, now):
            for session in tuple(self._seats):
                session.stand_alone()
                alone.append(session)
        return alone

    def _go_on(self, straights: list[Straight], descriptors: list[int], fresh: Fresh, now: float) -> bool:
        """Tell all of them; False where something may be left to tell."""
        place = self._place
        try:
            due = fresh.due(place, _AT_ONCE)
            data = b"".join([straights[0].frame(notice) for _, notice in due[0]]) if due else b""
        except Exception:  # noqa: BLE001  each of them meets it again, and ends its own connection
            return False
        if due is None:
            return False
        notices, following = due
        if notices:
            for index, taken in send_to_all(descriptors, data):
                straights[index].go_on(data[taken:])
            place.tell(notices[-1][0], now)
        place.next = following
        return len(notices) < _AT_ONCE


class Circles:
    """All of them; those who want the same have one."""

    def __init__(self, fresh: Fresh) -> None:
        self._fresh = fresh
        self._circles: dict[_Wish, Circle] = {}

    def join(self, session: Session, flow: Flow, straight: Straight) -> Circle | None:
        """Find the circle of a session that rests; None where that stands elsewhere."""
        wish = flow.topics, flow.machines, straight.frame
        if (circle := self._circles.get(wish)) is None:
            place = Flow(flow.topics, flow.machines, flow.next, flow.previous, told_at=0.0)
            circle = self._circles[wish] = Circle(place, partial(self._circles.pop, wish))
        return circle if circle.take(session, flow, straight) else None

    def tell(self, now: float) -> list[Session]:
        """Tell all of them what was committed; return who has left, and is to be told singly."""
        return [session for circle in tuple(self._circles.values()) for session in circle.tell(self._fresh, now)]
