"""One tree of errors whose branch says who is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_iface.map_reader import FileFault


class EdgeAgentError(Exception):
    """Root of everything this agent raises on purpose."""


class ConfigError(EdgeAgentError):
    """The configuration cannot be used; every fault of it is listed."""

    def __init__(self, faults: list[FileFault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class MachineError(EdgeAgentError):
    """The machine or the way to it is wrong; the cause is a short word for counters and logs."""

    cause = "error"


class Unreachable(MachineError):
    """No connection, or it broke."""

    cause = "unreachable"


class Broken(Unreachable):
    """The connection broke after the question was sent and before its answer came."""


class Silent(MachineError):
    """No answer in time."""

    cause = "silent"


class BadAnswer(MachineError):
    """An answer that does not belong to the question: wrong function, unit, length or transaction."""

    cause = "bad answer"


class WrongDevice(MachineError):
    """The device is not the one that its map describes: nothing that it says counts."""

    cause = "wrong device"


class Refused(MachineError):
    """The device answered with a Modbus exception code (attribute `code`)."""

    cause = "refused"

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NotWritable(MachineError):
    """Nothing is ever written there; nothing was sent."""

    cause = "not writable"


class CommandRefused(EdgeAgentError):
    """A caller asked for what it may not have or what does not exist; `kind` names the JSON-RPC error.

    Args:
        kind: a key of the table in `publish/jsonrpc.py`, for example "notFound" or "outOfRange".
        reason: a sentence that a shift engineer understands.
        more: further members of the error's data.
    """

    def __init__(self, kind: str, reason: str, machine: str | None = None, **more: str | int) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.machine = machine
        self.more = more


class StoreError(EdgeAgentError):
    """The database file cannot be opened, read or written."""


class StoreDamaged(StoreError):
    """A database file is not as it was written."""


class StoreFull(StoreError):
    """There is no room on the disk for what is to be done."""


class DeliveryError(EdgeAgentError):
    """A peer does not take what it asked for."""


class RecordingError(EdgeAgentError):
    """A recording cannot be made, or not be played."""


class AgentUnreachable(EdgeAgentError):
    """No agent answers where a command looks for it."""


class AgentRefused(EdgeAgentError):
    """A running agent refused what a command asked; `kind` and `more` are those of the answer."""

    def __init__(self, message: str, kind: str, more: dict[str, object]) -> None:
        super().__init__(message)
        self.kind = kind
        self.more = more
