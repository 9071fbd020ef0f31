"""The ways in and out: JSON lines over TCP, HTTP, WebSocket; beyond this computer with TLS and for known users only."""

from edgeagent.publish.transports.listening import CannotListen, Listener, require_secure

__all__ = ["CannotListen", "Listener", "require_secure"]
