"""The way of an event to a socket past the event loop's transport, which is open while nothing waits in that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

log = logging.getLogger(__name__)


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

    def abort(self) -> None:
        """End the connection at once."""


class Straight:
    """The way to a peer's socket past the transport, open while nothing waits in that; never with TLS.

    Args:
        frame: makes of a notification what stands on the wire; the same function for all whose wires look the same.
        is_over: whether nothing may be said any more though the socket is open; None where that cannot be.

    Attributes:
        frame: as given.
    """

    __slots__ = ("_descriptor", "_is_over", "_transport", "frame")

    def __init__(
        self, transport: Transport, frame: Callable[[bytes], bytes], is_over: Callable[[], bool] | None = None
    ) -> None:
        self.frame = frame
        self._transport = transport
        self._is_over = is_over
        is_plain = transport.get_extra_info("ssl_object") is None
        self._descriptor: int = transport.get_extra_info("socket").fileno() if is_plain else -1

    def descriptor(self) -> int:
        """The socket's, for now and not for the next turn of the loop; -1 where it is to be left alone."""
        transport, is_over = self._transport, self._is_over
        if transport.get_write_buffer_size() or transport.is_closing() or (is_over is not None and is_over()):
            return -1
        return self._descriptor

    def go_on(self, data: bytes) -> None:
        """Send what the socket did not take, once it can; where that fails, the connection ends and nothing else."""
        try:
            self._transport.write(data)
        except Exception:
            log.exception("what is left of an event cannot be sent; the connection is ended")
            self._transport.abort()
