"""One WebSocket connection to the agent (RFC 6455), blocking, with the standard library alone."""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
from typing import TYPE_CHECKING

from edgeagent.errors import AgentRefused, AgentUnreachable
from edgeagent.tools.asking import stranger, unreachable

if TYPE_CHECKING:
    from ssl import SSLSocket

    from edgeagent.tools.asking import Address

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, section 1.3."""

_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
"""Kinds of frames, section 5.2; 0 continues a text."""

_FINAL, _MASKED = 0x80, 0x80
_LONGEST_HEAD = 64 << 10
"""Bytes of the answer to the handshake."""

_MOST = 16 << 20
"""Bytes of one message."""


class WebSocket:
    """A connection that takes and gives texts.

    Args:
        silence_s: longest time without a frame, in seconds; the agent sends a heartbeat every 10.
        output: a descriptor that what is received goes to; when its reader is gone, waiting ends.

    Raises:
        AgentUnreachable: nobody listens there, or it is no agent. AgentRefused: it does not take the token.
    """

    def __init__(self, address: Address, silence_s: float, output: int) -> None:
        self._address = address
        self._silence_s = silence_s
        self._buffer = bytearray()
        try:
            self._socket = socket.create_connection((address.host, address.port), silence_s)
        except OSError as error:
            raise unreachable(address, error) from None
        self._secured = self._secure() if address.is_secure else None
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(output, 0)
        try:
            self._shake_hands()
        except BaseException:
            self.close()
            raise

    def _secure(self) -> SSLSocket:
        """Speak TLS from now on."""
        try:
            context = self._address.access.context()
            secured = context.wrap_socket(self._socket, server_hostname=self._address.host)
        except OSError as error:
            self._socket.close()
            raise unreachable(self._address, error) from None
        except BaseException:
            self._socket.close()
            raise
        self._socket = secured
        return secured

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, text: bytes) -> None:
        """Send one message of at most 64 KiB; raises AgentUnreachable."""
        self._frame_out(_TEXT, text)

    def receive(self) -> bytes:
        """Wait for the next message.

        Raises:
            AgentUnreachable: the connection ended. BrokenPipeError: nobody reads the output any more.
        """
        message = bytearray()
        while True:
            is_final, kind, payload = self._frame()
            if kind == _PING:
                self._frame_out(_PONG, payload)
            elif kind == _CLOSE:
                reason = payload[2:].decode(errors="replace")
                raise AgentUnreachable(f"{self._address} ended the connection{': ' if reason else ''}{reason}")
            elif kind in (0, _TEXT):
                message += payload
                if is_final:
                    return bytes(message)

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        length = second & ~_MASKED
        if length >= 126:
            length = int.from_bytes(self._take(2 if length == 126 else 8))
        if length > _MOST or second & _MASKED:
            raise stranger(self._address, "its frames are not those of a server")
        return bool(first & _FINAL), first & 0x0F, self._take(length)

    def _shake_hands(self) -> None:
        """Change from HTTP to WebSocket, section 4."""
        key = base64.b64encode(os.urandom(16)).decode()
        accepted = base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest())
        self._send_all("\r\n".join((
            "GET /rpc HTTP/1.1", f"Host: {str(self._address).partition('://')[2]}", "Upgrade: websocket",
            "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in self._address.access.header().items()), "\r\n",
        )).encode())  # fmt: skip
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise stranger(self._address, "what it says is not HTTP")
            if not self._more():
                raise unreachable(self._address, OSError("it ended the connection"))
        head = self._take(end + 4)
        if head.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 429 ")):
            kind, reason = ("unauthenticated", "this token is not taken") if b" 401 " in head else (
                "tooMany", "too many wrong tokens came from here; wait half a minute")
            raise AgentRefused(f"the agent refused the connection ({kind}): {reason}", kind, {})
        if not head.startswith(b"HTTP/1.1 101 ") or accepted not in head:
            said = head[:12].decode(errors="replace").partition(" ")
            raise stranger(self._address, f"HTTP {said[2]}, no WebSocket" if said[0].startswith("HTTP/") else
                           "what it says is not HTTP")  # fmt: skip

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self._more():
                raise AgentUnreachable(f"{self._address} is gone")
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _more(self) -> bool:
        """Wait for more bytes; False when there will be none."""
        if self._secured is None or not self._secured.pending():
            self._wait()
        try:
            received = self._socket.recv(1 << 16)
        except OSError as error:
            raise unreachable(self._address, error) from None
        self._buffer += received
        return bool(received)

    def _wait(self) -> None:
        ready = self._poll.poll(self._silence_s * 1000)
        if not ready:
            raise AgentUnreachable(f"{self._address} has said nothing for {self._silence_s:g} s")
        if any(descriptor != self._socket.fileno() for descriptor, _ in ready):
            raise BrokenPipeError

    def _frame_out(self, kind: int, payload: bytes) -> None:
        mask = os.urandom(4)
        length = len(payload)
        size = bytes([_MASKED | length]) if length < 126 else bytes([_MASKED | 126]) + length.to_bytes(2)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._send_all(bytes([_FINAL | kind]) + size + mask + masked)

    def _send_all(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise unreachable(self._address, error) from None
