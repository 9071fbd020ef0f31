"""Instruments that speak text, from their own end of the line: bytes heard in, bytes said out; no port, no clock."""

from __future__ import annotations

from typing import Protocol

from firmware_iface.frames.bisynch import ENQ, EOT, framed

_QUESTION = 8
"""Bytes of an EI-Bisynch question: EOT, four digits, mnemonic, ENQ."""


class Speaker(Protocol):
    """An instrument that speaks text."""

    def hear(self, data: bytes) -> bytes:
        """What it says to what it hears; empty for nothing."""

    def second(self) -> bytes:
        """What it says by itself when a second has passed; empty for nothing."""


class BisynchController:
    """One temperature controller on an EI-Bisynch line; it can be read, not written.

    Attributes:
        parameters: mnemonic → the text that it says, "16.4"; to be set from outside.
    """

    def __init__(self, unit: int = 1) -> None:
        group, digit = divmod(unit, 10)
        self.parameters = {"PV": "183.4", "SL": "185.0", "OP": "42.0", "FS": ">0000"}
        self._head = EOT + f"{group}{group}{digit}{digit}".encode()
        self._heard = b""

    def hear(self, data: bytes) -> bytes:
        """Answer the questions to this unit: a parameter's value, or EOT for one that it does not know."""
        self._heard += data
        said = b""
        while (at := self._heard.find(EOT)) >= 0 and len(self._heard) >= at + _QUESTION:
            question = self._heard[at:at + _QUESTION]
            if question.startswith(self._head) and question.endswith(ENQ):
                mnemonic = question[len(self._head):-1].decode("ascii", "replace")
                said += framed(mnemonic, self.parameters[mnemonic]) if mnemonic in self.parameters else EOT
                self._heard = self._heard[at + _QUESTION:]
            else:
                self._heard = self._heard[at + 1:]
        self._heard = self._heard[-_QUESTION:]
        return said

    def second(self) -> bytes:
        """Nothing: it speaks when it is asked."""
        return b""


class PolledAnalyser:
    """An oxygen analyser that answers D with one line, as a Rapidox 1100 does.

    Attributes:
        oxygen_ppm, cell_millivolt, pressure_bar: what it measures. state: 0 good, 1 over, 2 under range, 3 to 6 faults.
        not_ready: what it says instead, "Sensor heating"; empty when it is ready. has_gaps: older firmware, with
        empty fields.
    """

    def __init__(self) -> None:
        self.oxygen_ppm = 812.5
        self.cell_millivolt = 68.14
        self.pressure_bar = 0.012
        self.state = 0
        self.not_ready = ""
        self.has_gaps = True

    def hear(self, data: bytes) -> bytes:
        """One line for each D."""
        return data.count(b"D") * self._line()

    def second(self) -> bytes:
        """Nothing: it speaks when it is asked."""
        return b""

    def _line(self) -> bytes:
        if self.not_ready:
            return f"!{self.not_ready}\r\n".encode()
        numbers = ",".join(f"{value:.3E}" for value in (self.oxygen_ppm, self.cell_millivolt, self.pressure_bar))
        first, second = (",,", ",,,") if self.has_gaps else (",", ",")
        return f"d{numbers}{first}23:19:40,14/01/00{second}ALM1&2,{self.state}\r\n".encode()


class StreamingSensor:
    """An oxygen sensor that says a line every second, as a LuminOx LOX-02 does; `M 0`, `M 1` and `M 2` choose how.

    Attributes:
        oxygen_percent, partial_mbar, temperature_celsius, pressure_mbar: what it measures. status: 0 without an error.
    """

    def __init__(self) -> None:
        self.oxygen_percent = 20.95
        self.partial_mbar = 212.2
        self.temperature_celsius = 24.3
        self.pressure_mbar = 1013
        self.status = 0
        self._mode = 0
        self._heard = b""

    def second(self) -> bytes:
        """What it says by itself when a second has passed."""
        return self._line() if self._mode == 0 else b""

    def hear(self, data: bytes) -> bytes:
        """Answer commands, which end with CR LF."""
        *commands, self._heard = (self._heard + data).split(b"\r\n")
        self._heard = self._heard[-32:]
        return b"".join(map(self._answer, commands))

    def _answer(self, command: bytes) -> bytes:
        if command in (b"M 0", b"M 1", b"M 2"):
            self._mode = int(command[-1:])
            return f"M 0{self._mode}\r\n".encode()
        return self._line() if command == b"A" and self._mode == 1 else b"E 02\r\n"

    def _line(self) -> bytes:
        return (f"O {self.partial_mbar:06.1f} T {self.temperature_celsius:+05.1f} P {self.pressure_mbar:04d}"
                f" % {self.oxygen_percent:06.2f} e {self.status:04d}\r\n").encode()
