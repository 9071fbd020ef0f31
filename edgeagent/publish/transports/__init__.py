"""The ways in and out: JSON lines over TCP, HTTP, WebSocket; all on this computer only."""

from edgeagent.publish.transports.listening import CannotListen, listen, require_loopback

__all__ = ["CannotListen", "listen", "require_loopback"]
