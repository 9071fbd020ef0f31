"""What every simulated device can do: its time is handed in, it fails on demand, and it answers Modbus requests."""

from __future__ import annotations

from collections import deque
from typing import Protocol, runtime_checkable

from firmware_iface.simulated.faults import Fault, FaultList

Value = float | bool | str


class Points(Protocol):
    """The values of a device by path, as its registers show them."""

    def takes(self, path: str) -> bool:
        """Say whether a point can be written."""

    def read(self, path: str) -> Value:
        """Value now; NaN where there is none, KeyError for a path that the device does not have."""

    def check(self, path: str, value: Value) -> None:
        """Say whether a point takes a value: ValueError outside its range, KeyError for one that cannot be written."""

    def take(self, path: str, value: Value) -> None:
        """Do what a write from afar says, which `check` takes."""


class Device(Protocol):
    """A device as it is served.

    Attributes:
        time: seconds since it was made.
        refusals: what a fault wanted and could not have; whoever tells them takes them out.
    """

    time: float
    faults: FaultList
    refusals: deque[str]

    @property
    def state(self) -> str:
        """What it is doing, in one word."""

    @property
    def is_rebooting(self) -> bool:
        """Whether it is starting again: no connection holds."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is answered."""

    @property
    def answer_delay_s(self) -> float:
        """Real seconds that the last request's answer takes."""

    def advance(self, seconds: float) -> None:
        """Let time go on; what happens does not depend on how it is cut into calls."""

    def add_fault(self, fault: Fault) -> None:
        """Take a fault; one without start begins now. FaultError for one that the device cannot have."""

    def answer(self, request: bytes) -> bytes:
        """Answer a request PDU (function code first); empty for what the device passes over."""


@runtime_checkable
class Conveying(Protocol):
    """A device that boards go through."""

    def schedule(self, interval_s: float, count: int | None = None) -> None:
        """Let a board enter every so many seconds of its time, `count` in all; None for no end."""
