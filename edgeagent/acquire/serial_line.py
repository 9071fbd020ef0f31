"""Serial lines: one question at a time; no late, foreign or doubled answer becomes a value."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Protocol

from edgeagent.acquire.serial_port import SerialPort, Tap
from edgeagent.acquire.source import Allows, always
from edgeagent.acquire.turnstile import Turnstile
from edgeagent.errors import BadAnswer, Broken, Silent, Unreachable
from firmware_iface.frames.rtu import SHORTEST, Refusal

_SHORTEST_GAP_S = 0.00175
"""Modbus over serial line, section 2.5.1: 3.5 characters, but no less than this."""
_KEPT = 4096
"""Bytes of what was heard that are kept for an error, of which _SHOWN are quoted."""
_SHOWN = 32


class Question(Protocol):
    """A question to one unit, and what finds the answer in whatever is heard, as `firmware_iface.frames` has them."""

    request: bytes

    @property
    def unit(self) -> int | str:
        """Who is asked."""

    @property
    def names_unit(self) -> bool:
        """Whether the right answer says whose it is."""

    @property
    def passed_over(self) -> int:
        """Bytes heard that were neither an answer nor an echo."""

    def feed(self, heard: bytes) -> bytes | None:
        """Take what was heard, nothing when the time is up, and return the next answer; raises Refusal."""


class SerialLine:
    """One serial port with all units on it; opened for this program alone.

    After anything but a clean answer the next question waits until the line has been silent for the longest latency
    of its units. A unit is proven by an answer that was the only one before the time was up. It is asked for such a
    proof again after a question that was not answered cleanly, when it says to one question what it said to another
    one before (that answer may have come twice), and with all other units when one was heard that was not asked, or
    when one that was asked stayed silent whose late answer would not say whose it is.

    Args:
        port: a name that stays the same when the adapter is plugged in again, `/dev/serial/by-id/...`.
        parity: "none", "even" or "odd". data_bits: 7 or 8.
        tap: called with every byte that passes, and whether it was sent.

    Attributes:
        is_echoed: whether the line gives back what is sent; None until that was heard.
    """

    def __init__(
        self, port: str, baud: int = 19200, parity: str = "even", stop_bits: int = 1, data_bits: int = 8,
        tap: Tap | None = None,
    ) -> None:  # fmt: skip
        self.port = port
        self.quarantine_s = 0.0
        self.is_echoed: bool | None = None
        self._port = SerialPort(port, baud, parity, stop_bits, self._take, data_bits, tap)
        self._gap_s = max(3.5 * self._port.character_s, _SHORTEST_GAP_S)
        self._turnstile = Turnstile()
        self._units: set[int | str] = set()
        self._proven: set[int | str] = set()
        self._answered: dict[int | str, tuple[bytes, bytes]] = {}
        """Unit → its last question and answer."""
        self._pauses_s: dict[int | str, float] = {}
        self._rested_at: dict[int | str, float] = {}
        """Unit → monotonic time (s) from which on it can be asked again."""
        self._is_settled = False
        self._is_listening = False
        self._heard = bytearray()
        self._unasked = 0
        self._busy_at = 0.0
        """Monotonic time (s) at which the line was last not silent, or not to be trusted."""
        self._waiter: asyncio.Future[None] | None = None

    def rest(self, unit: int | str, pause_s: float) -> None:
        """Let a unit rest for so long between two questions, whoever asks them."""
        self._pauses_s[unit] = pause_s

    def has(self, unit: int | str) -> bool:
        """Whether the port is open and this unit is using it."""
        return self._port.is_open and unit in self._units

    def seconds(self, characters: int) -> float:
        """How long so many characters take."""
        return characters * self._port.character_s

    def join(self, unit: int | str) -> None:
        """Use the port for this unit and open it if need be; raises Unreachable."""
        if not self._port.is_open:
            self._port.open()
            self._busy_at = monotonic()
            self._is_settled = False
            self.is_echoed = None
            self._unasked = 0
            self._proven.clear()
            self._units.clear()
        self._units.add(unit)

    def leave(self, unit: int | str) -> None:
        """Use the port no longer; the last unit closes it."""
        self._units.discard(unit)
        if not self._units:
            self._port.close()

    async def ask(
        self, answer: Question, timeout_s: float, is_urgent: bool = False, allows: Allows = always
    ) -> bytes:
        """Ask once, when the line is free and silent; a caller that is cancelled leaves the exchange to its end.

        Raises:
            Unreachable, Silent, BadAnswer: no answer that can be trusted. Refusal: the device refused.
            Whatever `allows` raises when the turn has come and the line is silent: nothing was sent.
        """
        await self._turnstile.enter(is_urgent)
        exchange = asyncio.ensure_future(self._exchange(answer, timeout_s, allows))
        exchange.add_done_callback(self._ended)
        return await asyncio.shield(exchange)

    def _ended(self, exchange: asyncio.Future[bytes]) -> None:
        self._turnstile.leave()
        if not exchange.cancelled():
            # The caller may be gone: what became of the exchange has been looked at then.
            exchange.exception()

    async def _exchange(self, answer: Question, timeout_s: float, allows: Allows) -> bytes:
        await self._settle(answer.unit, timeout_s)
        allows()
        is_proven = answer.unit in self._proven
        self._proven.discard(answer.unit)
        self._is_settled, self._is_listening, self._unasked = False, True, 0
        self._heard.clear()
        try:
            self._port.send(answer.request)
            deadline = monotonic() + timeout_s
            data = await self._first(answer, deadline)
            question, before = self._answered.get(answer.unit, (answer.request, b""))
            is_doubled = data == before and answer.request != question
            await self._no_other(answer, data, 0.0 if is_proven and not is_doubled else deadline)
            self._answered[answer.unit] = (answer.request, data)
            if answer.passed_over >= SHORTEST:
                self._proven.clear()
            self._proven.add(answer.unit)
            self._is_settled = True
            return data
        except (BadAnswer, Silent) as error:
            if isinstance(error, BadAnswer) or not answer.names_unit:
                self._proven.clear()
            raise
        except Refusal:
            self._is_settled = True
            if is_proven:
                self._proven.add(answer.unit)
            raise
        finally:
            self._is_listening = False
            self._busy_at = monotonic()
            self._rested_at[answer.unit] = self._busy_at + self._pauses_s.get(answer.unit, 0.0)

    async def _settle(self, unit: int | str, limit_s: float) -> None:
        """Wait until the line is silent and the unit has rested, throwing away what is heard.

        Raises:
            BadAnswer: the line is never silent. Unreachable: it is not open for this unit.
        """
        rested_at = self._rested_at.get(unit, 0.0)
        give_up = max(monotonic(), rested_at) + self.quarantine_s + limit_s
        self._port.receive()
        while True:
            if self._unasked >= SHORTEST:
                self._is_settled = False
                self._proven.clear()
            silent_at = max(self._busy_at + (self._gap_s if self._is_settled else self.quarantine_s), rested_at)
            if monotonic() >= silent_at:
                break
            if monotonic() >= give_up:
                raise BadAnswer(f"{self.port} is never silent: a unit babbles, or another master is on the line")
            await self._hear(silent_at)
        self._port.demand()
        if unit not in self._units:
            # The port was lost and opened again while this one waited: nobody has looked who is there now.
            raise Unreachable(f"{self.port}: the connection was lost")

    async def _first(self, answer: Question, deadline: float) -> bytes:
        seen = bytearray()
        while True:
            heard = await self._hear(deadline)
            if len(seen) < _KEPT:
                seen += heard
            data = answer.feed(heard)
            if data is not None:
                self._learn(answer, data, seen)
                return data
            if monotonic() >= deadline:
                break
        seen = seen.removeprefix(answer.request)
        if not seen:
            raise Silent(f"{self.port}: unit {answer.unit} did not answer in time")
        raise BadAnswer(f"{self.port}: no answer of unit {answer.unit} in what was heard: {seen[:_SHOWN].hex(' ')}")

    def _learn(self, answer: Question, data: bytes, seen: bytearray) -> None:
        """Note whether the line gives back what is sent, where the answer can be told from its question."""
        if data == answer.request:
            return
        if answer.request in seen:
            self.is_echoed = True
        elif not answer.passed_over:
            self.is_echoed = False

    async def _no_other(self, answer: Question, data: bytes, until: float) -> None:
        """A second answer that differs says that one of the two is late: neither is believed."""
        heard = b""
        while True:
            try:
                other = answer.feed(heard)
            except Refusal:
                other = b""
            if other is None:
                if monotonic() >= until:
                    return
                heard = await self._hear(until)
            elif other != data:
                raise BadAnswer(f"{self.port}: unit {answer.unit} gave two different answers to one question")
            else:
                heard = b""

    async def _hear(self, until: float) -> bytes:
        """Return what was heard, waiting for it as long as given; nothing is not an error."""
        if not self._heard and self._port.is_open:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(until - monotonic(), self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
            if not self._heard:
                # A loop that was held up finds the timer due before it looks at the port.
                self._port.receive()
        self._port.demand(Broken if self._is_listening else Unreachable)
        heard = bytes(self._heard)
        self._heard.clear()
        return heard

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self, data: bytes) -> None:
        if data:
            self._busy_at = monotonic()
            if self._is_listening:
                self._heard += data
            else:
                self._unasked += len(data)
        else:
            self._heard.clear()
        self._wake()
