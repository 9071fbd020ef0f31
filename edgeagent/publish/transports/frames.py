"""What one WebSocket message is: JSON in a text frame."""

from __future__ import annotations

from typing import Protocol

from edgeagent.publish.transports.web import WSMessage, WSMsgType


class UnreadableFrame(Exception):
    """A frame that is no message: the kind of its refusal, and the reason in a sentence."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


class Frames(Protocol):
    """How messages stand in frames."""

    @property
    def type(self) -> WSMsgType:
        """Of each frame."""

    def read(self, frame: WSMessage) -> bytes:
        """Take the message out of a frame, as JSON; raises UnreadableFrame."""

    def form(self, notification: bytes) -> bytes:
        """Make of a JSON notification what is sent; the same object makes the same object."""

    def whole(self, notification: bytes) -> bytes:
        """Make of a JSON notification the frame that holds it."""

    async def write(self, answer: bytes) -> bytes:
        """Make of a JSON answer what is sent."""


class JsonFrames:
    """One JSON message per text frame."""

    type = WSMsgType.TEXT

    def read(self, frame: WSMessage) -> bytes:
        """See `Frames`."""
        if frame.type is not self.type:
            raise UnreadableFrame("parse", "Send each message as a text frame.")
        text: str = frame.data
        return text.encode()

    def form(self, notification: bytes) -> bytes:
        """See `Frames`."""
        return notification

    def whole(self, notification: bytes) -> bytes:
        """See `Frames`."""
        return framed(notification)

    async def write(self, answer: bytes) -> bytes:
        """See `Frames`."""
        return answer

def framed(message: bytes, kind: int = WSMsgType.TEXT) -> bytes:
    """A whole frame as a server sends it (RFC 6455, 5.2): for a peer that is not behind, without a coroutine."""
    size = len(message)
    if size < 126:
        return b"%c%c%b" % (0x80 | kind, size, message)
    if size < 1 << 16:
        return b"%c\x7e%b%b" % (0x80 | kind, size.to_bytes(2, "big"), message)
    return b"%c\x7f%b%b" % (0x80 | kind, size.to_bytes(8, "big"), message)
