"""Wrong tokens slow down the address that they come from, and no other."""

from __future__ import annotations

import ipaddress
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edgeagent.logs import Detail

FREE = 10
"""Wrong tokens of one address that cost nothing."""

LONGEST_S = 30.0
"""The longest pause; each wrong token after the free ones doubles it, from 1 s."""

_FORGOTTEN_S = 900.0
"""After so long without a wrong token an address is as any other."""

_MOST = 1024
"""Addresses that are remembered; the one whose last wrong token is the longest ago gives way."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Address:
    wrong: int = 0
    last: float = 0.0
    until: float = 0.0


class Throttle:
    """Counts the wrong tokens of each address. In a pause no token of it is looked at; nothing waits for its end.

    Args:
        now: monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def pause_s(self, address: str) -> float:
        """How long nothing of an address is looked at from now on; 0 where it is."""
        known = self._addresses.get(_network(address))
        return 0.0 if known is None else max(0.0, known.until - self._now())

    def wrong(self, address: str) -> None:
        """Note a wrong token."""
        key, now = _network(address), self._now()
        known = self._addresses.pop(key, None)
        if known is None or now - known.last > _FORGOTTEN_S:
            known = _Address()
        known.wrong += 1
        known.last = now
        if (beyond := known.wrong - FREE) >= 0:
            known.until = now + min(LONGEST_S, 2.0 ** min(beyond, 10))
        if known.wrong == FREE:
            log.warning("%s sent %s wrong tokens: it is slowed down", key, Detail(str(known.wrong)))
        self._addresses[key] = known
        if len(self._addresses) > _MOST:
            self._addresses.popitem(last=False)

    def right(self, address: str) -> None:
        """Note a right token: what was wrong before is forgotten."""
        known = self._addresses.pop(_network(address), None)
        if known is not None and known.wrong >= FREE:
            log.warning("%s sent a right token after %s wrong ones", _network(address), Detail(str(known.wrong)))

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._addresses)


def _network(address: str) -> str:
    """What stands for one peer: an IPv4 address, or the /64 of an IPv6 address, all of which one computer may have."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False)) if not found.is_loopback else str(found)
