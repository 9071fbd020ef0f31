"""Typed clients and the reference page, written from an OpenRPC document."""
