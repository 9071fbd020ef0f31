"""What one WebSocket message is under the subprotocol "msgpack": MessagePack in a binary frame."""

from __future__ import annotations

from edgeagent.publish import messagepack
from edgeagent.publish.transports.frames import UnreadableFrame, framed
from edgeagent.publish.transports.web import WSMessage, WSMsgType


class PackedFrames:
    """One MessagePack message per binary frame."""

    type = WSMsgType.BINARY

    def read(self, frame: WSMessage) -> bytes:
        """See `Frames`."""
        if frame.type is not self.type:
            raise UnreadableFrame("parse", "Send each message as a binary frame; the subprotocol is msgpack.")
        if len(frame.data) > messagepack.MOST_BYTES:
            raise UnreadableFrame("tooLarge", f"A MessagePack message holds at most {messagepack.MOST_BYTES} bytes.")
        try:
            return messagepack.unpacked(frame.data)
        except messagepack.NotMessagePack as error:
            raise UnreadableFrame("parse", f"This is not MessagePack that JSON can say too: {error}.") from None

    def form(self, notification: bytes) -> bytes:
        """See `Frames`."""
        return messagepack.packed(notification)

    def whole(self, notification: bytes) -> bytes:
        """See `Frames`."""
        return framed(self.form(notification), self.type)

    async def write(self, answer: bytes) -> bytes:
        """See `Frames`."""
        return await messagepack.packed_in_pieces(answer)
