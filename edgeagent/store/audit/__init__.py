"""The audit record: a chain of lines in files beside the store, its head anchored in the store."""

from edgeagent.store.audit.record import Audit

__all__ = ["Audit"]
