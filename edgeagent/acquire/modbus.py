"""Modbus TCP through pymodbus, with every answer held against its question."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from edgeagent.acquire.serial_port import Tap
from edgeagent.acquire.source import Allows, Block, Words, always, unknown_outcome
from edgeagent.acquire.turnstile import Turnstile
from edgeagent.errors import BadAnswer, Broken, NotWritable, Refused, Silent, Unreachable
from firmware_iface.frames.requests import BROADCAST
from firmware_iface.frames.rtu import EXCEPTION
from firmware_iface.frames.writes import ANSWER, write

_MOST_UNANSWERED = 4
"""Requests in a row without an answer, of all its units, after which a connection is held for dead."""

_SHOWN = 32
"""Bytes of a wrong answer that are quoted."""

_REQUEST: dict[str, type[ModbusPDU]] = {
    "coil": ReadCoilsRequest,
    "discrete": ReadDiscreteInputsRequest,
    "holding": ReadHoldingRegistersRequest,
    "input": ReadInputRegistersRequest,
}


class _RawAnswer(ModbusPDU):
    """Keeps the answer's data as bytes, so that no object is made for each register."""

    raw = b""

    def encode(self) -> bytes:
        return self.raw

    def decode(self, data: bytes) -> None:
        self.raw = bytes(data)


class _WriteRequest(ModbusPDU):
    """A request of ready bytes, function code first."""

    def __init__(self, unit: int, pdu: bytes) -> None:
        super().__init__(dev_id=unit)
        self.function_code = pdu[0]
        self.raw = pdu[1:]

    def encode(self) -> bytes:
        return self.raw


_CODES = (1, 2, 3, 4, 5, 6, 15, 16)
_ANSWERS = tuple(type(f"_RawAnswer{code}", (_RawAnswer,), {"function_code": code}) for code in _CODES)


def _give_up(answer: asyncio.Future[ModbusPDU]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())


def _tapped(tap: Tap) -> Callable[[bool, bytes], bytes]:
    def trace(is_sent: bool, data: bytes) -> bytes:
        tap(is_sent, data)
        return data

    return trace


class TcpConnection:
    """One connection, shared by all units that are asked over it, one question at a time.

    Args:
        timeout_s: real seconds for connecting, and for the answers of units that have no time of their own.
        tap: called with every byte that passes, and whether it was sent.
    """

    def __init__(self, host: str, port: int, timeout_s: float, tap: Tap | None = None) -> None:
        self.name = f"{host}:{port}"
        self.timeout_s = timeout_s
        self._users: set[ModbusTcp] = set()
        self._transaction = 0
        """Transaction number of the last question, over all connections."""
        self._unanswered = 0
        self._turnstile = Turnstile()
        self._answer: asyncio.Future[ModbusPDU] | None = None
        """Of the last question; done, but while one is on the wire."""
        # Retries, reconnecting and back-off are the poller's: the library's are off.
        self._client = AsyncModbusTcpClient(host, port=port, timeout=timeout_s, retries=0, reconnect_delay=0,
                                            trace_packet=tap and _tapped(tap), trace_connect=self._turned)
        for answer in _ANSWERS:
            self._client.register(answer)

    def has(self, user: ModbusTcp) -> bool:
        """Whether the socket is open and this one is using it."""
        return user in self._users and bool(self._client.connected)

    async def join(self, user: ModbusTcp) -> None:
        """Use the connection, and open it if need be; raises Unreachable."""
        async with self._turnstile.turn():
            if not self._client.connected:
                self._users.clear()
                self._client.ctx.comm_params.timeout_connect = self.timeout_s
                try:
                    is_open = await self._client.connect()
                except (OSError, ModbusException) as error:
                    raise Unreachable(f"{self.name}: {error}") from error
                if not is_open:
                    raise Unreachable(f"{self.name} does not accept a connection")
                # The library counts from 1 again: an answer to an earlier connection's question would fit this one's.
                self._client.ctx.next_tid = self._transaction
                self._unanswered = 0
            self._users.add(user)

    def leave(self, user: ModbusTcp) -> None:
        """Use the connection no longer; the last one closes it."""
        self._users.discard(user)
        if not self._users:
            self._close()

    def drop(self) -> None:
        """Close the socket for all units: what comes next on it is not to be believed."""
        self._users.clear()
        self._close()

    def _close(self) -> None:
        self._client.close()
        self._turned(is_connected=False)

    def _turned(self, is_connected: bool) -> None:
        """Wait no longer for an answer that cannot come any more."""
        if not is_connected and self._answer:
            _give_up(self._answer)

    async def ask(
        self, user: ModbusTcp, request: ModbusPDU, is_urgent: bool = False, allows: Allows = always
    ) -> ModbusPDU:
        """Ask once; raises Unreachable, Silent, BadAnswer, and what `allows` raises when the turn has come."""
        async with self._turnstile.turn(is_urgent):
            if (rest_s := user.rested_at - monotonic()) > 0:
                await asyncio.sleep(rest_s)
            if not self.has(user):
                # The library would connect by itself, and nobody would look who is at the other end now.
                raise Unreachable(f"{self.name}: the connection was lost")
            allows()
            try:
                answer = await self._exchange(request, user.timeout_s)
            except TimeoutError as error:
                self._unanswered += 1
                if self._unanswered > _MOST_UNANSWERED:
                    self.drop()
                if self._client.connected:
                    raise Silent(f"{self.name} did not answer in time") from error
                raise Broken(f"{self.name}: the connection was lost") from error
            except ModbusException as error:
                raise BadAnswer(f"{self.name}: {error}") from error
            finally:
                self._transaction = request.transaction_id
                user.rested_at = monotonic() + user.pause_s
            self._unanswered = 0
        return answer

    async def _exchange(self, request: ModbusPDU, timeout_s: float) -> ModbusPDU:
        """Send a request and wait for its answer; raises TimeoutError, also where the connection is lost before.

        As the library's `execute` does it, but without a lock, where the turnstile stands already, and without
        `wait_for`, which makes a second future and one more turn of the loop.
        """
        ctx = self._client.ctx
        request.transaction_id = ctx.getNextTID()
        ctx.recv_buffer = b""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ModbusPDU] = loop.create_future()
        ctx.response_future = self._answer = answer
        ctx.pdu_send(request)
        late = loop.call_later(timeout_s, _give_up, answer)
        try:
            return await answer
        finally:
            late.cancel()


