"""Browsing in pages, and paths that do not grow without end.

Needed for asyncua 2.1.0 because it returns all references at once, has no BrowseNext, and looks the subtypes of a
reference up anew for each reference.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator

from asyncua import ua
from asyncua.server.address_space import AddressSpace, ViewService

MOST_REFERENCES = 1000
"""Of one node, in one answer; whoever asks for fewer gets fewer."""

_MOST_IN_ANSWER = 5000
"""References of all nodes of one answer."""

_MOST_STEPS = 32
_MOST_FOUND = 500

_References = list[ua.ReferenceDescription]


class Points:
    """The continuation points of one session; the one that was not used for the longest time gives way."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[bytes, tuple[_References, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def clear(self) -> None:
        """Nobody goes on."""
        self._held.clear()

    def page(self, references: _References, most: int) -> ua.BrowseResult:
        """The first references, and a point at which the others follow."""
        result = ua.BrowseResult()
        result.References = references[:most]
        if len(references) > most:
            while len(self._held) >= self._most:
                self._held.popitem(last=False)
            result.ContinuationPoint = secrets.token_bytes(16)
            self._held[result.ContinuationPoint] = (references[most:], most)
        return result

    def go_on(self, point: bytes | None, release: bool) -> ua.BrowseResult:
        """The next page, or nothing more of it where it is released."""
        held = self._held.pop(point or b"", None)
        if held is None:
            return _failed(ua.StatusCodes.BadContinuationPointInvalid)
        return ua.BrowseResult() if release else self.page(*held)


class Page:
    """One Browse request.

    Args:
        most: references of one node as the client wants it; 0 for as many as there may be.
    """

    def __init__(self, view: UaView, points: Points, most: int) -> None:
        self._view = view
        self._points = points
        self._most = min(most or MOST_REFERENCES, MOST_REFERENCES)
        self._left = _MOST_IN_ANSWER

    def browse(self, wanted: ua.BrowseDescription) -> ua.BrowseResult:
        """References of one node."""
        if wanted.BrowseDirection not in (
            ua.BrowseDirection.Forward, ua.BrowseDirection.Inverse, ua.BrowseDirection.Both,
        ):  # fmt: skip
            return _failed(ua.StatusCodes.BadBrowseDirectionInvalid)
        if not wanted.ReferenceTypeId.is_null() and wanted.ReferenceTypeId not in self._view.space:
            return _failed(ua.StatusCodes.BadReferenceTypeIdInvalid)
        found = self._view.browsed(wanted)
        if found is None:
            return _failed(ua.StatusCodes.BadNodeIdUnknown)
        most = min(self._most, self._left)
        if len(found) > most and not most:
            return _failed(ua.StatusCodes.BadNoContinuationPoints)
        page = self._points.page(found, most)
        self._left -= len(page.References)
        return page


class UaView(ViewService):
    """asyncua's view service, which remembers the subtypes of a reference type.

    Attributes:
        is_settled: no more types are added; before, nothing is remembered.
    """

    is_settled = False

    def __init__(self, space: AddressSpace) -> None:
        super().__init__(space)
        self.space = space
        self._subtypes: dict[ua.NodeId, frozenset[ua.NodeId]] = {}

    def browsed(self, wanted: ua.BrowseDescription) -> _References | None:
        """All references of a node that suit; None where there is no such node."""
        node = self.space.get(wanted.NodeId)
        if node is None:
            return None
        return [each for each in tuple(node.references) if self._is_suitable_ref(wanted, each)]

    def _suitable_reftype(self, ref1: ua.NodeId, ref2: ua.NodeId, subtypes: bool) -> bool:
        if ref1.is_null() or ref1 == ref2:
            return True
        return subtypes and ref2 in self._all_subtypes(ref1)

    def _all_subtypes(self, reference: ua.NodeId) -> frozenset[ua.NodeId]:
        found = self._subtypes.get(reference)
        if found is None:
            found = frozenset(self._get_sub_ref(reference))
            if self.is_settled and found:
                self._subtypes[reference] = found
        return found


def translated(view: UaView, path: ua.BrowsePath) -> ua.BrowsePathResult:
    """Follow one path."""
    result = ua.BrowsePathResult()
    steps = path.RelativePath.Elements
    if not steps:
        result.StatusCode = _status(ua.StatusCodes.BadNothingToDo)
    elif len(steps) > _MOST_STEPS:
        result.StatusCode = _status(ua.StatusCodes.BadTooManyOperations)
    elif not (steps[-1].TargetName and steps[-1].TargetName.Name):
        result.StatusCode = _status(ua.StatusCodes.BadBrowseNameInvalid)
    elif path.StartingNode not in view.space:
        result.StatusCode = _status(ua.StatusCodes.BadNodeIdUnknown)
    else:
        found = [path.StartingNode]
        for step in steps:
            found = list(dict.fromkeys(_followed(view, found, step)))
            if len(found) > _MOST_FOUND:
                result.StatusCode = _status(ua.StatusCodes.BadTooManyMatches)
                return result
        result.Targets = [ua.BrowsePathTarget(each, ua.Index(0xFFFFFFFF)) for each in found]
        if not found:
            result.StatusCode = _status(ua.StatusCodes.BadNoMatch)
    return result


def _followed(view: UaView, nodes: list[ua.NodeId], step: ua.RelativePathElement) -> Iterator[ua.NodeId]:
    for node in nodes:
        if node in view.space:
            yield from view._find_elements_in_node(step, node)


def _failed(status: int) -> ua.BrowseResult:
    result = ua.BrowseResult()
    result.StatusCode = _status(status)
    return result


def _status(status: int) -> ua.StatusCode:
    return ua.StatusCode(ua.UInt32(status))
