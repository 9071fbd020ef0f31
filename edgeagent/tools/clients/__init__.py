"""Typed clients and the reference page, written from an OpenRPC document."""

LANGUAGES = ("python", "typescript", "csharp")
WRITTEN = (*LANGUAGES, "openrpc", "markdown")
"""What can be written."""

__all__ = ["LANGUAGES", "WRITTEN"]