class ModbusTcp:
    """One unit that is asked over a connection.

    Args:
        unit: unit identifier, 0 to 255; one ModbusTcp for each on a connection.
        timeout_s: real seconds for each answer; the connection's own where it is None.
        pause_s: real seconds that the unit rests between two requests, whoever makes them.
    """

    def __init__(
        self, connection: TcpConnection, unit: int, timeout_s: float | None = None, pause_s: float = 0.0
    ) -> None:
        self.name = f"{connection.name}/{unit}"
        self.timeout_s = connection.timeout_s if timeout_s is None else timeout_s
        self.pause_s = pause_s
        self.rested_at = 0.0
        """Monotonic time (s) from which on it can be asked again."""
        self._connection = connection
        self._unit = unit

    @property
    def connected(self) -> bool:
        """Whether the socket is open."""
        return self._connection.has(self)

    async def connect(self) -> None:
        """Open the socket, or use it together with the others; raises Unreachable."""
        await self._connection.join(self)

    async def read(self, block: Block, is_urgent: bool = False) -> bytes:
        """Ask once; the answer's transaction, unit, function code and length must fit the question."""
        request = _REQUEST[block.table](dev_id=self._unit, address=block.address, count=block.count)
        data = await self._ask(block, request, is_urgent)
        try:
            return self._sized(block, data)
        except BadAnswer:
            self._connection.drop()
            raise

    def _sized(self, block: Block, data: bytes) -> bytes:
        if len(data) != block.size + 1 or data[0] != block.size:
            raise BadAnswer(f"{self.name} answered {len(data) - 1} bytes to {block}, {block.size} belong there")
        return data[1:]

    async def write(self, words: Words, allows: Allows = always) -> None:
        """Write once; the answer's transaction, unit, function code, address and value or count must fit."""
        if self._unit == BROADCAST:
            raise NotWritable(f"{self.name}: unit {BROADCAST} is everybody, and nobody says what became of it")
        request = _WriteRequest(self._unit, write(words.table, words.address, words.values))
        with unknown_outcome():
            data = await self._ask(words, request, is_urgent=True, allows=allows)
        if data != request.raw[: ANSWER - 1]:
            self._connection.drop()
            raise BadAnswer(f"{self.name} answered {data[:_SHOWN].hex(' ')} to {words}, "
                            f"{request.raw[: ANSWER - 1].hex(' ')} belongs there")

    async def _ask(
        self, what: Block | Words, request: ModbusPDU, is_urgent: bool, allows: Allows = always
    ) -> bytes:
        try:
            return self._checked(what, request, await self._connection.ask(self, request, is_urgent, allows))
        except BadAnswer:
            self._connection.drop()
            raise
        except Silent as error:
            raise Silent(f"{self.name} did not answer {what} in time") from error

    def _checked(self, what: Block | Words, request: ModbusPDU, answer: ModbusPDU) -> bytes:
        if answer.transaction_id != request.transaction_id:
            raise BadAnswer(f"{self.name} answered transaction {answer.transaction_id}, not {request.transaction_id}")
        if answer.dev_id != self._unit:
            raise BadAnswer(f"{self.name}: unit {answer.dev_id} answered")
        if isinstance(answer, ExceptionResponse):
            if answer.function_code & 0x7F != request.function_code:
                raise BadAnswer(f"{self.name} refused function {answer.function_code & 0x7F}, "
                                f"asked was {request.function_code}")
            code = answer.exception_code
            raise Refused(f"{self.name} refused {what}: {EXCEPTION.get(code, 'exception')} ({code})", code)
        if answer.function_code != request.function_code or not isinstance(answer, _RawAnswer):
            raise BadAnswer(f"{self.name} answered function {answer.function_code}, asked was {request.function_code}")
        return answer.raw

    def close(self) -> None:
        """Leave the connection; it is closed when nobody uses it any more."""
        self._connection.leave(self)
